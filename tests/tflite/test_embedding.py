"""Exports that answer an embedding: vectors of length 1 in every kind of file, proven by cosine."""

import json
import subprocess
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console
from tflite_helpers import digits, tiny, two_headed

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception import weights
from keras_inception.preprocessing import PREPROCESSING
from keras_inception.tflite.files.metadata import labels_of
from keras_inception.tflite.proving.cosines import CosineYardstick
from keras_inception.tflite.running.litert import LiteRTModel

IMAGES = digits()[0][:120]
MODES = ("float32", "float16", "dynamic", "int8", "int16x8")


def network() -> keras.Model:
    return two_headed()


def of_length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def expected(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return of_length_one(np.asarray(ki.embedding(model)(images.astype("float32"), training=False)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> kt.Export:
    folder = tmp_path_factory.mktemp("embedding") / "out"
    return kt.export(network(), folder, output="embedding", calibration=IMAGES[:40], modes=MODES)


@pytest.mark.parametrize("mode", MODES)
def test_every_file_answers_vectors_of_length_one_that_point_where_the_networks_do(exported: kt.Export, mode: str):
    file = LiteRTModel(exported.files[mode])
    vectors = file(IMAGES[40:60])
    assert (file.output, vectors.dtype) == ("embedding", np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * expected(network(), IMAGES[40:60])).sum(axis=1)
    assert cosines.min() > (0.99999 if mode.startswith("float") else 0.99)


def test_only_the_last_operator_of_an_integer_file_is_a_float_one(exported: kt.Export):
    rows = {row["mode"]: row for row in exported.manifest["files"]}
    assert rows["int8"]["float_operators"] == {"L2_NORMALIZATION": 1}
    assert rows["float32"]["operators"]["L2_NORMALIZATION"] == 1


def test_the_export_says_what_it_answers_and_names_no_classes(exported: kt.Export):
    opened = kt.Export.open(exported.folder)
    features = expected(network(), IMAGES[:1]).shape[1]
    assert opened.manifest["output"] == {
        "name": "embedding",
        "dtype": "float32",
        "features": features,
        "kind": "embedding",
    }
    assert (opened.output, opened.answers, opened.class_names) == ("embedding", features, ())
    assert not (exported.folder / "labels.txt").exists()
    with zipfile.ZipFile(opened.files["float32"]) as archive:
        assert archive.namelist() == []
    with pytest.raises(kt.ExportError, match="must hold labels"):
        labels_of(opened.files["float32"])


@pytest.mark.parametrize("changes", [{"kind": "vectors"}, {"features": 0}, {"features": "6"}], ids=str)
def test_a_damaged_description_is_noticed(exported: kt.Export, tmp_path: Path, changes: dict):
    manifest = json.loads((exported.folder / "export.json").read_text())
    manifest["output"] |= changes
    (tmp_path / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(kt.ExportError, match="must be as export wrote them"):
        kt.Export.open(tmp_path)


def test_files_for_any_batch_and_of_selective_quantisation(tmp_path: Path):
    pytest.importorskip("litert_quantizer")
    export = kt.export(
        network(), tmp_path / "out", output="embedding", modes="int8", saved_model=False, batch=None, selective=True,
        calibration=IMAGES[:40], proof=[IMAGES[40:60]], limits=kt.Limits(quantized_cosine=0.99995),
    )  # fmt: skip
    (row,) = export.manifest["files"]
    assert row["float_layers"]
    vectors = LiteRTModel(export.files["int8"])(IMAGES[60:67])
    assert (vectors * expected(network(), IMAGES[60:67])).sum(axis=1).min() > 0.9999


def test_a_changed_file_is_still_noticed(exported: kt.Export, tmp_path: Path):
    content = bytearray(exported.files["int8"].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.tflite").write_bytes(content)
    with pytest.raises(kt.ExportError, match="must be as it was written"):
        LiteRTModel(tmp_path / "changed.tflite")


def test_an_older_export_is_replaced_by_one_that_answers_something_else(tmp_path: Path):
    options = {"modes": "float32", "saved_model": False}
    kt.export(tiny(), tmp_path / "out", **options)
    assert (tmp_path / "out" / "labels.txt").exists()
    kt.export(tiny(), tmp_path / "out", output="embedding", overwrite=True, **options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "model_float32.tflite"]
    assert kt.export(tiny(), tmp_path / "out", overwrite=True, **options).class_names == tuple(map(str, range(10)))


def test_the_predictor_embeds_with_whatever_answers_an_embedding(exported: kt.Export):
    model = network()
    sources = [model, exported, exported.folder, exported.files["float32"], exported.files["int8"]]
    for source in sources:
        vectors = kt.Predictor(source).embed(IMAGES[40:45])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert (vectors * expected(model, IMAGES[40:45])).sum(axis=1).min() > 0.99
        assert kt.Predictor(source).embed([]).shape == (0, vectors.shape[1])


def test_what_an_embedding_cannot_tell_is_said(exported: kt.Export, tmp_path: Path):
    predict = kt.Predictor(exported)
    assert predict.class_names == ()
    for ask in (predict, predict.batch, predict.probabilities):
        with pytest.raises(kt.ExportError, match="An embedding tells no classes"):
            ask(IMAGES[0] if ask is predict else IMAGES[:2])
    for wrong in ({"class_names": ["a"]}, {"thresholds": [0.5]}):
        with pytest.raises(kt.ExportError, match="An embedding tells no classes"):
            kt.Predictor(exported, **wrong)
    classifier = kt.export(tiny(), tmp_path / "out", modes="float32", saved_model=False)
    for source in (classifier, classifier.files["float32"]):
        with pytest.raises(kt.ExportError, match=r"Vectors are of a Keras model.*--head embedding.*Received: .*out"):
            kt.Predictor(source).embed(IMAGES[:1])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"class_names": ["a", "b"]}, "class names"),
        ({"thresholds": [0.5] * 10}, "thresholds"),
        ({"learning": "float32"}, "a learning file"),
    ],
)
def test_classes_of_an_embedding_are_refused_before_anything_is_written(wrong: dict, named: str, tmp_path: Path):
    with pytest.raises(kt.ExportError, match=f"An embedding tells no classes.*Received: {named}"):
        kt.export(tiny(), tmp_path / "out", output="embedding", modes="float32", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_network_without_a_classifier_to_be_found_is_refused(tmp_path: Path):
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    votes = keras.layers.Add()([keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)])
    model = keras.Model(pixels, keras.layers.Softmax()(votes))
    with pytest.raises(kt.ExportError, match=r"must be a dense layer or a convolution.*classes of Add"):
        kt.export(model, tmp_path / "out", output="embedding", modes="float32")


def test_maps_and_models_in_models_are_embedded(tmp_path: Path):
    inner = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Conv2D(6, 3, activation="relu")])
    model = keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Rescaling(1 / 255), inner])
    out = kt.export(model, tmp_path / "out", output="embedding", modes="float32", saved_model=False)
    maps = np.asarray(model(IMAGES[:3].astype("float32")))
    np.testing.assert_allclose(kt.Predictor(out).embed(IMAGES[:3]), of_length_one(maps.mean((1, 2))), atol=1e-5)


