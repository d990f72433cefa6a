"""Simulations in TensorFlow's operations, with their ranges as the converter reads them: what becomes an int8 file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_inception.integers import (
    LEAST,
    MOST,
    WEIGHTS,
    IntegerAdd,
    IntegerConv,
    IntegerMean,
    IntegerPixels,
    IntegerProduct,
    Integers,
)


def annotated(simulation: keras.Model) -> Callable[[Any], Any]:
    """A simulation as a function that, when traced, holds its weights as constants and its ranges."""

    def operation(layer: Any) -> Any:
        return (lambda inputs: _annotated(layer, inputs)) if isinstance(layer, Integers) else layer

    return lambda images: simulation._run_through_graph(images, operation_fn=operation)


def _annotated(layer: Integers, inputs: Any) -> Any:
    import tensorflow as tf

    computed = _COMPUTED[type(layer)](layer, inputs) if type(layer) in _COMPUTED else inputs
    activated = computed if layer.activation == "linear" else getattr(keras.ops, layer.activation)(computed)
    scale, zero_point = _constant(layer.scale), _constant(layer.zero_point)
    ends = float((LEAST - zero_point) * scale), float((MOST - zero_point) * scale)
    return tf.quantization.fake_quant_with_min_max_args(activated, *ends)


def _constant(variable: Any) -> np.ndarray:
    """A variable's numbers, also while a function is traced."""
    import tensorflow as tf

    with tf.init_scope():
        return np.asarray(variable)


def _convolved(layer: IntegerConv, inputs: Any) -> Any:
    import tensorflow as tf

    with tf.init_scope():
        values = np.asarray(layer.channels_last(layer.kernel))
        scales = np.asarray(layer.kernel_scales(values))
    # What the file can store: the converter finds the same integers, whatever it does with halves.
    values = np.clip(np.rint(values / scales), -WEIGHTS, WEIGHTS) * scales
    unit = scales * _constant(layer.input_scales)[0]
    bias = np.rint(_constant(layer.bias) / unit) * unit
    if layer.kind == "dense":  # the converter knows a scale an output channel of convolutions alone
        values = values.reshape(1, 1, *layer.kernel_shape)
    ends = scales * WEIGHTS
    kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(values, -ends, ends, narrow_range=True)
    if layer.kind == "dense":
        places = tf.reshape(inputs, (-1, 1, 1, inputs.shape[-1]))
        return tf.reshape(tf.nn.conv2d(places, kernel, 1, "VALID") + bias, (-1, layer.filters))
    return layer.convolved(inputs, tf.reshape(kernel, layer.kernel_shape)) + bias


def _averaged(_: IntegerMean, inputs: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(inputs, axis=(1, 2))


def _multiplied(layer: IntegerProduct, inputs: Any) -> Any:
    import tensorflow as tf

    with tf.init_scope():
        end = float(layer.factor_scale()) * (MOST - LEAST)
    return inputs * tf.quantization.fake_quant_with_min_max_args(_constant(layer.factors), 0.0, end)


_COMPUTED: dict[type, Callable[[Any, Any], Any]] = {
    IntegerAdd: lambda _, inputs: inputs[0] + inputs[1],
    IntegerConv: _convolved,
    IntegerMean: _averaged,
    IntegerPixels: lambda layer, inputs: (inputs - float(layer.offset)) * layer.unit,
    IntegerProduct: _multiplied,
}
