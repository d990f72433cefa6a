"""Weights rounded so that errors cancel: on the converter's grid, and closer to the network than the nearest steps."""

import tracemalloc

import keras
import numpy as np
import pytest
from tflite_helpers import answers, digits, fitted

import keras_inception.tflite as kt
from keras_inception.tflite.files.converting import convert
from keras_inception.tflite.files.tracing import trace
from keras_inception.tflite.network import rounding
from keras_inception.tflite.network.graph import copied
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


def test_a_wide_layer_takes_bounded_memory_and_its_errors_still_cancel():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((64, 64, 1))
    model = keras.Model(pixels, keras.layers.Dense(4)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))))
    large = np.kron(IMAGES[:96], np.ones((1, 2, 2, 1), np.uint8))
    tracemalloc.start()
    rounded = compensate_rounding(model, large[:64])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # one matrix of 4,096 inputs is 134 MB, and factoring it took several
    kernel, bias = model.layers[-1].get_weights()
    steps = np.abs(kernel).max(0) / 127
    on_grid = rounded.layers[-1].get_weights()[0] / steps
    np.testing.assert_allclose(on_grid, np.rint(on_grid), atol=1e-3)
    np.testing.assert_allclose(np.abs(on_grid).max(0), 127, rtol=1e-5)
    expected = answers(model, large[64:])
    nearest = (large[64:].reshape(32, -1) / 255) @ (np.rint(kernel / steps) * steps) + bias
    error, usual = (np.square(answer - expected).mean() for answer in (answers(rounded, large[64:]), nearest))
    assert error < 0.1 * usual


def test_in_passes_and_blocks_errors_cancel_nearly_as_well(monkeypatch: pytest.MonkeyPatch):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(24, 5, strides=4, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    x = keras.layers.Conv2D(16, 3, activation="relu")(keras.layers.DepthwiseConv2D(3)(x))
    model = keras.Model(pixels, keras.layers.Dense(10, use_bias=False)(keras.layers.Flatten()(x)))
    whole = compensate_rounding(model, IMAGES[:64])
    passes = []
    measure = rounding._moments
    monkeypatch.setattr(rounding, "MOST_INPUTS", 80)
    monkeypatch.setattr(rounding, "_MOST_BYTES", 100_000)
    monkeypatch.setattr(rounding, "_moments", lambda *rest: passes.append(rest[1]) or measure(*rest))
    parts = compensate_rounding(model, IMAGES[:64])
    sizes = [block.inputs.stop - block.inputs.start for blocks in passes for block in blocks]
    assert sizes == [25, 9, 72, 72, 72, 72, 72]  # 5x5x1, 3x3, 3x3x24 in three, 3x3x16 in two
    assert len(passes) > 2
    expected = answers(model, IMAGES[1000:1064])
    plain = copied(model, weights={layer.name: [on_nearest_steps(layer), *layer.get_weights()[1:]]
                                   for layer in model.layers if layer.weights})  # fmt: skip
    errors = [np.square(answers(twin, IMAGES[1000:1064]) - expected).mean() for twin in (whole, parts, plain)]
    assert errors[1] < 1.5 * errors[0]
    assert errors[1] < 0.5 * errors[2]


def on_nearest_steps(layer: keras.layers.Layer) -> np.ndarray:
    kernel = np.asarray(layer.kernel)
    axes = (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else tuple(range(kernel.ndim - 1))
    steps = np.abs(kernel).max(axes, keepdims=True) / 127
    return np.rint(kernel / steps) * steps


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
