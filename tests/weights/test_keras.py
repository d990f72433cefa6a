"""Files that keras.applications writes, in its three layouts, and one of its real weight files."""

import h5py
import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import weights
from keras_inception.weights import WeightsError, pictures

CASES = {
    "InceptionV3": ("inception_v3", {}, {}, 75),
    "InceptionResNetV2": ("inception_resnet_v2", {}, {}, 75),
    "Xception": ("xception", {}, {}, 71),
    "MobileNet": ("mobilenet_v1", {"alpha": 0.25}, {"alpha": 0.25}, 64),
    "MobileNetV2": ("mobilenet_v2", {"alpha": 0.35}, {"alpha": 0.35}, 64),
}


def source_model(name: str, size: int, **arguments) -> keras.Model:
    """A network of keras.applications built after another one, with every weight random."""
    builder = getattr(keras.applications, name)
    for _ in range(3):  # so that automatic names do not begin at conv2d
        [keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization(), keras.layers.Activation("relu")]
    model = builder(weights=None, classifier_activation=None, input_shape=(size, size, 3), **arguments)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("moving_variance", "gamma"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return model


def write_legacy(model: keras.Model, path) -> None:
    """Writes the weights in the layout of the public files: a group a layer, at the root."""
    whole = path.with_name("whole.h5")
    model.save(whole)
    with h5py.File(whole) as saved, h5py.File(path, "w") as file:
        for name in saved["model_weights"]:
            saved.copy(saved["model_weights"][name], file, name)
        file.attrs.update(saved["model_weights"].attrs)


SLOW = {"InceptionResNetV2", "Xception"}
PARAMETERS = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]


@pytest.mark.parametrize("name", PARAMETERS)
def test_its_files_load(name, tmp_path):
    network, theirs, ours, size = CASES[name]
    source = source_model(name, size, **theirs)
    images = np.random.default_rng(1).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    expected = np.asarray(source(images))
    write_legacy(source, tmp_path / "legacy.h5")
    source.save_weights(tmp_path / "new.weights.h5")
    model = ki.create_model(network, classifier_activation=None, input_shape=(size, size, 3), **ours)
    for file in ("legacy.h5", "new.weights.h5", "whole.h5"):
        for variable in model.weights:
            variable.assign(np.zeros(variable.shape))
        weights.load_weights(model, tmp_path / file)
        difference = np.abs(np.asarray(model(images)) - expected).max() / np.abs(expected).max()
        assert difference < 2e-5, file


def test_top_and_no_top(tmp_path):
    source = source_model("MobileNetV2", 64, alpha=0.35)
    trunk = keras.Model(source.input, source.get_layer("out_relu").output)
    write_legacy(source, tmp_path / "top.h5")
    write_legacy(trunk, tmp_path / "no_top.h5")
    small = {"alpha": 0.35, "input_shape": (64, 64, 3)}
    images = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    for file in ("top.h5", "no_top.h5"):
        model = ki.MobileNetV2(include_top=False, weights=tmp_path / file, **small)
        np.testing.assert_allclose(np.asarray(model(images)), np.asarray(trunk(images)), atol=1e-4)
    with pytest.raises(WeightsError, match="trunk_only=True"):
        ki.MobileNetV2(weights=tmp_path / "no_top.h5", **small)
    model = ki.MobileNetV2(classes=7, **small)
    weights.load_weights(model, tmp_path / "top.h5", trunk_only=True)
    assert model.output_shape == (None, 7)
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, source.get_layer("Conv1").kernel)


def test_a_model_on_a_users_own_layers_loads_its_own_part(tmp_path):
    source = source_model("MobileNet", 64, alpha=0.25)
    write_legacy(source, tmp_path / "top.h5")
    inputs = keras.Input((64, 64, 1))
    coloured = keras.layers.Conv2D(3, 1, name="colour")(inputs)
    model = ki.MobileNetV1(weights=tmp_path / "top.h5", input_tensor=coloured, alpha=0.25)
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, source.get_layer("conv1").kernel)


def test_resnext_in_depthwise_pieces_is_put_together():
    """keras-applications wrote the grouped convolutions as depthwise ones and a fixed sum over each group."""
    from keras_inception.weights.keras_applications import _regrouped

    rng = np.random.default_rng(0)
    groups, c = 4, 3
    channels = groups * c
    kernel = rng.normal(size=(3, 3, channels, c)).astype("float32")
    images = rng.normal(size=(2, 8, 8, channels)).astype("float32")
    depthwise = np.asarray(keras.ops.depthwise_conv(images, kernel, padding="same"))
    fixed = np.zeros((1, 1, channels * c, channels), "float32")
    for output in range(channels):
        start = (output // c) * c * c + output % c
        fixed[0, 0, start : start + c * c : c, output] = 1
    expected = np.asarray(keras.ops.conv(depthwise, fixed))
    grouped = np.asarray(keras.ops.conv(images, _regrouped(kernel), padding="same"))
    np.testing.assert_allclose(grouped, expected, atol=1e-4)


@pytest.mark.slow
def test_real_weights_know_real_pictures(shared):
    path = shared / "weights" / "mobilenet_v2_1.0_224.h5"
    model, found = weights.build(path, network="mobilenet_v2")
    assert found.weight_set is None
    preprocessing = weights.get_weights("keras/mobilenet_v2_1.0_224").preprocessing
    files = sorted((shared / "data" / "imagenet_sample").glob("*.jpg"))
    labels = [pictures_label(file) for file in files]
    right = 0
    for start in range(0, len(files), 50):
        batch = np.stack([pictures.read(file, preprocessing) for file in files[start : start + 50]])
        probabilities = np.asarray(model(ki.preprocess_input(batch, preprocessing), training=False))
        right += int((probabilities.argmax(axis=1) == labels[start : start + 50]).sum())
    accuracy = right / len(files)
    print(f"top-1 of {len(files)} pictures: {accuracy:.1%}")
    assert len(files) == 250
    assert accuracy >= 0.89


def pictures_label(file) -> int:
    from keras_inception.labels import imagenet_classes

    wnids = [wnid for wnid, _ in imagenet_classes()]
    return wnids.index(file.stem)
