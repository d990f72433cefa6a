"""Any model looks at any labelled pictures, and at any number of others."""

import csv
import json
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tflite_helpers import CLASSES, answers, digits, tiny

import keras_inception as ki
from keras_inception import tflite
from keras_inception.handles import predicting
from keras_inception.handles.images import some_of
from keras_inception.handles.measuring import measure
from keras_inception.labels import imagenet_classes


def linear() -> keras.Model:
    """A network that tells most digits apart by the means of their sixteen parts."""
    model = tiny()
    images, labels = digits()
    logits = model.get_layer("predictions_logits")
    features = np.c_[answers(keras.Model(model.inputs[0], logits.input), images[:800]), np.ones(800)]
    weights = np.linalg.lstsq(features, 10 * np.eye(10)[labels[:800]], rcond=None)[0]
    logits.set_weights([weights[:-1], weights[-1]])
    return model


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A network of digits as a .keras file and as an export, and 60 digits in folders by class."""
    folder = tmp_path_factory.mktemp("pictures")
    linear().save(folder / "own.keras")
    tflite.export(linear(), folder / "export", modes=["float32"], saved_model=False, onnx=True, class_names=CLASSES)
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    for index, (pixels, label) in enumerate(zip(*(part[-60:] for part in digits()), strict=True)):
        place = folder / "data" / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(place / f"{index:02d}.png")
    return folder


def test_all_kinds_of_model_are_measured_alike(folder):
    pixels, labels = (part[-60:] for part in digits())
    right = (answers(linear(), pixels).argmax(1) == labels).mean()
    rows = [
        measure(ki.open_model(folder / name, labels=folder / "names.txt"), f"folder:{folder / 'data'}").row()
        for name in ("own.keras", "export", "export/model.onnx")
    ]
    assert 0.5 < right < 1
    for row in rows:
        assert row["top1"] == pytest.approx(right * 100, abs=1e-3)
        assert row["cross_entropy"] == pytest.approx(rows[0]["cross_entropy"], abs=1e-4)
        assert row["images"] == 60 and row["top5"] > row["top1"] and row["images_per_second"] > 0


def flat(folder: Path, place: Path) -> list[tuple[str, str]]:
    """The pictures in one folder, and what each shows."""
    place.mkdir()
    shown = []
    for file in sorted((folder / "data").rglob("*.png")):
        (place / file.name).symlink_to(file)
        shown.append((file.name, file.parent.name))
    return sorted(shown)


def test_a_list_tells_the_classes_of_a_flat_folder(folder, tmp_path):
    shown = flat(folder, tmp_path / "flat")
    model = ki.open_model(folder / "own.keras", labels=folder / "names.txt")
    expected = measure(model, f"folder:{folder / 'data'}").evaluation
    by_index = [f"{name} {CLASSES.index(label)}" for name, label in reversed(shown)]
    by_name = [f"{name} {label}" for name, label in shown]  # classes of two words
    for lines in (
        by_index,
        by_name,
        [line.replace(".png ", ".png\t") for line in by_name],
        [label for _, label in shown],
    ):
        (tmp_path / "truth.txt").write_text("\n".join(lines))
        found = measure(model, f"folder:{tmp_path / 'flat'}", ground_truth=str(tmp_path / "truth.txt")).evaluation
        assert (found.accuracy, found.images) == (expected.accuracy, 60)
        assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    for lines, words in (
        (["digit 1"], "a line for each of the 60 images"),
        (["digit 77"] * 60, "names classes of the model. Received: digit 77"),
        (["1001"] * 60, "numbers alone"),
        ([by_index[0], "other.png 3"], "names images of the folder"),
        ([f"{shown[0][0]} 10"], "names classes of the model"),
    ):
        (tmp_path / "truth.txt").write_text("\n".join(lines))
        with pytest.raises(ValueError, match=words):
            measure(model, f"folder:{tmp_path / 'flat'}", ground_truth=str(tmp_path / "truth.txt"))
    with pytest.raises(FileNotFoundError, match="A list of classes is a text file"):
        measure(model, f"folder:{tmp_path / 'flat'}", ground_truth="nowhere.txt")


def test_pictures_beside_folders_of_others_are_not_left_out_in_silence(folder, tmp_path):
    flat(folder, tmp_path / "mixed")
    (tmp_path / "mixed" / "more").symlink_to(folder / "data" / "digit 1")
    model = ki.open_model(folder / "own.keras")
    with pytest.raises(ValueError, match="not both. Received: '00.png', '01.png' and 58 more beside 'more'"):
        list(some_of(model, f"folder:{tmp_path / 'mixed'}", 5))


def test_imagenet_is_known_by_wordnet_ids_in_folders_and_in_file_names(tmp_path):
    keras.utils.set_random_seed(0)
    mean = keras.layers.GlobalAveragePooling2D()
    scaled = keras.layers.Rescaling(1 / 255)
    model = keras.Sequential([keras.Input((32, 32, 3)), scaled, mean, keras.layers.Dense(1000, activation="softmax")])
    model.save(tmp_path / "thousand.keras")
    opened = ki.open_model(tmp_path / "thousand.keras", labels="imagenet")
    random = np.random.default_rng(0)
    wnids = [imagenet_classes()[index][0] for index in (0, 134, 517, 999)]  # 134 and 517 are both called crane
    pictures = {}
    for wnid in wnids:
        pictures[wnid] = random.integers(0, 256, (32, 32, 3), np.uint8)
        for file in (tmp_path / "folders" / wnid / "1.png", tmp_path / "flat" / f"{wnid}_1.png"):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[wnid]).save(file)
    answers = opened(np.stack([pictures[wnid] for wnid in wnids]))
    expected = -np.log(answers[np.arange(4), [0, 134, 517, 999]]).mean()
    for name in ("folders", "flat"):
        found = measure(opened, f"folder:{tmp_path / name}").evaluation
        assert (found.images, found.loss) == (4, pytest.approx(expected, rel=1e-5))


def test_pictures_for_a_proof_have_labels_where_their_classes_are_known(folder, tmp_path):
    model = ki.open_model(folder / "own.keras", labels=folder / "names.txt")
    (labelled,) = some_of(model, f"folder:{folder / 'data'}", 20)
    assert labelled[0].shape == (20, 32, 32, 1) and len(labelled[1]) == 20
    by_index = ki.open_model(folder / "own.keras")  # whose classes are called 0 to 9
    flat(folder, tmp_path / "flat")
    for place in (folder / "data", tmp_path / "flat"):
        first, _ = some_of(by_index, f"folder:{place}", 60)
        assert first.shape == (32, 32, 32, 1)


def test_a_file_of_predictions_that_was_broken_off_is_gone_on_with(folder, tmp_path, monkeypatch):
    model = ki.open_model(folder / "export")
    files = predicting.pictures_in([folder / "data"])
    predicting.write_predictions(model, files, tmp_path / "whole.csv", top=2)
    asked = []
    answer = predicting._answered

    def breaking(model, batch, top, tolerant):
        if len(asked) == 1 and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        asked.append(len(batch))
        return answer(model, batch, top, tolerant)

    monkeypatch.setattr(predicting, "_answered", breaking)
    with pytest.raises(KeyboardInterrupt):
        predicting.write_predictions(model, files, tmp_path / "broken.csv", top=2)
    assert not (tmp_path / "broken.csv").exists()
    partial = tmp_path / ".broken.csv.partial"
    partial.write_bytes(partial.read_bytes()[:-7])  # a process that is killed cuts a line off
    with pytest.raises(ValueError, match="go on with the same model and --top"):
        predicting.write_predictions(model, files, tmp_path / "broken.csv", top=3)
    (tmp_path / "again").touch()
    assert predicting.write_predictions(model, files, tmp_path / "broken.csv", top=2) == 0
    assert sum(asked[1:]) == 60 - 31  # the rest and the one that was cut off
    assert (tmp_path / "broken.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "broken.csv", "whole.csv"]


def test_lines_tell_names_probabilities_and_what_cannot_be_read(folder, tmp_path):
    model = ki.open_model(folder / "export")
    good, bad = next(folder.rglob("data/*/*.png")), tmp_path / "text, or so.jpg"
    bad.write_text("no picture")
    for suffix in (".csv", ".jsonl"):
        assert predicting.write_predictions(model, [bad, good], tmp_path / f"out{suffix}", top=3) == 1
    first, second = table(tmp_path / "out.csv")
    assert first["image"] == str(bad) and "text, or so.jpg" in first["error"] and not first["class_1"]
    expected = tflite.Predictor(folder / "export")(good).top(3)
    assert [second[f"class_{rank}"] for rank in (1, 2, 3)] == [name for name, _ in expected]
    assert float(second["probability_1"]) == pytest.approx(expected[0][1]) and not second["error"]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "error" in rows[0] and [named["class"] for named in rows[1]["predictions"]] == [name for name, _ in expected]
    with pytest.raises(ValueError, match=r"ends in \.csv or \.jsonl"):
        predicting.write_predictions(model, [good], tmp_path / "out.txt")
    with pytest.raises(ValueError, match="with --overwrite"):
        predicting.write_predictions(model, [good], tmp_path / "out.csv")


def test_memory_does_not_grow_with_the_number_of_pictures(folder, tmp_path):
    model = ki.open_model(folder / "export")
    file = next(folder.rglob("data/*/*.png"))

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in predicting.predict_files(model, (file for _ in range(count))):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(200)  # what is made once
    assert peak(1600) - peak(200) < 1400 * 32 * 32 / 2  # the pixels of 1,400 pictures are twice that


def test_the_command_measures_several_models_into_one_table(command, folder, tmp_path):
    arguments = [folder / "own.keras", folder / "export" / "model_float32.tflite", "--labels", folder / "names.txt"]
    where = ["--data", f"folder:{folder / 'data'}", "--csv", tmp_path / "all.csv"]
    code, out, err = command("evaluate", *arguments, *where)
    assert code == 0, err
    first, second = table(tmp_path / "all.csv")
    assert (first["kind"], second["kind"]) == ("keras", "tflite")
    assert first["top1"] == second["top1"] and first["top1"][:4] in out
    assert command("evaluate", *arguments, *where)[0] == 1  # the table is there


def test_the_command_exports_proves_and_names(command, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ["--labels", folder / "names.txt"]
    data = f"folder:{folder / 'data'}"
    code, _, err = command(
        "export", folder / "own.keras", *said, "--calibration", data, "--no-saved-model", "--agreement", "0.5",
        "--accuracy-loss", "0.5", "--prove", "--data", data,
    )  # fmt: skip
    assert code == 0, err
    proof = json.loads((tmp_path / "own-export" / "proof.json").read_text())
    assert proof["passed"] and proof["rows"][0]["accuracy"] is not None
    code, out, _ = command("verify", folder / "own.keras", *said, "--data", data, "--agreement", "0.5", "--json")
    assert json.loads(out)["images"] == 60
    picture = next(folder.rglob("data/*/*.png"))
    code, out, err = command("predict", "own-export/model_int8.tflite", picture, "--json")
    assert code == 0 and json.loads(out)[0]["predictions"][0]["class"] in CLASSES, err
    code, out, _ = command("predict", "own-export", folder / "data", "-o", "all.jsonl")
    assert code == 0 and len(Path("all.jsonl").read_text().splitlines()) == 60
    code, out, _ = command("summary", folder / "own.keras")
    assert code == 0 and "predictions" in out
    code, _, err = command("benchmark", "own-export/model_int8.tflite", folder / "own.keras", "--runs", "1")
    assert code == 0, err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "own.keras"], ["--data names the images"]),
        (["export", "export"], ["An export needs the network in Keras", "the folder of an export"]),
        (["export", "own.keras"], ["--calibration names real pictures"]),
        (["export", "own.keras", "--modes", "float32", "--prove"], ["--data names real images"]),
        (["export", "own.keras", "--modes", "float32", "--data", "folder:data"], ["--data is what --prove takes"]),
        (["verify", "own.keras", "--folder", "export"], ["--data names real images"]),
        (["summary", "export/model.onnx"], ["needs the network in Keras", "an .onnx file"]),
        (["summary", "own.keras", "--classes", "5"], ["--classes", "built new"]),
        (["predict", "own.keras", "nowhere"], ["An image file must exist"]),
        (["predict", "own.keras", "."], ["must hold some"]),
        (["evaluate", "own.keras", "--data", "folder:data"], ["among the 10 classes", "'digit 0'"]),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(command, folder, tmp_path, monkeypatch, arguments, words):
    for name in ("own.keras", "export", "data"):
        (tmp_path / name).symlink_to(folder / name)
    if arguments[-1] == ".":
        (tmp_path / "data").unlink()
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*arguments)
    assert code == 1 and len(err.splitlines()) == 1, err
    assert all(word in err for word in words), err


def test_any_model_learns_what_it_knows_from_labelled_pictures(command, folder, tmp_path):
    labels, place = folder / "names.txt", tmp_path / "digits"
    for index, (pixels, label) in enumerate(zip(*(part[800:1200] for part in digits()), strict=True)):
        file = place / ("train" if index < 200 else "validation") / CLASSES[label] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(file)
    arguments = ["--labels", labels, "--modes", "float32", "--no-saved-model", "--known"]
    code, _, err = command("export", folder / "own.keras", *arguments, f"folder:{place}", "-o", tmp_path / "out")
    assert code == 0, err
    manifest = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (manifest["unfamiliar"]["images"], manifest["unfamiliar"]["held_out"]) == (200, 200)
    predict = tflite.Predictor(tmp_path / "out")
    found = predict.batch(digits()[0][1200:1700])
    right = [CLASSES[label] in one.candidates(0.9) for one, label in zip(found, digits()[1][1200:1700], strict=True)]
    assert np.mean(right) == pytest.approx(0.9, abs=0.06)
    assert np.mean([one.known for one in found]) == pytest.approx(0.95, abs=0.05)
    # Of one part alone, half of each class sets the limits.
    code, _, err = command(
        "export", folder / "own.keras", *arguments, f"folder:{place / 'train'}", "-o", tmp_path / "halves"
    )
    manifest = json.loads((tmp_path / "halves" / "export.json").read_text())
    assert (manifest["unfamiliar"]["images"], manifest["unfamiliar"]["held_out"]) == (100, 100), err
