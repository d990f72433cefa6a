"""A card says what was measured and nothing else, in words that the hub reads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_helpers import assert_one_sentence
from tflite_helpers import tiny

pytest.importorskip("huggingface_hub")

from huggingface_hub import ModelCard

from keras_inception import hub
from keras_inception.hub.cards import escaped
from keras_inception.hub.front_matter import front_matter
from keras_inception.hub.limits import interval, limits
from keras_inception.hub.subject import origin_of, shown
from keras_inception.training.config import ModelConfig, TrainConfig
from keras_inception.weights import get_weights

SECTIONS = {"Results", "Files", "Intended use and limits", "How to run it", "Data", "Training", "Licence and origin"}


@pytest.fixture
def subject(run_folder: Path) -> hub.Subject:
    return hub.subject_of(run_folder)


def sections(text: str) -> set[str]:
    return {line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")}


def test_front_matter_comes_back_from_the_hubs_own_reader(subject: hub.Subject, run_folder: Path):
    read = ModelCard(hub.card(subject, license="Apache-2.0")).data
    assert read.to_dict() == front_matter(subject, "Apache-2.0").to_dict()
    assert (read.license, read.pipeline_tag, read.library_name) == (
        "apache-2.0", "image-classification", "keras-inception",
    )  # fmt: skip
    assert {"inception_cell", "tflite"} <= set(read.tags)
    (accuracy,) = read.eval_results  # of three classes there is no fifth
    assert accuracy.metric_value == json.loads((run_folder / "evaluation.json").read_text())["accuracy"]
    assert (accuracy.dataset_type, accuracy.dataset_name, accuracy.dataset_split) == (
        "imagefolder", "folder:my_pictures", "test",
    )  # fmt: skip


def test_a_whole_run_tells_all_and_no_path_of_this_machine(subject: hub.Subject, run_folder: Path):
    text = hub.card(subject, license="MIT")
    assert sections(text) == SECTIONS
    assert "digit\\_0, digit\\_1, digit\\_2" in text
    for fence in ("python", "kotlin", "swift", "js"):
        assert f"```{fence}\n" in text
    assert "export/model_float32.tflite" in text and "Measured on 6 images" in text
    assert str(run_folder.parent) not in text and "private" not in text


@pytest.mark.parametrize(
    ("left_out", "gone"),
    [
        (["evaluation.json"], {"Results"}),
        (["export"], {"Files"}),
        (["data.json"], {"Data"}),
        (["evaluation.json", "data.json", "metrics.json", "calibration.json", "environment.json", "export"],
         {"Results", "Files", "Data"}),
    ],
)  # fmt: skip
def test_what_is_not_there_has_no_section(run_folder: Path, tmp_path: Path, left_out: list[str], gone: set[str]):
    run = shutil.copytree(run_folder, tmp_path / "run")
    for name in left_out:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    text = hub.card(hub.subject_of(run))
    assert sections(text) == SECTIONS - gone - {"Licence and origin"}
    assert ModelCard(text).data.license is None


def test_an_export_alone_tells_of_its_files(run_folder: Path):
    text = hub.card(hub.subject_of(run_folder / "export"))
    assert sections(text) == {"Files", "Intended use and limits", "How to run it"}
    assert "It was not evaluated on its own. Its accuracy was measured on 6 images" in text


def test_limits_are_those_of_the_figures(subject: hub.Subject):
    told = " ".join(limits(subject))
    assert "knows 3 classes and nothing else" in told
    assert "fewer than 10 test images" in told
    assert "same source as the training images" in told
    low, high = interval(0.9, 100)
    assert low == pytest.approx(0.8256, abs=1e-4) and high == pytest.approx(0.9448, abs=1e-4)  # Wilson's, by hand
    uneven = {"splits": {"train": {"per_class": {"a": 10, "b": 40}}}}
    assert any("40 of b, 10 of a" in sentence for sentence in limits(replace(subject, data=uneven)))
    failed = {"failures": ["int8 agrees on 90 %."], "rows": [], "images": 0}
    assert any("int8 agrees on 90 %" in sentence for sentence in limits(replace(subject, proof=failed)))


def test_several_labels_an_image_have_figures_of_their_own(subject: hub.Subject):
    from keras_inception.training.evaluation.result import summarise_labels

    there = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    found = summarise_labels(there * 0.8 + 0.1, there, list("abcd"), list(subject.class_names), "test", np.full(3, 0.5))
    several = replace(subject, data={**subject.data, "several_labels": True}, evaluations={"evaluation.json": found})
    text = hub.card(several)
    assert "finds which of 3 labels" in text and "| mean average precision | 100.0 % |" in text
    assert {result.metric_type for result in ModelCard(text).data.eval_results} == {"mean_average_precision", "f1"}
    assert any("knows 3 labels" in sentence for sentence in limits(several))
    assert not any("95 % interval" in sentence for sentence in limits(several))


def test_released_weights_bring_their_licence_and_origin(subject: hub.Subject):
    began = get_weights("timm/inception_v4.tf_in1k")
    text = hub.card(replace(subject, origin=began, began_with=began.tag))
    data = ModelCard(text).data
    assert (data.base_model, data.license) == ("timm/inception_v4.tf_in1k", began.licence.lower())
    assert began.url in text
    elsewhere = get_weights("slim/inception_v4")
    assert front_matter(replace(subject, origin=elsewhere), "").base_model is None  # the hub has no such name
    own = front_matter(subject, "My own terms")
    assert (own.license, own.license_name) == ("other", "my-own-terms")


@pytest.mark.parametrize(
    ("network", "weights", "tag"),
    [
        ("inception_v4", "timm/inception_v4.tf_in1k", "timm/inception_v4.tf_in1k"),
        ("mobilenet_v2", "imagenet", "keras/mobilenet_v2_1.0_224"),
        ("mobilenet_v2", "/no/longer/there.h5", None),
        ("mobilenet_v2", "", None),
    ],
)
def test_what_a_run_began_with_is_looked_up_and_not_fetched(network: str, weights: str, tag: str | None):
    began = origin_of(TrainConfig(model=ModelConfig(name=network, weights=weights)))
    assert (began and began.tag) == tag


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("folder:/home/ada/cats", "folder:cats"),
        ("folder:cats", "folder:cats"),
        ("csv:~/lists/cats.csv,folder:../dogs/", "csv:cats.csv,folder:dogs"),
        (r"folder:C:\Users\ada\cats", "folder:cats"),
        (r"D:\weights\mine.h5", "mine.h5"),
        ("hf:ada/cats:small", "hf:ada/cats:small"),
        ("keras/mobilenet_v2_1.0_224", "keras/mobilenet_v2_1.0_224"),
        ("digits", "digits"),
        ("", ""),
    ],
)
def test_of_a_path_only_the_last_part_is_told(text: str, reads: str):
    assert shown(text) == reads


def test_names_of_classes_are_text_and_nothing_else(subject: hub.Subject):
    assert escaped("a|b\n<script> *c*") == r"a\|b \<script\> \*c\*"
    text = hub.card(replace(subject, class_names=("<img src=x>", "## heading\n## other", "`a`")))
    assert sections(text) < SECTIONS | {"Results"} and "<img" not in text.replace(r"\<img", "")


def test_the_command_writes_a_card_and_replaces_none(run_folder: Path, tmp_path: Path, command):
    code, out, _ = command("card", run_folder, "-o", tmp_path / "README.md", "--license", "MIT")
    assert code == 0 and "README.md" in out
    written = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert command("card", run_folder, "--license", "MIT")[1] == written
    run = shutil.copytree(run_folder, tmp_path / "run")
    for license_ in ("Apache-2.0", "My own terms"):  # the card in the folder says it from then on
        assert command("card", run, "-o", run, "--license", license_, "--overwrite")[0] == 0
        assert command("card", run)[1] == (run / "README.md").read_text(encoding="utf-8").replace(
            license_, license_.lower().replace(" ", "-")
        )
    (run / "README.md").write_text("---\n[: no YAML\n---\n")
    assert ModelCard(command("card", run)[1]).data.license is None
    assert_one_sentence(command("card", run_folder, "-o", tmp_path / "README.md"), "README.md")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == written
    assert_one_sentence(command("card", tmp_path), "config.json", "export.json")
    assert_one_sentence(command("card", run_folder, "-o", tmp_path / "nowhere" / "README.md"), "nowhere")


def test_any_other_model_has_a_card_of_what_it_takes_and_answers(tmp_path: Path, command):
    tiny().save(tmp_path / "own.keras")
    (tmp_path / "names.txt").write_text("".join(f"class {index}\n" for index in range(10)))
    code, out, _ = command("card", tmp_path / "own.keras", "--labels", tmp_path / "names.txt")
    assert code == 0 and "class 0, class 1" in out and "32x32 pixels, grey" in out
    assert 'ki.open_model("own.keras", labels="names.txt")' in out
    assert sections(out) == {"Intended use and limits", "How to run it"} and str(tmp_path) not in out
    assert ModelCard(out).data.eval_results is None
    assert_one_sentence(command("card", tmp_path / "names.txt"), "names.txt")


def test_a_damaged_file_is_one_sentence(run_folder: Path, tmp_path: Path, command):
    run = shutil.copytree(run_folder, tmp_path / "run")
    for name, content in (("data.json", '{"splits": {"train": {}}}'), ("evaluation.json", "{}"), ("metrics.json", "[")):
        kept = (run / name).read_text()
        (run / name).write_text(content)
        assert_one_sentence(command("card", run))
        (run / name).write_text(kept)
    assert command("card", run)[0] == 0
