"""Every picture of some data as a vector in one file, which is the same however often it was broken off."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from training_helpers import write_digits

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.photos import embed, keeping


def small(seed: int = 0) -> keras.Model:
    """A convolution and a classifier, which take pixels."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax", name="classes")(x), name="small")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "small.keras"
    small().save(file)
    return file


def read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as arrays:
        return dict(arrays)


def of_length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_file_tells_names_labels_vectors_and_what_made_them(model: Path, digits_folder: Path, tmp_path: Path):
    made = embed(digits_folder, model, tmp_path / "out.npz")
    kept = read(tmp_path / "out.npz")
    assert (made.pictures, made.features, made.class_names) == (42, 6, ("digit_0", "digit_1", "digit_2"))
    assert kept["names"].tolist() == [str(path) for path in sorted(digits_folder.rglob("*.png"))]
    assert kept["class_names"].tolist() == ["digit_0", "digit_1", "digit_2"]
    assert [Path(name).parent.name for name in kept["names"]] == [f"digit_{label}" for label in kept["labels"]]
    assert set(kept["splits"]) == {"train"}
    predict = kt.Predictor(small())
    assert kept["vectors"].dtype == np.float32
    np.testing.assert_allclose(kept["vectors"], predict.embed([Path(n) for n in kept["names"]]), atol=1e-6)
    about = json.loads(str(kept["about"]))
    assert about["model"] == str(model)
    assert about["data"] == f"folder:{digits_folder}"
    assert (about["end_point"], about["image_shape"]) == ("embedding", [16, 16, 3])
    assert len(about["digest"]) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_an_end_point_is_pooled_and_of_length_one(model: Path, digits_folder: Path, tmp_path: Path):
    for name, shape in {"maps": 6, "classes": 3}.items():
        embed(digits_folder, model, tmp_path / f"{name}.npz", end_point=name)
        kept = read(tmp_path / f"{name}.npz")
        network = small()
        predict = kt.Predictor(network)
        pixels = np.stack([predict.prepare(path) for path in kept["names"].tolist()]).astype("float32")
        values = np.asarray(ki.features(network, name)(pixels))
        values = values.mean((1, 2)) if values.ndim == 4 else values
        assert kept["vectors"].shape == (42, shape)
        np.testing.assert_allclose(kept["vectors"], of_length_one(values), atol=1e-5)


