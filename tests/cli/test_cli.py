"""The command from outside: what it prints, its exit codes, and one clear sentence for each mistake of a user."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from command_helpers import Command, assert_one_sentence
from PIL import Image

import keras_inception as ki
from keras_inception.cli import main

SMALL = ["--epochs", "1", "--model.alpha", "0.5", "--model.no-aux-heads"]
CELL = [*SMALL, "--model.name", "inception_cell", "--model.options", "modules=1", "width=32"]
CLASSES = 10


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on digits for one epoch, and its export. Tests that write into it take a copy: see `run`."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--recipe", "digits", *CELL, "--output", str(folder)]) == 0
    assert main(["export", str(folder), "--calibration", "32"]) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def digit_image(path: Path) -> Path:
    """One of the real digits as an image file."""
    from sklearn.datasets import load_digits

    pixels = (load_digits().images[0] * 255 / 16).astype(np.uint8)
    Image.fromarray(pixels).resize((32, 32)).save(path)
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---------------------------------------------------------------------------------------------------- what it prints


def test_models_prints_a_row_for_every_network(command: Command):
    code, out, _ = command("models")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if " M " in line] == ki.list_models()


def test_models_as_json_holds_the_registry(command: Command):
    _, out, _ = command("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows.keys() == set(ki.list_models())
    assert rows["inception_v1"]["aux_heads"] == {"aux1": 0.3, "aux2": 0.3}


@pytest.mark.parametrize(
    ("options", "weights"),
    [(["variant=bn"], 163_328), (["variant=bn", "naive=true"], 387_072)],
    ids=["reduced", "naive"],
)
def test_summary_prints_the_weights_of_the_first_module(command: Command, options: list[str], weights: int):
    code, out, _ = command("summary", "inception_v1", "--options", *options)
    assert code == 0
    (row,) = [line for line in out.splitlines() if "inception_3a" in line]
    assert f"{weights:,}" in row
    assert "28x28x" in row


def test_summary_takes_size_classes_and_auxiliary_heads(command: Command):
    arguments = ["--image-size", "96", "--classes", "17", "--aux-heads", "--json"]
    _, out, _ = command("summary", "inception_v1", *arguments)
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["predictions"]["output_shape"] == rows["aux1"]["output_shape"] == [17]


def test_the_recipe_decides_the_defaults_that_help_shows(command: Command):
    from keras_inception import training

    for recipe in training.list_recipes():
        code, out, _ = command("train", "--recipe", recipe, "--help")
        assert code == 0
        assert f"(default: {recipe})" in " ".join(out.replace("│", " ").split())


def test_modes_are_those_that_the_export_knows():
    from keras_inception.cli.arguments import Mode
    from keras_inception.tflite.files.modes import MODES

    assert get_args(Mode) == tuple(MODES)


# ---------------------------------------------------------------------------------------------------- the whole way


def test_train_leaves_a_run_with_the_overrides(trained: Path):
    config = json.loads((trained / "config.json").read_text())
    assert (config["recipe"], config["epochs"], config["model"]["alpha"]) == ("digits", 1, 0.5)
    assert config["model"]["options"] == {"stem": "low_resolution", "modules": 1, "width": 32}
    assert (trained / "report.html").is_file()


def test_train_adds_builder_keywords_to_those_of_the_recipe(command: Command, tmp_path: Path):
    folder = tmp_path / "run"
    # The misspelt keyword is refused by the builder, which shows that it got there beside the recipe's stem.
    outcome = command("train", *SMALL, "--model.options", "variant=papr", "--output", folder)
    assert_one_sentence(outcome, "variant", "papr")
    assert not folder.exists()


def test_evaluate_prints_the_accuracy_and_writes_it(command: Command, run: Path):
    code, out, _ = command("evaluate", run, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["images"] == 360
    assert json.loads((run / "evaluation.json").read_text())["accuracy"] == result["accuracy"]


@pytest.mark.slow
def test_evaluate_takes_crops_several_runs_and_what_to_leave_out(command: Command, run: Path):
    code, out, _ = command("evaluate", run, run, "--crops", "10", "--without", "3", "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["crops"], len(result["runs"])) == (10, 2)
    assert result["images"] < result["with_all_images"]["images"] == 360
    kept = json.loads((run / "evaluation-test-10crops-ensemble-without.json").read_text())
    assert kept["accuracy"] == result["accuracy"]
    code, out, _ = command("evaluate", run, "--without", "3")
    assert code == 0
    assert "calibration error" in out
    assert "accuracy of all 360" in out
    code, _, err = command("evaluate", run, "--without", "thirteen")
    assert code == 1
    assert "Received: 'thirteen'" in err


def test_predict_names_the_likeliest_classes_of_each_image(command: Command, trained: Path, tmp_path: Path):
    images = [digit_image(tmp_path / name) for name in ("one.png", "two.jpg")]
    code, out, _ = command("predict", trained, *images, "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["image"] for row in rows] == [str(image) for image in images]
    for row in rows:
        probabilities = [named["probability"] for named in row["predictions"]]
        assert len(probabilities) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1 + 1e-6


def test_predict_prints_as_many_classes_as_asked(command: Command, trained: Path, tmp_path: Path):
    code, out, _ = command("predict", trained, digit_image(tmp_path / "one.png"), "--top", "2")
    assert code == 0
    assert len([line for line in out.splitlines() if line.rstrip().endswith("%")]) == 2


def test_export_writes_what_verify_proves(command: Command, run: Path):
    names = {path.name for path in (run / "export").iterdir()}
    assert {"saved_model", "model_float32.tflite", "model_int8.tflite", "labels.txt", "export.json"} <= names
    # One epoch leaves the classes close together, where int8 may change the first one: other limits than the defaults.
    lenient = ("--agreement", "0.5", "--accuracy-loss", "0.5", "--known-agreement", "0.5")
    code, out, _ = command("verify", run, "--images", "64", *lenient, "--json")
    proof = json.loads(out)
    assert (code, proof["passed"], proof["images"]) == (0, True, 64)
    assert {row["mode"] for row in proof["rows"]} == {"keras", "saved_model", "float32", "int8"}
    assert not [row for row in proof["rows"] if row["custom_operators"]]


def test_verify_exits_with_1_past_a_limit(command: Command, run: Path):
    code, out, err = command("verify", run, "--images", "16", "--difference", "0")
    assert code == 1
    assert "model_float32.tflite" in out
    assert "failed: model_float32.tflite must differ by 0 at most." in err


def test_verify_exits_with_1_for_a_damaged_export(command: Command, run: Path):
    damaged = run / "export" / "model_int8.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    code, _, err = command("verify", run, "--images", "16", "--agreement", "0.5", "--accuracy-loss", "0.5")
    assert code == 1
    assert "model_int8.tflite" in err


def test_benchmark_times_each_file(command: Command, trained: Path):
    files = [trained / "export" / f"model_{mode}.tflite" for mode in ("float32", "int8")]
    code, out, _ = command("benchmark", *files, "--runs", "3", "--json")
    assert code == 0
    assert [(row["name"], row["runs"]) for row in json.loads(out)] == [(str(file), 3) for file in files]
    code, out, _ = command("benchmark", *files, "--runs", "3")
    assert out.count(" ms") == 4


def test_a_warning_is_a_line_without_its_place():
    script = """
