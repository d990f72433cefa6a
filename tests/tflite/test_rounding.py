"""Weights rounded so that errors cancel: on the converter's grid, and closer to the network than the nearest steps."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers, digits, fitted

import keras_inception.tflite as kt
from keras_inception.tflite.files.converting import convert
from keras_inception.tflite.files.tracing import trace
from keras_inception.tflite.network.rounding import compensate_rounding
from keras_inception.tflite.running.litert import opened

IMAGES = digits()[0]


def layer(kind: str) -> keras.layers.Layer:
    return {
        "plain": keras.layers.Conv2D(12, 3, strides=2, padding="same", name="layer"),
        "depthwise": keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="valid", name="layer"),
        "dilated": keras.layers.Conv2D(12, 3, dilation_rate=2, name="layer"),
        "dense": keras.layers.Dense(7, name="layer"),
    }[kind]


@pytest.mark.parametrize("kind", ["plain", "depthwise", "dilated", "dense"])
def test_rounding_errors_cancel(kind: str):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.AveragePooling2D(2)(keras.layers.Conv2D(6, 5, activation="relu", name="first")(x))
    x = keras.layers.Flatten()(x) if kind == "dense" else x
    model = keras.Model(pixels, layer(kind)(x))
    rounded = compensate_rounding(model, IMAGES[:64])
    kernel, on_grid = (np.asarray(twin.get_layer("layer").kernel) for twin in (model, rounded))
    # The converter's grid: 127 steps to the largest weight of a channel. A depthwise kernel has its channels third.
    axes = (0, 1) if kind == "depthwise" else tuple(range(kernel.ndim - 1))
    steps = np.abs(kernel).max(axes, keepdims=True) / 127
    np.testing.assert_allclose(on_grid / steps, np.rint(on_grid / steps), atol=1e-3)
    np.testing.assert_allclose(np.abs(on_grid).max(axes), np.abs(kernel).max(axes), rtol=1e-6)

    reading = keras.Model(model.inputs[0], model.get_layer("layer").input)
    inputs = reading(IMAGES[1000:1064].astype("float32"), training=False)  # images that it was not rounded on
    expected = np.asarray(model.get_layer("layer")(inputs))
    compensated = np.asarray(rounded.get_layer("layer")(inputs))
    nearest = layer(kind)
    nearest.build(inputs.shape)
    nearest.set_weights([np.rint(kernel / steps) * steps, *model.get_layer("layer").get_weights()[1:]])
    error, usual = (np.square(answer - expected).mean() for answer in (compensated, np.asarray(nearest(inputs))))
    assert error < 0.7 * usual


@pytest.mark.slow
def test_an_int8_file_comes_closer_to_the_network():
    model = kt.deploy(fitted(), output="logits", fold=True)
    rounded = compensate_rounding(model, IMAGES[:60])
    expected = answers(model, IMAGES[400:440])
    errors = []
    for twin in (model, rounded):
        file = opened(convert(trace(twin, "int16x8", 1), "int16x8", IMAGES[:60]))  # the error of weights alone
        errors.append(np.square(file(IMAGES[400:440]) - expected).mean())
    assert errors[1] < 0.5 * errors[0]
