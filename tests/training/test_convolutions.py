"""Convolutions by other ways than Keras's: the same outputs and gradients, of layers that stay Keras's."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_inception.training.engine import convolutions
from keras_inception.training.engine.convolutions import (
    convolve,
    depthwise,
    kernel_gradient,
    pays,
    quick_convolutions,
)

LIMITS = {"float32": 1e-5, "bfloat16": 1e-2}  # bfloat16 has eight bits; without oneDNN, TensorFlow also sums in it
LAYERS = {
    "a 1x1 kernel": keras.layers.Conv2D(5, 1),
    "a separable one": keras.layers.SeparableConv2D(5, 3, padding="same", activation="relu"),
    "a separable one of stride 2": keras.layers.SeparableConv2D(5, 3, 2, depth_multiplier=2, use_bias=False),
    "many filters in bfloat16": keras.layers.Conv2D(128, 3, padding="same", dtype="mixed_bfloat16"),
}


class Own(keras.layers.Conv2D):
    """A user's own convolution."""


def frozen(layer):
    layer.trainable = False
    return layer


LEFT_TO_KERAS = {
    "a stride": keras.layers.Conv2D(4, 1, 2),
    "channels first": keras.layers.Conv2D(4, 1, data_format="channels_first"),
    "dilation": keras.layers.Conv2D(128, 3, dilation_rate=2, dtype="mixed_bfloat16"),
    "float16": keras.layers.Conv2D(4, 1, dtype="mixed_float16"),
    "a frozen one": frozen(keras.layers.Conv2D(4, 1)),
    "a user's own": Own(4, 1),
    "a depthwise one of stride 1": keras.layers.DepthwiseConv2D(1, dtype="mixed_bfloat16"),
    "a depthwise one in float32": keras.layers.DepthwiseConv2D(1, 2),
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 7), (2, 4)], ids=str)
def test_outputs_and_gradients_are_those_of_tensorflow(kernel, padding, dtype):
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(2, 8, 9, 3)), dtype)
    weights = tf.constant(rng.normal(size=(*kernel, 3, 4)), dtype)
    found = []
    for function in (lambda *parts: convolve(*parts, padding), lambda x, k: tf.nn.conv2d(x, k, 1, padding.upper())):
        with tf.GradientTape() as tape:
            tape.watch([inputs, weights])
            outputs = function(inputs, weights)
            loss = tf.reduce_sum(tf.cast(tf.sin(outputs), "float32"))
        found.append([outputs, *tape.gradient(loss, [inputs, weights])])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    check(*([np.asarray(value, "float32") for value in side] for side in found), LIMITS[dtype])


def check(found, expected, limit):
    """Outputs and gradients of inputs are the same; those of weights may be summed in another order."""
    for place, (value, other) in enumerate(zip(found, expected, strict=True)):
        loose = 10 if place >= 2 and limit > 1e-3 else 1
        np.testing.assert_allclose(value, other, rtol=0, atol=loose * limit * np.abs(other).max())


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)], ids=str)
def test_in_bfloat16_a_gradient_is_nearly_the_exact_one(kernel):
    rng = np.random.default_rng(0)
    inputs, upstream = (tf.constant(rng.normal(size=(4, 8, 8, count)), "bfloat16") for count in (16, 128))
    found = tf.cast(kernel_gradient(inputs, upstream, [*kernel, 16, 128], "same"), "float32")
    exact = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.cast(inputs, "float32"), filter_sizes=[*kernel, 16, 128], out_backprop=tf.cast(upstream, "float32"),
        strides=[1, 1, 1, 1], padding="SAME",
    )  # fmt: skip
    np.testing.assert_allclose(found, exact, rtol=2**-6, atol=2**-6)


def step_of(layer, inputs):
    """Outputs, and gradients of inputs and weights, as a graph computes them."""

    @tf.function(autograph=False)
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
        return outputs, *tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])

    return step, [np.asarray(value, "float32") for value in step(inputs)]


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_keras_computes_and_is_as_before(case):
    layer = LAYERS[case]
    layer.build((None, 7, 7, 4))
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 7, 7, 4)), layer.compute_dtype)
    before, expected = step_of(layer, inputs)
    attributes = set(vars(layer))
    with quick_convolutions([layer]):
        now, found = step_of(layer, inputs)
    assert set(vars(layer)) == attributes
    graphs = [str(step.get_concrete_function(inputs).graph.as_graph_def()) for step in (before, now)]
    assert '"Conv2DBackpropFilter"' in graphs[0]
    assert '"Conv2DBackpropFilter"' not in graphs[1] and '"MatMul"' in graphs[1]
    check(found, expected, LIMITS[layer.compute_dtype])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [((8, 9), (2, 2)), ((7, 7), (2, 2)), ((9, 8), (3, 3))], ids=str)
def test_in_bfloat16_a_depthwise_convolution_with_strides_has_the_gradients_of_float32(size, strides, padding):
    rng = np.random.default_rng(0)
    shapes = [(2, *size, 3), (3, 3, 3, 2)]
    values = [tf.cast(tf.constant(rng.normal(size=shape)), "bfloat16") for shape in shapes]
    found = []
    for dtype in ("bfloat16", "float32"):
        parts = [tf.cast(value, dtype) for value in values]
        with tf.GradientTape() as tape:
            tape.watch(parts)
            outputs = depthwise(*parts, strides, padding)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
        found.append([outputs, *tape.gradient(loss, parts)])
    assert {value.dtype for value in found[0]} == {tf.bfloat16}
    check(*([np.asarray(value, "float32") for value in side] for side in found), LIMITS["bfloat16"])