import warnings
from keras_inception import cli
cli._run = lambda arguments: warnings.warn(arguments[0])
cli.main(["What is kept is made anew."])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr == "warning: What is kept is made anew.\n"


def test_libraries_write_nothing_to_the_terminal(trained: Path):
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from keras_inception.cli import main; sys.exit(main())",
            "evaluate",
            trained,
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert result.stderr == ""
    assert "accuracy" in result.stdout


# ---------------------------------------------------------------------------------------------------- usage errors


@pytest.mark.parametrize(
    "arguments",
    [[], ["trian"], ["summary"], ["train", "--epochs", "many"], ["train", "--no-such-option", "1"], ["predict", "run"],
     ["export", "run", "--modes", "int4"], ["summary", "inception_v1", "--options", "variant"]],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_command_line_exits_with_2(command: Command, arguments: list[str]):
    code, out, err = command(*arguments)
    assert code == 2
    assert err
    assert not out


# ---------------------------------------------------------------------------------------------------- bad input


def folder_of_images(root: Path, classes: dict[str, int]) -> Path:
    """A folder of class sub-folders with that many real digits each."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            digit_image(root / name / f"{index}.png")
    return root


def test_an_unknown_network_is_answered_with_the_nearest(command: Command):
    assert_one_sentence(command("summary", "inceptoin_v1"), "'inceptoin_v1'", "Did you mean 'inception_v1'?")


def test_an_unknown_network_in_training_leaves_no_folder(command: Command, tmp_path: Path):
    outcome = command("train", "--model.name", "incepton_v1", "--output", tmp_path / "run")
    assert_one_sentence(outcome, "'incepton_v1'", "'inception_v1'?")
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_is_answered_with_the_nearest(command: Command):
    assert_one_sentence(command("train", "--recipe", "digit"), "digits")


@pytest.mark.parametrize(
    ("classes", "words"),
    [({}, ["no images"]), ({"only": 4}, ["two classes", "'only'"]), ({"one": 3, "none": 0}, ["none"])],
    ids=["empty", "one class", "an empty class"],
)
def test_a_folder_that_cannot_be_trained_on(
    command: Command, tmp_path: Path, classes: dict[str, int], words: list[str]
):
    data = tmp_path / "data"
    data.mkdir()
    folder_of_images(data, classes)
    outcome = command("train", *CELL, "--data", f"folder:{data}", "--output", tmp_path / "run")
    assert_one_sentence(outcome, str(data), *words)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_does_not_exist(command: Command, tmp_path: Path):
    outcome = command("train", "--data", f"folder:{tmp_path / 'no'}", "--output", tmp_path / "run")
    assert_one_sentence(outcome, str(tmp_path / "no"))


@pytest.mark.slow
def test_files_that_are_no_images_are_set_aside_and_named(command: Command, tmp_path: Path):
    data = folder_of_images(tmp_path / "data", {"a": 12, "b": 12})
    (data / "a" / "text.jpg").write_text("this is no image")
    whole = digit_image(tmp_path / "whole.jpg").read_bytes()
    (data / "b" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    before = snapshot(data)
    arguments = ["train", "--recipe", "digits", *CELL, "--data", f"folder:{data}", "--output", tmp_path / "run"]
    assert_one_sentence(command(*arguments), "pipeline.max_bad_share", "2 of 26")
    code, out, _ = command(*arguments, "--pipeline.max-bad-share", "0.2")
    assert code == 0
    assert "text.jpg" in out
    assert "cut.jpg" in out
    quarantine = (tmp_path / "run" / "quarantine.txt").read_text()
    assert "text.jpg" in quarantine
    assert "cut.jpg" in quarantine
    assert snapshot(data) == before


def test_a_text_file_named_jpg_cannot_be_predicted(command: Command, trained: Path, tmp_path: Path):
    (tmp_path / "text.jpg").write_text("this is no image")
    assert_one_sentence(command("predict", trained, tmp_path / "text.jpg"), "text.jpg")


def test_a_truncated_jpeg_cannot_be_predicted(command: Command, trained: Path, tmp_path: Path):
    whole = digit_image(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    assert_one_sentence(command("predict", trained, tmp_path / "whole.jpg", tmp_path / "cut.jpg"), "cut.jpg")


def test_an_image_that_does_not_exist(command: Command, trained: Path, tmp_path: Path):
    assert_one_sentence(command("predict", trained, tmp_path / "no.jpg"), "no.jpg")


@pytest.mark.parametrize("name", ["evaluate", "export", "verify"])
def test_a_run_folder_without_a_checkpoint(command: Command, run: Path, name: str):
    (run / "checkpoints" / "best.keras").unlink()
    before = snapshot(run)
    extra = ["--overwrite"] if name == "export" else []
    assert_one_sentence(command(name, run, *extra), "checkpoint", str(run))
    assert snapshot(run) == before


@pytest.mark.parametrize("name", ["evaluate", "export", "verify"])
def test_a_folder_that_is_no_run(command: Command, tmp_path: Path, name: str):
    assert_one_sentence(command(name, tmp_path), str(tmp_path))


@pytest.mark.parametrize("name", ["evaluate", "export", "verify"])
def test_a_class_count_that_disagrees_with_the_checkpoint(command: Command, run: Path, name: str):
    with (run / "class_names.txt").open("a") as names:
        names.write("ten\n")
    before = snapshot(run)
    extra = ["--overwrite"] if name == "export" else []
    assert_one_sentence(command(name, run, *extra), f"{CLASSES}", f"{CLASSES + 1}")
    assert snapshot(run) == before


def test_an_output_folder_that_cannot_be_written(command: Command, trained: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "folder"  # no permission stops root, but a file is no folder for anyone
    assert_one_sentence(command("train", *CELL, "--output", folder), str(tmp_path / "file"))
    assert_one_sentence(command("export", trained, "--output", folder), str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_run_is_not_overwritten_unasked(command: Command, run: Path):
    before = snapshot(run)
    assert_one_sentence(command("train", *CELL, "--output", run), str(run))
    assert_one_sentence(command("export", run), str(run / "export"))
    assert snapshot(run) == before


def test_another_backend_is_refused_for_training(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert_one_sentence(command("train", *CELL, "--output", tmp_path / "run"), "KERAS_BACKEND=tensorflow", "torch")


def test_debug_shows_where(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_INCEPTION_DEBUG", "1")
    with pytest.raises(ValueError, match="inceptoin_v1"):
        main(["summary", "inceptoin_v1"])


# ---------------------------------------------------------------------------------------- which recipe, which command


@pytest.mark.parametrize(
    "arguments",
    [["tune", "flowers17"], ["tune", "--max-trials", "2", "flowers17"], ["tune", "--recipe", "flowers17"]],
    ids=["first", "behind an option", "by --recipe"],
)
def test_a_search_is_around_the_recipe_that_was_asked_for(command: Command, monkeypatch, arguments: list[str]):
    from keras_inception.training import load_recipe, tuning

    searched = []

    def stop(config, *_: object, **__: object) -> None:
        searched.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(tuning, "tune", stop, raising=False)
    assert_one_sentence(command(*arguments), "enough")
    assert searched == [load_recipe("flowers17")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "--max-trials", "2", "nosuch"], ["A recipe is one of", "nosuch"]),
        (["tune", "--recipe", "cifar10", "flowers17"], ["one recipe", "cifar10", "flowers17"]),
        (["predict", "tune", "cat.jpg"], ["A model is", "tune"]),
        (["summary", "inception_v1", "--options", "alhpa=0.5"], ["alhpa"]),
        (["summary", "inception_v1", "--options", "classes=5"], ["classes"]),
    ],
)
def test_whatever_is_mistyped_ends_in_a_sentence(command: Command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(command(*arguments), *words)


def test_the_version(command: Command):
    assert command("--version") == (0, f"keras-inception {ki.__version__}\n", "")


def test_exports_tell_strangers_and_candidates_unless_asked_not_to(command: Command, run: Path, tmp_path: Path):
    told = json.loads((run / "export" / "export.json").read_text())
    assert told["unfamiliar"]["keep"] == 0.95
    kept = json.loads((run / "calibration.json").read_text())["coverage"]
    assert told["trust"]["coverage"] == kept
    plain = tmp_path / "plain"
    options = ("--modes", "float32", "--no-saved-model", "--no-unfamiliar", "--score-threshold", "0.95")
    code, _, err = command("export", run, "--output", plain, *options)
    assert code == 0, err
    told = json.loads((plain / "export.json").read_text())
    assert "unfamiliar" not in told
    assert told["trust"]["score_threshold"] == 0.95
    assert_one_sentence(command("export", run, "--score-threshold", "0.5", "--overwrite"), "0.9, 0.95, 0.99", "0.5")

    (tmp_path / "strangers").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (8, 20, 20), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / "strangers" / f"{number}.png")
    lenient = ("--agreement", "0.5", "--accuracy-loss", "0.5", "--known-agreement", "0.5")
    code, out, _ = command("verify", run, "--images", "64", *lenient, "--strangers", f"folder:{tmp_path / 'strangers'}")
    assert code == 0
    for heading in ("covers 90%", "covers 99%", "calibration error", "turned away", "let in"):
        assert heading in out
    rows = json.loads((run / "export" / "proof.json").read_text())["rows"]
    assert all(0 <= row["trusted"]["let_in"] <= 1 for row in rows)
    assert_one_sentence(command("verify", run, "--strangers", f"folder:{plain}"), str(plain))