def test_a_folder_of_pictures_alone_has_no_labels(model: Path, digits_folder: Path, tmp_path: Path):
    folder = tmp_path / "flat"
    folder.mkdir()
    for number, path in enumerate(sorted(digits_folder.rglob("*.png"))[:5]):
        shutil.copy(path, folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    (folder / "notes.txt").write_text("no picture")
    made = embed(folder, model, tmp_path / "out.npz")
    kept = read(tmp_path / "out.npz")
    assert kept["labels"].tolist() == [-1] * 5
    assert kept["class_names"].tolist() == []
    assert [Path(name).name for name in kept["names"]] == [f"{number}.png" for number in range(5)]
    assert [Path(file.path).name for file in made.left_out] == ["broken.png"]
    with pytest.raises(ValueError, match="must hold some that can be decoded"):
        (tmp_path / "none").mkdir()
        embed(tmp_path / "none", model, tmp_path / "none.npz")


def test_every_part_of_the_data_is_embedded(model: Path, tmp_path: Path):
    write_digits(tmp_path / "data" / "train", each=5)
    write_digits(tmp_path / "data" / "validation", each=2)
    embed(f"folder:{tmp_path / 'data'}", model, tmp_path / "out.npz")
    kept = read(tmp_path / "out.npz")
    assert kept["splits"].tolist() == ["train"] * 15 + ["validation"] * 6
    assert kept["labels"].tolist() == np.repeat([0, 1, 2], 5).tolist() + np.repeat([0, 1, 2], 2).tolist()


def test_data_that_is_no_folder_is_embedded(model: Path, tmp_path: Path):
    made = embed("digits", model, tmp_path / "out.npz")
    assert (made.pictures, made.class_names) == (1797, tuple(map(str, range(10))))
    kept = read(tmp_path / "out.npz")
    assert {split: int((kept["splits"] == split).sum()) for split in ("train", "test")} == {"train": 1437, "test": 360}
    nearest = kept["vectors"] @ kept["vectors"].T - 2 * np.eye(1797)
    assert (kept["labels"][nearest.argmax(1)] == kept["labels"]).mean() > 0.3  # by chance 0.1


def test_several_labels_stay_zeros_and_ones(model: Path, digits_folder: Path, tmp_path: Path):
    paths = sorted(digits_folder.rglob("*.png"))[:3]
    rows = zip(paths, ("a|b", "b", ""), strict=True)
    (tmp_path / "table.csv").write_text("path,labels\n" + "".join(f"{path},{labels}\n" for path, labels in rows))
    embed(tmp_path / "table.csv", model, tmp_path / "out.npz")
    kept = read(tmp_path / "out.npz")
    by_name = {Path(name): row for name, row in zip(kept["names"], kept["labels"].tolist(), strict=True)}
    assert [by_name[path] for path in paths] == [[1, 1], [0, 1], [0, 0]]


def test_a_call_that_was_broken_off_goes_on_and_ends_alike(
    model: Path, digits_folder: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(keeping, "BATCH", 8)
    embed(digits_folder, model, tmp_path / "whole.npz")
    batches: list[int] = []
    write = keeping.FeatureFolder.write

    def stopping(self, begin, features):
        write(self, begin, features)
        batches.append(begin)
        if len(batches) in (2, 3):
            raise KeyboardInterrupt

    monkeypatch.setattr(keeping.FeatureFolder, "write", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            embed(digits_folder, model, tmp_path / "broken.npz")
        assert not (tmp_path / "broken.npz").exists()
        assert (tmp_path / "broken.npz.partial").is_dir()
    embed(digits_folder, model, tmp_path / "broken.npz")
    assert batches == [0, 8, 16, 24, 32, 40]
    whole, broken = ((tmp_path / f"{name}.npz").read_bytes() for name in ("whole", "broken"))
    assert whole == broken
    assert not (tmp_path / "broken.npz.partial").exists()
    embed(digits_folder, model, tmp_path / "broken.npz")  # which has nothing left to do
    assert len(batches) == 6


def test_a_file_of_other_vectors_is_kept(model: Path, digits_folder: Path, tmp_path: Path):
    out = tmp_path / "out.npz"
    embed(digits_folder, model, out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"replaced with --overwrite alone. Received: .*out\.npz"):
        embed(digits_folder, model, out, end_point="maps")
    assert out.read_bytes() == before
    embed(digits_folder, model, out, end_point="classes", overwrite=True)
    assert read(out)["vectors"].shape == (42, 3)
    out.write_text("something else")
    with pytest.raises(ValueError, match="replaced with --overwrite alone"):
        embed(digits_folder, model, out)


def test_what_was_begun_of_other_pictures_is_not_taken_for_these(
    model: Path, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = keeping.FeatureFolder.write

    def stopping(self, begin, features):
        write(self, begin, features)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keeping.FeatureFolder, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            embed(digits_folder, model, tmp_path / "out.npz")
    more = write_digits(tmp_path / "more", each=3)
    with pytest.raises(ValueError, match="must be those that the features were computed of"):
        embed(more, model, tmp_path / "out.npz")
    assert embed(more, model, tmp_path / "out.npz", overwrite=True).pictures == 9


def test_exported_files_embed_alike(model: Path, digits_folder: Path, tmp_path: Path):
    network = small()
    export = kt.export(network, tmp_path / "export", output="embedding", modes="float32", onnx=True)
    embed(digits_folder, model, tmp_path / "keras.npz")
    expected = read(tmp_path / "keras.npz")["vectors"]
    for number, handle in enumerate([export.folder, export.files["float32"], export.files["onnx"]]):
        made = embed(digits_folder, handle, tmp_path / f"{number}.npz")
        np.testing.assert_allclose(read(made.file)["vectors"], expected, atol=1e-5)
    with pytest.raises(ValueError, match="An end point needs the network in Keras"):
        embed(digits_folder, export.folder, tmp_path / "no.npz", end_point="maps")
    classifier = kt.export(network, tmp_path / "classifier", modes="float32", saved_model=False)
    with pytest.raises(ValueError, match="Vectors are of a Keras model, or of files that were exported with"):
        embed(digits_folder, classifier.folder, tmp_path / "no.npz")
    assert not (tmp_path / "no.npz.partial").exists()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"output": "out.npy"}, ValueError, "ends in .npz"),
        ({"output": "nowhere/out.npz"}, FileNotFoundError, "must exist"),
        ({"output": "folder.npz"}, ValueError, "which is a folder"),
        ({"end_point": "mpas"}, ValueError, "near it are maps"),
        ({"data": "nosuch"}, FileNotFoundError, "Received: nosuch"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_leaves_nothing(
    model: Path, digits_folder: Path, tmp_path: Path, changes: dict, error: type, words: str
):
    (tmp_path / "folder.npz").mkdir()
    asked = {"data": digits_folder, "output": "out.npz"} | changes
    with pytest.raises(error, match=words):
        embed(asked["data"], model, tmp_path / asked["output"], end_point=asked.get("end_point"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on_and_ends_alike(model: Path, tmp_path: Path):
    data = write_digits(tmp_path / "data", each=170, classes=10)
    start = [sys.executable, "-c", "import sys; from keras_inception.cli import main; sys.exit(main())"]

    def command(out: Path) -> list[str]:
        return [*start, "embed", str(data), "--model", str(model), "-o", str(out)]

    subprocess.run(command(tmp_path / "whole.npz"), check=True, capture_output=True)
    out, told = tmp_path / "killed.npz", tmp_path / "killed.npz.partial" / keeping.ROWS
    reached = [0]
    for _ in range(3):
        process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            done = json.loads(told.read_text())["done"].get("vectors", 0) if told.is_file() else 0
            if done > reached[-1]:
                os.kill(process.pid, signal.SIGKILL)
                reached.append(done)
                break
            time.sleep(0.002)
        process.wait()
    assert len(reached) == 4
    subprocess.run(command(out), check=True, capture_output=True)
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_the_example_finds_a_picture_by_itself(model: Path, digits_folder: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = sorted(digits_folder.rglob("*.png"))[20]
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "nearest_neighbours.py"))
    found = example["main"](str(digits_folder), str(picture), str(model))
    assert found[0] == str(picture)
    assert len(set(found)) == 7
    assert (tmp_path / "neighbours.png").stat().st_size > 1000
