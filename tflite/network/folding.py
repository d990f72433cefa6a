"""Batch normalisation folded into the convolution before it, which is exact up to rounding at inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .graph import readers


def foldable(model: keras.Model) -> dict[str, str]:
    """Names of the layers that can take up a batch normalisation, each with the name of that normalisation.

    A convolution (plain, depthwise, separable) or dense layer qualifies when it has no activation of its own and
    nothing but one batch normalisation over the channels reads it.
    """
    readers_of = readers(model)
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}
    pairs = {}
    for layer in model.layers:
        reading = readers_of[layer.name]
        if (
            _kind(layer) is not None
            and layer.name not in outputs
            and layer.activation is keras.activations.linear
            and len(reading) == 1
            and isinstance(reading[0], keras.layers.BatchNormalization)
            and reading[0].axis in (-1, len(layer.output.shape) - 1)
        ):
            pairs[layer.name] = reading[0].name
    return pairs


def folded_weights(layer: Any, batch_norm: Any) -> list[np.ndarray]:
    """Returns the weights of `layer`, with a bias, that compute `batch_norm(layer(x))` in inference.

    Args:
        layer: The convolution or dense layer.
        batch_norm: The normalisation that reads it.

    Returns:
        The arrays in the order of the layer's own weights, the bias last.
    """
    variables = {variable.name: np.asarray(variable, "float64") for variable in batch_norm.weights}
    scale = variables.get("gamma", 1.0) / np.sqrt(variables["moving_variance"] + batch_norm.epsilon)
    offset = variables.get("beta", 0.0) - variables["moving_mean"] * scale
    arrays = [np.asarray(array, "float64") for array in layer.get_weights()]
    bias = arrays.pop() * scale if layer.use_bias else 0.0
    kernel = arrays.pop()
    # A depthwise kernel is [height, width, channels, multiplier]; its outputs run over channels, then multipliers.
    kernel = kernel * (scale.reshape(kernel.shape[2:]) if _kind(layer) == "depthwise" else scale)
    return [array.astype("float32") for array in (*arrays, kernel, bias + offset)]


def _kind(layer: Any) -> str | None:
    """`"depthwise"`, `"plain"` (the last axis of the last kernel is the output's), or None for any other layer."""
    if type(layer) is keras.layers.DepthwiseConv2D:
        return "depthwise"
    plain = (keras.layers.Conv2D, keras.layers.SeparableConv2D, keras.layers.Dense)
    return "plain" if type(layer) in plain else None
