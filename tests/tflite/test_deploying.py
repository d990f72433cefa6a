"""Twins of models of every make: nested ones as good as flat ones, and what must not be exported in silence."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import answers, digits, narrow, take_statistics, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.network.equalization import equalize_channels
from keras_inception.tflite.network.rounding import compensate_rounding
from keras_inception.tflite.proving.measuring import Yardstick

layers = keras.layers
IMAGES, _ = digits()


def trunk(x):
    for index in range(2):
        x = layers.Conv2D(8, 3, strides=2, use_bias=False, name=f"conv{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(layers.BatchNormalization(name=f"norm{index}")(x))
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depthwise{index}")(x)
        x = layers.BatchNormalization(name=f"depthwise_norm{index}")(x)
    return x


def network(form: str) -> keras.Model:
    """The same network, flat or with its trunk inside another model."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = layers.Rescaling(1 / 127.5, -1, name="conv0" if form == "with a name twice" else "pixels")(pixels)
    inner = keras.Input((32, 32, 1))
    if form == "flat":
        x = trunk(x)
    elif form == "in two models":
        middle = keras.Model(
            inner, keras.Model(inner, trunk(inner), name="inmost")(inner, training=False), name="inner"
        )
        x = middle(x)
    elif form == "in a Sequential":
        x = keras.Sequential([layers.Identity(), keras.Model(inner, trunk(inner), name="inner")])(x)
    else:
        x = keras.Model(inner, trunk(inner), name="inner")(x, training=False)
    ending = [
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, name="predictions_logits"),
        layers.Activation("softmax", name="predictions"),
    ]
    if form == "below a Sequential":
        scaling, trunk_model = layers.Rescaling(1 / 127.5, -1), keras.Model(inner, trunk(inner), name="inner")
        model = keras.Sequential([keras.Input((32, 32, 1)), scaling, trunk_model, *ending], name="network")
    else:
        for layer in ending:
            x = layer(x)
        model = keras.Model(pixels, x, name="network")
    for layer in model._flatten_layers(include_self=False):
        if layer.weights and not is_model(layer):
            order = np.random.default_rng(sum(layer.name.encode()))
            layer.set_weights([order.uniform(0.1, 0.4, array.shape) for array in layer.get_weights()])
    return model


def is_model(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.Model)


def made_ready(twin: keras.Model) -> list[np.ndarray]:
    """The weights that are quantised."""
    return compensate_rounding(equalize_channels(twin, IMAGES[:20]), IMAGES[:20]).get_weights()


@cache
def of_a_flat_one() -> list[np.ndarray]:
    return made_ready(kt.deploy(network("flat"), fold=True))


@pytest.mark.parametrize(
    "form", ["in a model", "in two models", "in a Sequential", "below a Sequential", "with a name twice"]
)
def test_a_trunk_inside_a_model_gets_the_same_care_as_a_flat_one(form: str):
    model = network(form)
    before = [weight.copy() for weight in model.get_weights()]
    plain, twin = kt.deploy(model), kt.deploy(model, fold=True)
    for deployed in (plain, twin):
        np.testing.assert_allclose(answers(deployed, IMAGES[:9]), answers(model, IMAGES[:9]), atol=1e-5)
        assert not any(map(is_model, deployed.layers))
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in twin.layers)
    for one, other in zip(made_ready(twin), of_a_flat_one(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_trunk_that_is_called_twice_stays_one():
    keras.utils.set_random_seed(0)
    pixels, inner = keras.Input((32, 32, 1)), keras.Input((32, 32, 1))
    shared = keras.Model(inner, trunk(inner), name="shared")
    both = [shared(layers.Rescaling(scale)(pixels)) for scale in (1 / 255, -1 / 255)]
    x = layers.GlobalAveragePooling2D()(layers.Add()(both))
    model = keras.Model(pixels, layers.Dense(10, "softmax", name="predictions")(x))
    twin = kt.deploy(model, fold=True)
    np.testing.assert_allclose(answers(twin, IMAGES[:9]), answers(model, IMAGES[:9]), atol=1e-5)
    assert twin.count_params() == model.count_params()


def test_preprocessing_that_is_put_in_front_leaves_the_twin_flat():
    model = narrow(include_preprocessing=False)
    take_statistics(model, 16)
    twin = kt.deploy(model, preprocessing="inception_v1", fold=True)
    assert not any(map(is_model, twin.layers))
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in twin.layers)
    assert twin.get_layer("predictions_logits").get_weights()


def test_of_several_outputs_the_one_of_the_name_is_kept_wherever_layers_of_that_name_are():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    inner = tiny()  # whose last layer is named "predictions", and is no output below
    x = inner(pixels)
    heads = [keras.Sequential([layers.Dense(3, "softmax")], name=name) for name in ("aux", "predictions")]
    outputs = [head(x) for head in heads]
    expected = np.asarray(keras.Model(pixels, outputs[1])(IMAGES[:4].astype("float32")))
    for model in (
        keras.Model(pixels, outputs),
        keras.Model(pixels, {"predictions": outputs[1], "aux": outputs[0]}),
        keras.Model(pixels, {"a": outputs[0], "predictions": outputs[1]}),
    ):
        np.testing.assert_allclose(answers(kt.deploy(model), IMAGES[:4]), expected, atol=1e-6)
        options = {"classes": 3, "preprocessing": None, "output": "probabilities"}
        assert Yardstick(model, IMAGES[:4], None, kt.Limits(), **options).own.difference < 1e-6
    others = [layers.Dense(3, name=name)(x) for name in ("one", "two")]
    with pytest.raises(kt.ExportError, match="must be named 'predictions'. Received: one, two"):
        kt.deploy(keras.Model(pixels, others))


# ---- pixels


def residual(**options) -> keras.Model:
    """A network that scales a residual, as InceptionResNet does, and not its pixels."""
    pixels = keras.Input((32, 32, 1))
    x = layers.Conv2D(4, 3, strides=4, padding="same")(pixels)
    x = layers.Add()([x, layers.Rescaling(0.17)(layers.Conv2D(4, 1)(x))])
    x = layers.Dense(10, "softmax", name="predictions")(layers.Flatten()(x))
    return keras.Model(pixels, x, **options)


def test_a_rescaling_of_residuals_is_no_preprocessing(tmp_path: Path):
    with pytest.raises(kt.ExportError, match="raw pixels"):
        kt.export(residual(), tmp_path / "out", modes="float32")
    kt.export(residual(), tmp_path / "out", modes="float32", saved_model=False, preprocessing="none")


def test_a_rescaling_behind_augmentation_or_in_a_model_is_preprocessing(tmp_path: Path):
    pixels, inner = keras.Input((32, 32, 1)), keras.Input((32, 32, 1))
    x = layers.ZeroPadding2D(1)(layers.RandomFlip()(pixels))
    x = layers.CenterCrop(32, 32)(x)
    x = keras.Model(inner, trunk(layers.Rescaling(1 / 255)(inner)))(x)
    model = keras.Model(pixels, layers.Dense(10, "softmax", name="predictions")(layers.Flatten()(x)))
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False)
    file = kt.LiteRTModel(export.files["float32"])
    np.testing.assert_allclose(file(IMAGES[:5]), answers(model, IMAGES[:5]), atol=1e-5)


