"""A predictor says of any picture what the network says of it, prepared as evaluation prepares it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tflite_helpers import CLASSES, answers, digits, narrow, tiny, two_headed

import keras_inception as ki
import keras_inception.tflite as kt

IMAGES, _ = digits()
PICTURE = np.random.default_rng(0).integers(0, 256, (50, 80, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> kt.Export:
    return kt.export(two_headed(), tmp_path_factory.mktemp("predictor") / "out", class_names=CLASSES, modes="float32")


@pytest.fixture(scope="module")
def predictor() -> kt.Predictor:
    return kt.Predictor(two_headed(), CLASSES, batch_size=4)


def prepared(picture: np.ndarray) -> np.ndarray:
    from keras_inception.training.config import ModelConfig, TrainConfig
    from keras_inception.training.pipeline.preparing import prepare

    return prepare(tf.constant(picture), TrainConfig(model=ModelConfig(image_size=32, channels=1))).numpy()


def test_a_network_answers_as_it_does_in_keras(predictor: kt.Predictor):
    expected = answers(two_headed(), IMAGES[:10])
    np.testing.assert_allclose(predictor.probabilities(IMAGES[:10]), expected, atol=1e-5)
    named = predictor.batch(list(IMAGES[:10].astype("float64")))
    assert [prediction.label for prediction in named] == [CLASSES[index] for index in expected.argmax(1)]
    one = predictor(IMAGES[3])
    assert one.label == named[3].label
    assert [name for name, _ in one.top(3)] == [CLASSES[index] for index in np.argsort(-expected[3])[:3]]
    assert one.top(3)[0][1] == pytest.approx(expected[3].max(), abs=1e-5)


def test_an_inception_network_with_auxiliary_heads_and_preprocessing_outside(tmp_path: Path):
    model = narrow(include_preprocessing=False)
    predictor = kt.Predictor(model, preprocessing="inception_v1")
    assert predictor.class_names == tuple("0123456789")
    expected = answers(model, ki.preprocess_input(IMAGES[:2], "inception_v1"))
    np.testing.assert_allclose(predictor.probabilities(IMAGES[:2]), expected, atol=1e-4)


def test_files_bytes_and_arrays_of_any_size_are_prepared_as_training_prepares_them(
    predictor: kt.Predictor, tmp_path: Path
):
    content = tf.io.encode_png(PICTURE).numpy()
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    pixels = prepared(PICTURE)
    for picture in (path, str(path), content, PICTURE, PICTURE.astype("float32")):
        np.testing.assert_array_equal(predictor.prepare(picture), pixels)
    assert len(predictor.batch([path, content, PICTURE, IMAGES[0], path])) == 5
    np.testing.assert_allclose(predictor(path).probabilities, answers(two_headed(), pixels[None])[0], atol=1e-5)


@pytest.mark.parametrize("what", ["export", "folder", "file"])
def test_an_export_brings_its_own_names(exported: kt.Export, what: str):
    given = {"export": exported, "folder": str(exported.folder), "file": exported.files["float32"]}[what]
    predictor = kt.Predictor(given)
    assert predictor.class_names == CLASSES
    np.testing.assert_allclose(predictor.probabilities(IMAGES[:5]), answers(two_headed(), IMAGES[:5]), atol=1e-5)
    assert predictor(PICTURE).probabilities.shape == (10,)


def test_the_network_is_traced_when_it_is_opened_and_then_never_again_for_batches_of_any_size():
    calls = []

    @keras.saving.register_keras_serializable("tests")
    class Counted(keras.layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs

    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(Counted()(pixels))
    predictor = kt.Predictor(keras.Model(pixels, keras.layers.Dense(3, "softmax", name="predictions")(x)), batch_size=3)
    assert calls[-1] == (None, 8, 8, 3)
    calls.clear()
    images = np.zeros((8, 8, 8, 3), np.uint8)
    for count in (1, 2, 5, 8):
        assert predictor.probabilities(images[:count]).shape == (count, 3)
    assert calls == []


BAD = {
    "a file that is no picture": (lambda p, path: p(path / "text.jpg"), kt.ExportError, r"whole JPEG.*text\.jpg"),
    "bytes that are no picture": (lambda p, path: p(b"abc"), kt.ExportError, "whole JPEG.*3 bytes"),
    "an absent file": (lambda p, path: p(path / "absent.jpg"), FileNotFoundError, "absent"),
    "another number of channels": (lambda p, path: p(np.zeros((9, 9, 3))), kt.ExportError, r"\(9, 9, 3\)"),
    "pixels out of range": (lambda p, path: p(np.full((9, 9, 1), -1.0)), kt.ExportError, "from -1 to -1"),
    "no number": (lambda p, path: p(np.full((9, 9, 1), np.nan)), kt.ExportError, "from nan"),
    "one path as several": (lambda p, path: p.batch("a.jpg"), kt.ExportError, "one path"),
    "too few names": (lambda p, path: kt.Predictor(two_headed(), ["a"]), kt.ExportError, "10 classes"),
    "a folder without an export": (lambda p, path: kt.Predictor(path), FileNotFoundError, r"export\.json"),
    "something else": (lambda p, path: kt.Predictor(7), kt.ExportError, "int"),
    "no batch": (lambda p, path: kt.Predictor(two_headed(), batch_size=0), kt.ExportError, "Received: 0"),
    "an unknown interpolation": (
        lambda p, path: kt.Predictor(two_headed(), interpolation="cubic"), kt.ExportError, "'cubic'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case: str, predictor: kt.Predictor, tmp_path: Path):
    (tmp_path / "text.jpg").write_text("no picture")
    act, error, message = BAD[case]
    with pytest.raises(error, match=message) as raised:
        act(predictor, tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("input", "shape"), [None, 32, 32]), (("input", "shape", 1), "32"), (("output", "kind"), None),
        (("files", 0, "file"), []), (("files", 0, "file"), "\0"), (("files", 0, "size"), "1"), (("files",), {"a": 1}),
        (("interpolation",), []), (("central_crop",), ""), (("preprocessing",), 3), (("files",), "DEEP"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_refused_in_one_sentence(exported: kt.Export, tmp_path: Path, where, value):
    folder = shutil.copytree(exported.folder, tmp_path / "out")
    manifest = node = json.loads((folder / "export.json").read_text())
    for key in where[:-1]:
        node = node[key]
    node[where[-1]] = value
    deep = "[" * 200_000 + "]" * 200_000
    (folder / "export.json").write_text(json.dumps(manifest).replace('"DEEP"', deep))
    with pytest.raises(kt.ExportError, match=r"must be as export wrote them. Received: "):
        kt.Predictor(folder)


def test_a_changed_file_of_an_export_is_refused_by_its_checksum(exported: kt.Export, tmp_path: Path):
    folder = shutil.copytree(exported.folder, tmp_path / "out")
    path = next((folder / "saved_model" / "variables").glob("*.data*"))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(kt.ExportError, match="saved_model changed, cut off or damaged"):
        kt.Predictor(folder)


def test_no_pictures_are_no_predictions(predictor: kt.Predictor):
    assert predictor.batch([]) == []
    assert predictor.probabilities(IMAGES[:0]).shape == (0, 10)


def test_a_central_crop_is_the_same_in_training_saved_model_and_predictor(tmp_path: Path):
    from keras_inception.training.config import ModelConfig, PipelineConfig, TrainConfig
    from keras_inception.training.pipeline.preparing import prepare

    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 1), dtype=np.uint8)
    encoded = tf.io.encode_png(picture).numpy()
    config = TrainConfig(
        model=ModelConfig(image_size=32, channels=1),
        pipeline=PipelineConfig(central_crop=0.75, interpolation="bicubic"),
    )
    expected = prepare(tf.constant(picture), config).numpy()
    export = kt.export(tiny(), tmp_path / "out", modes=(), interpolation="bicubic", central_crop=0.75)
    predict = kt.Predictor(export)
    np.testing.assert_array_equal(predict.prepare(encoded), expected)
    served = tf.saved_model.load(str(export.files["saved_model"])).signatures["serve_encoded"]
    answer = served(encoded=tf.constant([encoded]))["predictions"].numpy()[0]
    np.testing.assert_allclose(answer, predict(encoded).probabilities, atol=1e-6)
    assert not np.array_equal(kt.Predictor(export, central_crop=1.0).prepare(encoded), expected)
    with pytest.raises(kt.ExportError, match="a share above 0"):
        kt.Predictor(export, central_crop=0.0)


LEAKY = """
import keras, numpy as np
from keras import layers
from keras_inception import tflite
keras.utils.set_random_seed(0)
pixels = keras.Input((32, 32, 3))
x = layers.Rescaling(1 / 127.5, -1)(pixels)
sides = [layers.BatchNormalization(beta_initializer="normal")(layers.Conv2D(8, 3, use_bias=False)(x)) for _ in "ab"]
x = layers.LeakyReLU(0.05)(layers.Add()(sides))
model = keras.Model(pixels, layers.GlobalAveragePooling2D()(x))
pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
expected = model(pictures.astype("float32"), training=False).numpy()
tflite.export(model, "out", modes=[])
for opened in (tflite.Predictor(model), tflite.Predictor("out")):
    print(np.abs(opened.probabilities(pictures) - expected).max() < 1e-5)
"""


def test_leaky_relus_keep_their_slope_in_tensorflows_fused_kernels(tmp_path: Path):
    # Those of oneDNN, which these tests do without, lose it where a convolution has a bias.
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"}
    command = [sys.executable, "-c", LEAKY]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=True)
    assert result.stdout.split() == ["True", "True"]