def test_a_depthwise_layer_with_strides_is_kerass_but_for_the_gradient_of_its_inputs():
    layer = keras.layers.DepthwiseConv2D(3, 2, padding="same", activation="relu", dtype="mixed_bfloat16")
    layer.build((None, 7, 7, 4))
    layer.bias.assign([-0.5, 0.0, 0.5, 1.0])
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 7, 7, 4)), layer.compute_dtype)
    _, expected = step_of(layer, inputs)
    with quick_convolutions([layer]):
        now, found = step_of(layer, inputs)
    types = {
        operation.type: operation.outputs[0].dtype
        for operation in now.get_concrete_function(inputs).graph.get_operations()
        if "Backprop" in operation.type
    }
    assert types["DepthwiseConv2dNativeBackpropInput"] == tf.float32
    assert types["DepthwiseConv2dNativeBackpropFilter"] == tf.bfloat16
    assert not {"call", "convolution_op"} & set(vars(layer))
    check(found, expected, LIMITS["bfloat16"])


@pytest.mark.parametrize("case", LEFT_TO_KERAS)
def test_what_is_left_to_keras(case):
    layer = LEFT_TO_KERAS[case]
    layer.build((None, 6, 6, 6))
    with quick_convolutions([layer]):
        assert not {"call", "convolution_op"} & set(vars(layer))


@pytest.mark.parametrize(
    ("dtype", "kernel", "side", "expected"),
    [
        ("float32", (1, 1, 3, 4), None, True),
        ("float32", (3, 3, 128, 128), 8, False),
        ("bfloat16", (1, 1, 3, 4), 64, True),
        ("bfloat16", (3, 3, 128, 128), 10, True),
        ("bfloat16", (3, 3, 128, 128), 11, False),
        ("bfloat16", (3, 3, 128, 128), None, False),
        ("bfloat16", (1, 7, 128, 127), 8, False),
        ("float32", (1, 1, 64, 128), 8, False),
        ("bfloat16", (1, 1, 64, 128), 8, True),
        ("bfloat16", (1, 1, 4, 128), 8, False),
        ("bfloat16", (3, 3, 64, 128), 8, False),
    ],
)
def test_products_are_for_1x1_kernels_and_for_small_maps_of_many_filters_in_bfloat16(dtype, kernel, side, expected):
    channels = 128 if kernel[3] == 128 else kernel[2]  # of fewer than that a kernel meets the channels of its group
    assert pays(dtype, kernel, (None, side, side, channels)) is expected


GROUPED = """
import keras, sys
import numpy as np, tensorflow as tf
from keras_inception.training.engine.convolutions import has_gradients_of_groups, quick_convolutions
sys.path.insert(0, {folder!r})
from test_convolutions import check, step_of
assert has_gradients_of_groups()
ways = ({{}}, {{"strides": 2, "padding": "same"}}, {{"dtype": "mixed_bfloat16"}})
for options in (*ways, {{"kernel_size": 1, "dtype": "mixed_bfloat16"}}):
    layer = keras.layers.Conv2D(12, groups=3, **{{"kernel_size": 3}} | options)
    layer.build((None, 7, 7, 6))
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 7, 7, 6)), layer.compute_dtype)
    before, expected = step_of(layer, inputs)
    with quick_convolutions([layer]):
        now, found = step_of(layer, inputs)
    graphs = [str(step.get_concrete_function(inputs).graph.as_graph_def()) for step in (before, now)]
    assert "_XlaMustCompile" in graphs[0] and "_XlaMustCompile" not in graphs[1]
    assert ('"Conv2DBackpropFilter"' in graphs[1]) == (layer.kernel_size == (3, 3))
    check(found, expected, {limits!r}[layer.compute_dtype])
"""


def test_grouped_convolutions_are_onednns_where_there_is_onednn():
    code = GROUPED.format(folder=str(Path(__file__).parent), limits=LIMITS)
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_without_gradients_of_groups_they_stay_kerass(monkeypatch):
    layer = keras.layers.Conv2D(6, 1, groups=3)
    layer.build((None, 6, 6, 6))
    monkeypatch.setattr(convolutions, "has_gradients_of_groups", lambda: False)
    with quick_convolutions([layer]):
        assert "convolution_op" not in vars(layer)


def test_a_gpu_has_its_own(monkeypatch):
    layer = keras.layers.Conv2D(4, 1)
    layer.build((None, 6, 6, 6))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"] * (kind == "GPU"))
    with quick_convolutions([layer]):
        assert "convolution_op" not in vars(layer)


def test_an_error_on_the_way_leaves_layers_as_they_were():
    layer = keras.layers.Conv2D(4, 1)
    layer.build((None, 6, 6, 6))
    with pytest.raises(RuntimeError, match="on the way"), quick_convolutions([layer]):
        assert "convolution_op" in vars(layer)
        raise RuntimeError("on the way")
    assert "convolution_op" not in vars(layer)
