"""Rounding weights to eight bits so that the rounding errors of a layer cancel on real images.

The converter rounds each weight to the nearest step. Here each is rounded in turn and what was lost is made up for by
the weights of the same output channel that are still to be rounded, by how the layer's inputs vary together on the
calibration images: GPTQ (Frantar, Ashkboos, Hoefler and Alistarh, https://arxiv.org/abs/2210.17323). The bias then
takes up the mean of what remains. The steps stay those that the converter chooses, so that it finds the weights on its
grid.

How n inputs vary together is a matrix of n x n. A layer of more than `MOST_INPUTS` inputs is rounded in blocks of like
size, each making up for its own errors. A pass over the images measures as many blocks as fit into `_MOST_BYTES`, and a
matrix is let go of when its weights are rounded: so memory has a bound, whatever the layers, beside the weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from .graph import compiled, copied

IMAGES = 128  # more change nothing that matters: a layer sees thousands of their patches
_PATCHES_PER_IMAGE = 64
MOST_INPUTS = 2048  # a matrix of 34 MB, and a few copies while it is factored
_MOST_BYTES = 1 << 28
_BATCH = 8
_DAMPING = 0.01  # of the mean variance, added to every one: the paper's
_BLOCK = 128  # rounding errors are passed on within a block at once, to later blocks in one matrix product
_STEPS = 127  # symmetric int8


def compensate_rounding(twin: keras.Model, images: np.ndarray, *, least: int = 0) -> keras.Model:
    """Returns a copy of a twin whose weights lie on the int8 grid and answer nearly as before.

    Plain and depthwise convolutions and dense layers are rounded; grouped convolutions stay as they are and the
    converter rounds them.

    Args:
        twin: A model that `deploy` returned with folded batch norms.
        images: Calibration images, uint8 [n, h, w, c].
        least: Where above 0: depthwise convolutions, and plain ones of fewer weights, stay as they are, as in dynamic
            range.
    """
    weights: dict[str, list[np.ndarray]] = {}
    rounded_layers = [layer for layer in twin.layers if _is_rounded(layer, least)]
    for blocks in _passes(block for layer in rounded_layers for block in _blocks(layer)):
        moments = _moments(twin, blocks, images[:IMAGES])
        for block in blocks:
            layer = block.layer
            old, *bias = layer.get_weights()
            new, *new_bias = weights.setdefault(layer.name, [np.empty_like(old), *(b.astype("float64") for b in bias)])
            known = moments.pop(0)
            matrices = _as_matrices(layer, old)
            rounded, lost = _round(matrices, block.inputs, known)
            _as_matrices(layer, new)[:, block.inputs] = rounded
            for array in new_bias:
                array += lost
    return copied(twin, weights={name: [array.astype("float32") for array in some] for name, some in weights.items()})


@dataclass
class _Block:
    """The inputs of a layer that are rounded together.

    Attributes:
        layer: The layer.
        inputs: Which of the inputs that each of its weights sees.
        size: Of its moments, in bytes.
    """

    layer: Any
    inputs: slice
    size: int


def _blocks(layer: Any) -> list[_Block]:
    groups, inputs, _ = _as_matrices(layer, layer.kernel).shape
    sizes = (math.ceil(inputs / blocks) for blocks in itertools.count(1))
    size = next(size for size in sizes if size == 1 or groups * size**2 <= MOST_INPUTS**2)
    return [
        _Block(layer, slice(start, min(start + size, inputs)), 8 * groups * size**2) for start in range(0, inputs, size)
    ]


def _passes(blocks: Iterable[_Block]) -> Iterator[list[_Block]]:
    """The blocks in their order, as many at a time as memory is set aside for."""
    some: list[_Block] = []
    for block in blocks:
        if some and sum(other.size for other in some) + block.size > _MOST_BYTES:
            yield some
            some = []
        some.append(block)
    if some:
        yield some


class _Moments:
    """What a layer's inputs are like on average: of each group of channels that a weight sees (one, or a channel each).

    Attributes:
        first: Means, [groups, inputs].
        second: Mean products of two inputs, [groups, inputs, inputs].
    """

    def __init__(self) -> None:
        self.first: Any = 0.0
        self.second: Any = None
        self._count = 0

    def see(self, patches: np.ndarray) -> None:
        """Adds up [groups, patches, inputs]."""
        import tensorflow as tf

        self.first = self.first + patches.sum(axis=1, dtype="float64")
        products = tf.matmul(patches, patches, transpose_a=True).numpy()
        if self.second is None:
            self.second = products.astype("float64")
        else:
            self.second += products
        self._count += patches.shape[1]

    def average(self) -> _Moments:
        self.first /= self._count
        self.second /= self._count
        return self


def _moments(twin: keras.Model, blocks: list[_Block], images: np.ndarray) -> list[_Moments]:
    layers = list({id(block.layer): block.layer for block in blocks}.values())
    reading = keras.Model(twin.inputs[0], [layer.input for layer in layers])
    inputs_of = compiled(lambda batch: reading(batch, training=False))
    order = np.random.default_rng(0)
    found = [_Moments() for _ in blocks]
    for start in range(0, len(images), _BATCH):
        for layer, values in zip(layers, inputs_of(images[start : start + _BATCH]), strict=True):
            patches = _patches(layer, values, order)  # [groups, patches, inputs]
            for block, moments in zip(blocks, found, strict=True):
                if block.layer is layer:
                    moments.see(patches[:, :, block.inputs])
    return [moments.average() for moments in found]


def _patches(layer: Any, values: Any, order: np.random.Generator) -> np.ndarray:
    """A sample of what the layer's kernel is laid over, float32 [groups, patches, inputs]."""
    values = np.asarray(values)
    if isinstance(layer, keras.layers.Dense):
        return values.reshape(1, -1, values.shape[-1])
    (height, width), strides, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    reach = [(size - 1) * step + 1 for size, step in zip((height, width), dilation, strict=True)]
    if layer.padding == "same":
        sides = zip(values.shape[1:3], strides, reach, strict=True)
        missing = [max((math.ceil(side / step) - 1) * step + wide - side, 0) for side, step, wide in sides]
        values = np.pad(values, [(0, 0), *((more // 2, more - more // 2) for more in missing), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(values, reach, (1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    places, count = math.prod(windows.shape[:3]), _PATCHES_PER_IMAGE * len(values)
    chosen = order.choice(places, count, replace=False) if places > count else np.arange(places)
    rows = windows[np.unravel_index(chosen, windows.shape[:3])].transpose(0, 2, 3, 1)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return rows.reshape(len(rows), height * width, -1).transpose(2, 0, 1)
    return rows.reshape(1, len(rows), -1)


def _is_rounded(layer: Any, least: int) -> bool:
    if type(layer) is keras.layers.Conv2D:
        return layer.groups == 1 and math.prod(layer.kernel.shape) >= least
    return type(layer) is keras.layers.Dense or (type(layer) is keras.layers.DepthwiseConv2D and not least)


def _as_matrices(layer: Any, kernel: Any) -> np.ndarray:
    """A kernel seen as [groups, inputs, outputs]; of an array, what is written there is written in the kernel."""
    array = np.asarray(kernel)
    if type(layer) is keras.layers.DepthwiseConv2D:
        height, width, channels, multiplier = array.shape
        return array.reshape(height * width, channels, multiplier).transpose(1, 0, 2)
    return array.reshape(1, -1, array.shape[-1])


def _round(kernel: np.ndarray, inputs: slice, moments: _Moments) -> tuple[np.ndarray, np.ndarray]:
    """Rounds a block of [groups, inputs, outputs], each output on the grid of its own largest weight.

    Returns:
        The block, and what its outputs have lost on average.
    """
    steps = np.maximum(np.abs(kernel).max(axis=1, keepdims=True).astype("float64"), 1e-12) / _STEPS
    places = np.arange(inputs.start, inputs.stop)
    largest = np.abs(kernel).argmax(axis=1)[:, None, :] == places[None, :, None]
    matrices, upper = kernel[:, inputs].astype("float64"), _factored(moments.second)
    groups, count, _ = matrices.shape

    left, rounded = matrices.copy(), np.empty_like(matrices)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        errors = np.empty((groups, stop - start, matrices.shape[2]))
        for row in range(start, stop):
            weight, step = left[:, row], steps[:, 0]
            on_grid = np.clip(np.rint(weight / step), -_STEPS, _STEPS)
            # The largest weight stays at the end of the grid: the converter reads the step off it.
            on_grid = np.where(largest[:, row], np.sign(matrices[:, row]) * _STEPS, on_grid)
            rounded[:, row] = on_grid * step
            error = (weight - rounded[:, row]) / upper[:, row, row, None]
            left[:, row + 1 : stop] -= upper[:, row, row + 1 : stop, None] * error[:, None]
            errors[:, row - start] = error
        left[:, stop:] -= upper[:, start:stop, stop:].transpose(0, 2, 1) @ errors
    return rounded, np.einsum("gk,gko->go", moments.first, matrices - rounded).reshape(-1)


def _factored(second: np.ndarray) -> np.ndarray:
    """The upper Cholesky factor of the inverse of damped moments, which are changed."""
    import tensorflow as tf

    variance = np.einsum("gkk->g", second) / second.shape[1]
    diagonal = np.einsum("gkk->gk", second)
    diagonal += (_DAMPING * variance + 1e-9)[:, None]
    # By way of the reversed matrix: one factorisation, one triangular solve.
    factor = tf.linalg.cholesky(second[:, ::-1, ::-1])
    inverse = tf.linalg.triangular_solve(factor, np.broadcast_to(np.eye(second.shape[1]), second.shape))
    return inverse.numpy()[:, ::-1, ::-1]