def test_the_proof_is_by_cosine(exported: kt.Export):
    proof = kt.verify(network(), exported.folder, [(IMAGES[40:80], np.zeros(40, int))], runs=2)
    assert proof.passed, proof.failures
    rows = {row.mode: row for row in proof.rows}
    assert rows["float32"].smallest_cosine > 0.9999
    assert 0.99 < rows["int8"].smallest_cosine < rows["int8"].cosine < 1
    assert {(row.agreement, row.accuracy) for row in proof.rows} == {(None, None)}
    kept = json.loads((exported.folder / "proof.json").read_text())
    assert kept["rows"][0]["cosine"] == rows["keras"].cosine
    console = Console(width=200, record=True)
    console.print(proof.table())
    text = console.export_text()
    assert "smallest" in text
    assert "agreement" not in text


def test_each_limit_is_held_to_the_smallest_cosine(exported: kt.Export, tmp_path: Path):
    limits = kt.Limits(quantized_cosine=0.9999999)
    proof = kt.verify(network(), exported.folder, [IMAGES[40:80]], limits=limits, runs=1)
    assert any("model_int8.tflite must answer every image within a cosine of 1" in f for f in proof.failures)
    assert not any("float32" in failure for failure in proof.failures)
    with pytest.raises(kt.ExportError, match="must stay within the limits.*within a cosine of 0.999999"):
        kt.export(
            network(), tmp_path / "out", output="embedding", modes="int8", saved_model=False,
            calibration=IMAGES[:2], rounding="nearest", proof=[IMAGES[40:60]],
            limits=kt.Limits(quantized_cosine=0.999999),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()
    with pytest.raises(kt.ExportError, match=r"from -1 to 1. Received: 2"):
        kt.Limits(cosine=2)


def test_a_model_of_other_features_is_told(exported: kt.Export):
    with pytest.raises(kt.ExportError, match=r"must have the export's \d+ features"):
        kt.verify(tiny(last=keras.layers.Dense(3)), exported.folder, [IMAGES[:2]])


def test_vectors_that_are_not_numbers_fail():
    yardstick = CosineYardstick(tiny(), IMAGES[:4], kt.Limits(), features=16, preprocessing=None)
    found = yardstick.likeness(lambda pixels: np.full((len(pixels), 16), np.nan, np.float32))
    assert len(yardstick.failures(found, "int8")) == 1
    assert len(yardstick.failures(found, "float32")) == 2


EMBED = """
import sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
path, pictures, out = sys.argv[1:]
options = vision.ImageEmbedderOptions(base_options=tasks.BaseOptions(model_asset_path=path))
vectors = []
with vision.ImageEmbedder.create_from_options(options) as embedder:
    for picture in np.load(pictures):
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        (found,) = embedder.embed(image).embeddings
        assert found.head_name == "embedding", found.head_name
        vectors.append(found.embedding)
np.save(out, np.stack(vectors))
"""


@pytest.mark.slow
def test_real_photographs_in_mediapipe_and_in_the_predictor(mediapipe_python: str, shared: Path, tmp_path: Path):
    file = shared / "weights" / "mobilenet_v2_1.0_224.h5"
    if not file.is_file():
        pytest.skip(f"no {file}")
    model, _ = weights.build(file, network="mobilenet_v2", include_preprocessing=True)
    files = sorted((shared / "data" / "imagenet_sample").glob("*.jpg"))
    pixels = (
        np.stack([weights.read_picture(path, PREPROCESSING["inception"], 224) for path in files])
        .round()
        .astype(np.uint8)
    )
    calibration, held_out = pixels[::2], pixels[1::2]
    export = kt.export(model, tmp_path / "out", output="embedding", calibration=calibration, saved_model=False)
    reference = expected(model, held_out)
    np.save(tmp_path / "pictures.npy", held_out)
    for mode, least in {"float32": 0.999, "int8": 0.98}.items():
        out = tmp_path / f"{mode}.npy"
        command = [mediapipe_python, "-c", EMBED, export.files[mode], tmp_path / "pictures.npy", out]
        subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        for vectors in (np.load(out), kt.Predictor(export.files[mode]).embed(held_out)):
            assert (vectors * reference).sum(axis=1).min() >= least
