"""Rounding weights to eight bits so that the rounding errors of a layer cancel on real images.

The converter rounds each weight to the nearest step. Here each is rounded in turn and what was lost is made up for by
the weights of the same output channel that are still to be rounded, by how the layer's inputs vary together on the
calibration images: GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, https://arxiv.org/abs/2210.17323). The bias then
takes up the mean of what remains. The steps stay those that the converter chooses, so that it finds the weights on its
grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .graph import copied

IMAGES = 128  # more change nothing that matters: a layer sees thousands of their patches
_PATCHES_PER_IMAGE = 64
_BATCH = 8
_DAMPING = 0.01  # of the mean variance, added to every one: the paper's
_BLOCK = 128  # rounding errors are passed on within a block at once, to later blocks in one matrix product
_STEPS = 127  # symmetric int8


def compensate_rounding(twin: keras.Model, images: np.ndarray) -> keras.Model:
    """Returns a copy of a twin whose weights lie on the int8 grid and answer nearly as before.

    Plain and depthwise convolutions and dense layers are rounded; grouped convolutions stay as they are and the
    converter rounds them.

    Args:
        twin: A model that `deploy` returned with folded batch norms.
        images: Calibration images, uint8 [n, h, w, c].
    """
    layers = [layer for layer in twin.layers if _is_rounded(layer)]
    weights = {}
    for layer, moments in zip(layers, _moments(twin, layers, images[:IMAGES]), strict=True):
        kernel, *bias = layer.get_weights()
        matrices = _as_matrices(layer, kernel)
        new = _round(matrices, moments.second)
        arrays = [_as_kernel(layer, new)]
        if bias:
            lost = np.einsum("gk,gko->go", moments.first, matrices - new)
            arrays.append(bias[0] + lost.reshape(-1))
        weights[layer.name] = [array.astype("float32") for array in arrays]
    return copied(twin, weights=weights)


@dataclass
class _Moments:
    """What a layer's inputs are like on average: of each group of channels that a weight sees (one, or a channel each).

    Attributes:
        first: Means, [groups, inputs].
        second: Mean products of two inputs, [groups, inputs, inputs].
    """

    first: np.ndarray
    second: np.ndarray


def _moments(twin: keras.Model, layers: list[Any], images: np.ndarray) -> list[_Moments]:
    import tensorflow as tf

    reading = keras.Model(twin.inputs[0], [layer.input for layer in layers])
    inputs_of = tf.function(lambda batch: reading(batch, training=False), autograph=False)
    order = np.random.default_rng(0)
    sums: list[_Moments | None] = [None] * len(layers)
    counts = np.zeros(len(layers))
    for start in range(0, len(images), _BATCH):
        batch = tf.constant(images[start : start + _BATCH].astype("float32"))
        for index, (layer, tensor) in enumerate(zip(layers, tf.nest.flatten(inputs_of(batch)), strict=True)):
            patches = _patches(layer, tensor, order)  # [groups, patches, inputs]
            first = patches.sum(axis=1, dtype="float64")
            second = tf.matmul(patches, patches, transpose_a=True).numpy().astype("float64")
            known = sums[index]
            sums[index] = (
                _Moments(first, second) if known is None else _Moments(known.first + first, known.second + second)
            )
            counts[index] += patches.shape[1]
    return [_Moments(some.first / n, some.second / n) for some, n in zip(sums, counts, strict=True) if some is not None]


def _patches(layer: Any, tensor: Any, order: np.random.Generator) -> np.ndarray:
    """A sample of what the layer's kernel is laid over, float32 [groups, patches, inputs]."""
    import tensorflow as tf

    if isinstance(layer, keras.layers.Dense):
        return np.asarray(tensor).reshape(1, -1, tensor.shape[-1])
    (height, width), strides, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    patches = tf.image.extract_patches(
        tensor, [1, height, width, 1], [1, *strides, 1], [1, *dilation, 1], layer.padding.upper()
    )
    rows = patches.numpy().reshape(-1, patches.shape[-1])
    count = _PATCHES_PER_IMAGE * len(tensor)
    if len(rows) > count:
        rows = rows[order.choice(len(rows), count, replace=False)]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return rows.reshape(len(rows), height * width, -1).transpose(2, 0, 1)
    return rows[None]


def _is_rounded(layer: Any) -> bool:
    if type(layer) is keras.layers.Conv2D:
        return layer.groups == 1
    return type(layer) in (keras.layers.DepthwiseConv2D, keras.layers.Dense)


def _as_matrices(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """A kernel as float64 [groups, inputs, outputs]."""
    if type(layer) is keras.layers.DepthwiseConv2D:
        height, width, channels, multiplier = kernel.shape
        return kernel.reshape(height * width, channels, multiplier).transpose(1, 0, 2).astype("float64")
    return kernel.reshape(1, -1, kernel.shape[-1]).astype("float64")


def _as_kernel(layer: Any, matrices: np.ndarray) -> np.ndarray:
    if type(layer) is keras.layers.DepthwiseConv2D:
        return matrices.transpose(1, 0, 2).reshape(layer.kernel.shape)
    return matrices.reshape(layer.kernel.shape)


def _round(matrices: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rounds [groups, inputs, outputs], each output on the grid of its own largest weight."""
    import tensorflow as tf

    groups, inputs, _ = matrices.shape
    steps = np.maximum(np.abs(matrices).max(axis=1, keepdims=True), 1e-12) / _STEPS
    largest = np.abs(matrices).argmax(axis=1)[:, None, :] == np.arange(inputs)[None, :, None]
    variance = np.einsum("gkk->g", second) / inputs
    damped = second + np.eye(inputs) * (_DAMPING * variance + 1e-9)[:, None, None]
    # The upper Cholesky factor of the inverse, by way of the reversed matrix: one factorisation, one triangular solve.
    factor = tf.linalg.cholesky(damped[:, ::-1, ::-1])
    upper = tf.linalg.triangular_solve(factor, np.broadcast_to(np.eye(inputs), damped.shape)).numpy()[:, ::-1, ::-1]

    left, rounded = matrices.copy(), np.empty_like(matrices)
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        errors = np.empty((groups, stop - start, matrices.shape[2]))
        for row in range(start, stop):
            weight, step = left[:, row], steps[:, 0]
            count = np.clip(np.rint(weight / step), -_STEPS, _STEPS)
            # The largest weight stays at the end of the grid: the converter reads the step off it.
            count = np.where(largest[:, row], np.sign(matrices[:, row]) * _STEPS, count)
            rounded[:, row] = count * step
            error = (weight - rounded[:, row]) / upper[:, row, row, None]
            left[:, row + 1 : stop] -= upper[:, row, row + 1 : stop, None] * error[:, None]
            errors[:, row - start] = error
        left[:, stop:] -= upper[:, start:stop, stop:].transpose(0, 2, 1) @ errors
    return rounded
