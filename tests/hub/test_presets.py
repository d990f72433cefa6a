"""Folders that KerasHub reads: opened where they are plain, else refused in a sentence; nothing in them is run."""

import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from command_helpers import assert_one_sentence

import keras_inception as ki
from keras_inception import hub
from keras_inception.hub import HubError

CONVERTER = {"scale": 1 / 127.5, "offset": -1.0, "interpolation": "bicubic", "image_size": [16, 16]}
RESNET = {
    "module": "keras_hub.src.models.resnet.resnet_image_classifier",
    "class_name": "ResNetImageClassifier",
    "config": {"num_classes": 3, "backbone": {"class_name": "ResNetBackbone", "config": {}}},
    "registered_name": "keras_hub>ResNetImageClassifier",
}


@pytest.fixture
def network() -> keras.Model:
    """A classifier of inputs in -1..1 that answers logits, as KerasHub's do."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(pictures)
    return keras.Model(pictures, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)), name="little")


def preset(folder: Path, model: keras.Model, described: object = None, converter: dict | None = None) -> Path:
    folder.mkdir()
    content = keras.saving.serialize_keras_object(model) if described is None else described
    (folder / "config.json").write_text(json.dumps(content))
    model.save_weights(folder / "model.weights.h5")
    if converter:
        (folder / "image_converter.json").write_text(json.dumps({"class_name": "ImageConverter", "config": converter}))
    return folder


def test_a_model_of_keras_is_opened_with_its_converter_in_front(network: keras.Model, tmp_path: Path):
    folder = preset(tmp_path / "preset", network, converter=CONVERTER)
    (folder / "labels.txt").write_text("cat\ndog\nowl\n")
    opened = ki.open_model(folder)
    assert (opened.kind, opened.name, opened.class_names) == ("keras", "little", ("cat", "dog", "owl"))
    assert (opened.image_shape, opened.fitting.interpolation) == ((16, 16, 3), "bicubic")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    logits = np.asarray(network(pixels.astype("float32") / 127.5 - 1))
    np.testing.assert_allclose(opened(pixels), keras.ops.softmax(logits), atol=1e-6)
    (folder / "labels.txt").write_text("cat\n")
    with pytest.raises(HubError, match="each of 3 classes. Received: 1 in"):
        ki.open_model(folder)
    (folder / "labels.txt").unlink()
    assert ki.open_model(folder).class_names == ("0", "1", "2")
    with pytest.raises(ValueError, match="which tells"):
        ki.open_model(folder, preprocessing="inception")


def test_without_a_converter_what_pixels_need_has_to_be_said(network: keras.Model, tmp_path: Path):
    folder = preset(tmp_path / "preset", network)
    with pytest.raises(ValueError, match="--preprocessing"):
        ki.open_model(folder)
    opened = ki.open_model(folder, preprocessing="inception")
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(opened(pixels), keras.ops.softmax(network(pixels - np.float32(1))), atol=1e-6)


def test_classes_of_kerashub_need_it_and_others_are_never_imported(network: keras.Model, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(HubError, match="pip install keras-hub"):
        hub.open_preset(preset(tmp_path / "kerashub", network, RESNET))
    evil = {"module": "antigravity", "class_name": "Classifier", "config": {}, "registered_name": None}
    with pytest.raises(HubError, match="code in it is not run.*antigravity"):
        hub.open_preset(preset(tmp_path / "evil", network, evil))
    nested = {**RESNET, "config": {"backbone": {"module": "os", "class_name": "system", "config": {}}}}
    with pytest.raises(HubError, match="with os"):
        hub.open_preset(preset(tmp_path / "nested", network, nested))
    assert "antigravity" not in sys.modules


def test_a_lambda_is_refused(tmp_path: Path):
    pictures = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda value: value)(pictures))
    model = keras.Model(pictures, keras.layers.Dense(3)(x))
    with pytest.raises(HubError, match="a Lambda"):
        hub.open_preset(preset(tmp_path / "preset", model))


def test_what_is_no_classifier_is_one_sentence(network: keras.Model, tmp_path: Path, command):
    backbone = keras.Model(network.inputs, network.layers[1].output)
    assert_one_sentence(command("card", preset(tmp_path / "backbone", backbone)), "must be a classifier")
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    text = preset(tmp_path / "text", other)
    assert_one_sentence(command("card", text), "must be a classifier")
    (text / "model.weights.h5").write_bytes(b"cut")
    assert_one_sentence(command("card", text), "weights that fit")
    (text / "config.json").write_text("{")
    assert not hub.is_preset(text)
    assert_one_sentence(command("card", text))


def test_kerashub_itself_agrees(tmp_path: Path):
    keras_hub = pytest.importorskip("keras_hub")
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block", image_shape=(32, 32, 3),
    )  # fmt: skip
    converter = keras_hub.layers.ResNetImageConverter(image_size=(32, 32), scale=1 / 127.5, offset=-1)
    task = keras_hub.models.ResNetImageClassifier(
        backbone=backbone,
        num_classes=4,
        preprocessor=keras_hub.models.ResNetImageClassifierPreprocessor(converter),
    )
    task.save_to_preset(str(tmp_path / "preset"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = keras.ops.softmax(task.predict(pixels, verbose=0))
    np.testing.assert_allclose(ki.open_model(tmp_path / "preset")(pixels), expected, atol=1e-5)