def test_preprocessing_is_not_applied_twice(tmp_path: Path):
    for act in (
        lambda: kt.deploy(tiny(), preprocessing="inception"),
        lambda: kt.export(tiny(), tmp_path / "out", modes="float32", preprocessing="inception"),
        lambda: kt.Predictor(tiny(), preprocessing="inception"),
    ):
        with pytest.raises(kt.ExportError, match="leave the name out. Received: preprocessing='inception' for tiny"):
            act()


# ---- ends


def ending_in(last: keras.layers.Layer) -> keras.Model:
    model = tiny()
    return keras.Model(model.inputs[0], last(model.get_layer("predictions_logits").output))


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "linear"])
def test_only_a_softmax_has_logits(activation: str, tmp_path: Path):
    model = ending_in(layers.Activation(activation, name="predictions"))
    for act in (
        lambda: kt.deploy(model, output="logits"),
        lambda: kt.export(model, tmp_path / "out", modes=(), saved_model=False, learning="float32"),
    ):
        with pytest.raises(kt.ExportError, match="softmax layer of its own at the end. Received: Activation"):
            act()


def test_a_softmax_layer_and_one_inside_a_model_have_logits():
    expected = answers(kt.deploy(tiny(), output="logits"), IMAGES[:4])
    keras.utils.set_random_seed(0)
    model = tiny()
    pixels = keras.Input((32, 32, 1))
    for ending in (ending_in(layers.Softmax()), keras.Model(pixels, model(pixels))):
        logits = answers(kt.deploy(ending, output="logits"), IMAGES[:4])
        assert logits.shape == expected.shape
        np.testing.assert_allclose(keras.ops.softmax(logits), answers(ending, IMAGES[:4]), atol=1e-6)


def test_maps_are_no_classes(tmp_path: Path):
    pixels = keras.Input((32, 32, 1))
    model = keras.Model(pixels, layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(pixels)))
    with pytest.raises(kt.ExportError, match=r"build it with pooling. Received: output shape \(None, 30, 30, 4\)"):
        kt.export(model, tmp_path / "out", modes="float32")


# ---- layers that cannot be built anew


class Unconfigured(keras.layers.Layer):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: tiny(last=layers.Lambda(lambda x: x + 1, name="mine")), "'mine', a Lambda"),
        (lambda: tiny(last=Unconfigured(2.0)), "a Unconfigured"),
        (lambda: keras.Sequential([layers.Dense(3)], name="loose"), "give it an input shape. Received: loose"),
    ],
    ids=["lambda", "no configuration", "not built"],
)
def test_a_model_that_cannot_be_rebuilt_is_a_sentence(model, message: str, tmp_path: Path):
    with pytest.raises(kt.ExportError, match=message) as raised:
        kt.export(model(), tmp_path / "out", modes="float32")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
