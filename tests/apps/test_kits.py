"""The projects that are written: what is in them, what they refuse, and that their own tests can fail."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
from tflite_helpers import coloured, tiny

import keras_inception.tflite as kt
from keras_inception.apps import PLATFORMS, Kit, write_app
from keras_inception.tflite.pictures.fitting import INTERPOLATIONS

# What a person reads of the file, or what names one build of it: all else is the same whatever the network.
OF_THE_FILE = {"README.md", "index.html", "offline.js", "golden", "app.json"}
SIZES = [(40, 52), (9, 200), (300, 7), (32, 32), (20, 24), (64, 64), (97, 61)]


@pytest.fixture(scope="module")
def written(kit: Kit, pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("apps")
    return {platform: write_app(kit, platform, folder / platform, pictures) for platform in PLATFORMS}


def code_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".tflite")
    texts = {path.relative_to(folder): path.read_bytes() for path in files}
    return {str(name): text for name, text in texts.items() if not OF_THE_FILE & set(name.parts)}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_kit_holds_the_file_its_description_and_golden_pictures(written, kit: Kit, platform: str):
    (description,) = written[platform].rglob("app.json")
    told = json.loads(description.read_text("utf-8"))
    assert (description.parent / told["file"]).read_bytes() == kit.file.read_bytes()
    assert told["labels"][-2:] == ['it\'s <this> & "that"', "größer"]
    assert told["preprocessing"] == {"interpolation": "bilinear", "central_crop": 0.875, "longest": 4}
    (expected,) = written[platform].rglob("expected.json")
    rows = json.loads(expected.read_text("utf-8"))["pictures"]
    assert len(rows) == 4
    for row in rows:
        assert (expected.parent / row["picture"]).is_file()
        assert (expected.parent / row["seen"]).is_file()
        assert sum(row["probabilities"]) == pytest.approx(1, abs=0.05)
        assert row["unfamiliar"] >= 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_can_be_parsed_here_parses(written, platform: str):
    parsers = {".json": json.loads, ".xml": ET.fromstring, ".svg": ET.fromstring, ".toml": tomllib.loads}
    texts = {path: path.read_text("utf-8") for path in written[platform].rglob("*") if path.suffix in parsers}
    for path, text in texts.items():
        parsers[path.suffix](text)
    assert texts
    if platform == "android":
        (strings,) = (text for path, text in texts.items() if path.name == "strings.xml")
        assert "Colours &amp; more" in strings


def test_code_holds_no_constant_of_a_network(written, pictures: list[np.ndarray], tmp_path: Path):
    pixels = keras.Input((48, 40, 3))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    outputs = keras.layers.Dense(3, "softmax", name="predictions")(features)
    other = kt.export(keras.Model(pixels, outputs), tmp_path / "export", modes="float32", interpolation="area")
    kit = Kit.of(other, name="Colours & more")
    for platform in PLATFORMS:
        again = write_app(kit, platform, tmp_path / platform, pictures[:1])
        assert code_of(again) == code_of(written[platform])


CHANGES = {
    "bilinear → nearest": ('"bilinear"', '"nearest"', "app.json"),
    "BGR for RGB": (
        "return fit(pixels.reshape(*pixels.shape[:2]",
        "return fit(pixels[..., ::-1].reshape(*pixels.shape[:2]",
        "classify.py",
    ),
    "no crop": ('"central_crop": 0.875', '"central_crop": 1.0', "app.json"),
}


def own_test_of(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "unittest"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_the_python_kit_passes_its_test_and_fails_it_when_pictures_are_prepared_otherwise(
    written, tmp_path: Path, change: str | None
):
    folder = shutil.copytree(written["python"], tmp_path / "app")
    if change is None:
        tested = own_test_of(folder)
        assert tested.returncode == 0, tested.stderr
        told = subprocess.run(
            [sys.executable, "classify.py", "golden/00.png"], cwd=folder, capture_output=True, text=True, check=True
        )
        assert told.stdout.startswith("golden/00.png: ")
        return
    old, new, name = CHANGES[change]
    text = (folder / name).read_text("utf-8")
    assert text.count(old) == 1
    (folder / name).write_text(text.replace(old, new), "utf-8")
    tested = own_test_of(folder)
    assert tested.returncode == 1
    assert "AssertionError" in tested.stderr


@pytest.fixture(scope="module")
def classify(written) -> ModuleType:
    spec = importlib.util.spec_from_file_location("classify_of_a_kit", written["python"] / "classify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_python_and_javascript_prepare_as_the_predictor_does(
    classify: ModuleType, written, kit: Kit, tmp_path: Path, interpolation: str
):
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in SIZES]
    right = kt.Predictor(kit.file, interpolation=interpolation, central_crop=0.8)
    how = {"interpolation": interpolation, "central_crop": 0.8, "longest": 4}
    expected = [right.prepare(tf.io.encode_png(image).numpy()).astype(int) for image in images]
    classify.APP = {**kit.description, "preprocessing": how}
    for image, seen in zip(images, expected, strict=True):
        assert np.abs(classify.fit(image) - seen).max() <= 1
    if shutil.which("node") is None:
        pytest.skip("node is not installed: JavaScript was not tried")
    for number, image in enumerate(images):
        np.concatenate([image, np.full_like(image[..., :1], 255)], 2).tofile(tmp_path / f"{number}.rgba")
    (tmp_path / "app.json").write_text(json.dumps(classify.APP))
    (tmp_path / "prepare.mjs").write_text((written["web"] / "prepare.js").read_text("utf-8"))
    (tmp_path / "run.mjs").write_text(
        'import { readFileSync, writeFileSync } from "node:fs";\n'
        'import { fit } from "./prepare.mjs";\n'
        f"const sizes = {json.dumps(SIZES)};\n"
        'const app = JSON.parse(readFileSync("app.json"));\n'
        "sizes.forEach(([height, width], i) =>\n"
        "  writeFileSync(`${i}.seen`, fit({ height, width, data: readFileSync(`${i}.rgba`) }, app)));\n"
    )
    subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True)
    for number, seen in enumerate(expected):
        pixels = np.fromfile(tmp_path / f"{number}.seen", np.uint8).reshape(seen.shape)
        assert np.abs(pixels - seen).max() <= 1


def test_several_at_once_leave_one_whole_app(kit: Kit, pictures: list[np.ndarray], tmp_path: Path):
    def write(_: int) -> str:
        try:
            return str(write_app(kit, "python", tmp_path / "app", pictures[:1]))
        except kt.ExportError as error:
            return str(error)

    with ThreadPoolExecutor(3) as threads:
        outcomes = sorted(threads.map(write, range(3)))
    refusal = f"The output must be a new or empty folder. Received: {tmp_path / 'app'} is something else."
    assert outcomes == sorted([str(tmp_path / "app"), refusal, refusal])
    assert [path.name for path in tmp_path.iterdir()] == ["app"]
    assert (tmp_path / "app" / "golden" / "expected.json").is_file()


def test_what_is_no_app_is_refused(kit: Kit, export: kt.Export, network: keras.Model, tmp_path: Path):
    with pytest.raises(kt.ExportError, match=r"must be that of a .tflite file \(float32, int8\). Received: dynamic"):
        Kit.of(export, "dynamic")
    with pytest.raises(ValueError, match=r"one picture at least. Received: none"):
        write_app(kit, "python", tmp_path / "app", [])
    with pytest.raises(ValueError, match=r"one of web, python, cpp, android, ios. Received: windows"):
        write_app(kit, "windows", tmp_path / "app", [])
    assert not list(tmp_path.iterdir())
    embedding = kt.export(tiny(), tmp_path / "embedding", modes="float32", saved_model=False, output="embedding")
    with pytest.raises(kt.ExportError, match=r"shows the probabilities of classes. Received: .* answers embedding"):
        Kit.of(embedding)
    batches = kt.export(tiny(), tmp_path / "batches", modes="float32", saved_model=False, batch=None)
    with pytest.raises(kt.ExportError, match=r"one picture a call .* for batches of any size"):
        Kit.of(batches)


def test_a_damaged_file_is_no_app(export: kt.Export, pictures: list[np.ndarray], tmp_path: Path):
    folder = shutil.copytree(export.folder, tmp_path / "export")
    with (folder / "model_int8.tflite").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0\0")
    with pytest.raises(kt.ExportError, match=r"must be as it was written .* Received: model_int8.tflite changed"):
        write_app(Kit.of(kt.Export.open(folder)), "python", tmp_path / "app", pictures)


def test_pictures_of_a_kit_are_no_larger_than_a_kit_may_be(kit: Kit, tmp_path: Path):
    large = np.kron(coloured(1)[0], np.ones((40, 80, 1), np.uint8))
    folder = write_app(kit, "python", tmp_path / "app", [large])
    from PIL import Image

    with Image.open(folder / "golden" / "00.png") as picture:
        assert picture.size == (1024, 512)
