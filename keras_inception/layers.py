"""How the tables of the networks become layers: the one place where their operations meet Keras.

The layer that ends a unit carries the unit's name and its parts carry it as a prefix, which `keras_inception.naming`
reads.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import TypeAlias

import keras
from keras import layers

from keras_inception.custom_layers import ChannelShuffle, LocalResponseNormalization
from keras_inception.naming import unit_label
from keras_inception.numerics import Numerics
from keras_inception.ops import (
    LRN,
    Branch,
    Conv,
    Dropout,
    Fork,
    FullyConnected,
    Module,
    Op,
    Padding,
    Pool,
    SeparableConv,
    Table,
)

Tensor: TypeAlias = keras.KerasTensor
"""A symbolic tensor."""


def channel_axis() -> int:
    """The axis of the channels in a batch of images, by Keras's data format."""
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def image_shape(size: int | None, channels: int = 3) -> tuple[int | None, int | None, int | None]:
    """Shape of a square image, by Keras's data format."""
    return (channels, size, size) if channel_axis() == 1 else (size, size, channels)


def spatial_size(x: Tensor) -> tuple[int | None, int | None]:
    """Height and width of a batch of images, None where unknown."""
    shape = x.shape
    return (shape[2], shape[3]) if channel_axis() == 1 else (shape[1], shape[2])


def conv_bn(
    x: Tensor,
    filters: int,
    kernel: int | tuple[int, int],
    *,
    name: str,
    numerics: Numerics,
    stride: int = 1,
    padding: Padding = "same",
    groups: int = 1,
    activation: str | None = "relu",
    batch_norm: bool = True,
) -> Tensor:
    """Convolution, batch normalisation and activation, the unit of which all these networks are made.

    The weighted layers are `NAME_conv` and `NAME_bn`; the activation, which ends the unit, is `NAME`.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    normalised = batch_norm and numerics.batch_norm
    x, padding = pad_for_stride(x, kernel, stride, padding, name=name, numerics=numerics)
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        groups=groups,
        use_bias=numerics.conv_bias or not normalised,
        name=f"{name}_conv",
    )(x)
    return _finish_unit(x, activation, normalised, name=name, numerics=numerics)


def depthwise_bn(
    x: Tensor, kernel: int, *, name: str, numerics: Numerics, stride: int = 1, activation: str | None = "relu"
) -> Tensor:
    """Depthwise convolution (one filter a channel), batch normalisation and activation; named like `conv_bn`."""
    x, padding = pad_for_stride(x, (kernel, kernel), stride, "same", name=name, numerics=numerics)
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding=padding,
        use_bias=numerics.conv_bias or not numerics.batch_norm,
        name=f"{name}_conv",
    )(x)
    return _finish_unit(x, activation, numerics.batch_norm, name=name, numerics=numerics)


def sep_conv_bn(
    x: Tensor,
    filters: int,
    kernel: int | tuple[int, int],
    *,
    name: str,
    numerics: Numerics,
    stride: int = 1,
    depth_multiplier: int = 1,
    activation: str | None = "relu",
    batch_norm: bool = True,
) -> Tensor:
    """Separable convolution, batch normalisation and activation; named like `conv_bn`.

    A depthwise convolution and a 1x1 convolution with nothing between them: one layer of Keras, `NAME_conv`.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    normalised = batch_norm and numerics.batch_norm
    x, padding = pad_for_stride(x, kernel, stride, "same", name=name, numerics=numerics)
    x = layers.SeparableConv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        depth_multiplier=depth_multiplier,
        use_bias=numerics.conv_bias or not normalised,
        name=f"{name}_conv",
    )(x)
    return _finish_unit(x, activation, normalised, name=name, numerics=numerics)


def _finish_unit(x: Tensor, activation: str | None, normalised: bool, *, name: str, numerics: Numerics) -> Tensor:
    if normalised:
        x = batch_normalization(x, name=f"{name}_bn", numerics=numerics)
    return x if activation is None else layers.Activation(activation, name=name)(x)


def drop_branch(x: Tensor, rate: float, *, name: str) -> Tensor:
    """Stochastic depth: in training, each image's residual branch is left out at a rate, else scaled by 1 / (1 - rate).

    Huang et al. scale the branch in prediction instead; the expectation is the same, and here the network in
    prediction, and every export of it, is the one that it is without.

    Args:
        x: The branch, before it is added to its shortcut.
        rate: Share of the images; 0 adds no layer.
        name: Name of the block.
    """
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x) if rate else x


def batch_normalization(x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
    """Batch normalisation over the channels under the given numerics."""
    return layers.BatchNormalization(
        axis=channel_axis(), momentum=numerics.momentum, epsilon=numerics.epsilon, scale=numerics.scale, name=name
    )(x)


def pad_for_stride(
    x: Tensor, kernel: tuple[int, int], stride: int, padding: Padding, *, name: str, numerics: Numerics
) -> tuple[Tensor, Padding]:
    """Pads a strided "same" convolution the way PyTorch does where the numerics ask for it.

    Returns:
        The input, padded or not, and the padding that is left for the convolution to do.
    """
    if numerics.padding == "same" or padding == "valid" or stride == 1 or kernel == (1, 1):
        return x, padding
    return layers.ZeroPadding2D((kernel[0] // 2, kernel[1] // 2), name=f"{name}_pad")(x), "valid"


def pool(x: Tensor, op: Pool, *, name: str, numerics: Numerics, signed: bool = False) -> Tensor:
    """A max or average pool under the given numerics; the layer that ends it carries the name.

    Args:
        x: Batch of feature maps.
        op: The pool.
        name: Name of the layer.
        numerics: The conventions of padding.
        signed: The input may be negative. Max pools pad with minus infinity; after a ReLU, padding with zeros is
            the same and cheaper.
    """
    if op.kind == "avg":
        if numerics.count_padding and op.padding == "same":
            x = layers.ZeroPadding2D(op.size // 2, name=f"{name}_pad")(x)
            return layers.AveragePooling2D(op.size, op.stride, padding="valid", name=name)(x)
        return layers.AveragePooling2D(op.size, op.stride, padding=op.padding, name=name)(x)
    if op.padding == "valid" or op.stride == 1 or (numerics.padding == "same" and not numerics.ceil_pool):
        return layers.MaxPooling2D(op.size, op.stride, padding=op.padding, name=name)(x)
    if numerics.ceil_pool:
        after = tuple(_ceil_padding(size, op) for size in spatial_size(x))
        if any(after):
            x = layers.ZeroPadding2D(((0, after[0]), (0, after[1])), name=f"{name}_pad")(x)
    elif signed:
        # Windows of stride 1 under SAME start at -1 just like PyTorch's; every stride-th of them is what it keeps.
        x = layers.MaxPooling2D(op.size, 1, padding="same", name=f"{name}_window")(x)
        return layers.MaxPooling2D(1, op.stride, name=name)(x)
    else:
        x = layers.ZeroPadding2D(op.size // 2, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(op.size, op.stride, padding="valid", name=name)(x)


def _ceil_padding(size: int | None, op: Pool) -> int:
    """Rows to add after the input so that the last window of a ceil-mode pool fits; an unknown size counts as even."""
    size = size if size is not None else 2 * op.size
    return math.ceil(max(size - op.size, 0) / op.stride) * op.stride + op.size - size


def stages(x: Tensor, table: Table, *, numerics: Numerics) -> tuple[Tensor, dict[str, Tensor]]:
    """Applies the named modules, operations and blocks of a network's table one after the other.

    Returns:
        The last output, and every output by name.
    """
    endpoints = {}
    for name, block in table.items():
        if isinstance(block, Sequence):
            x = inception_module(x, block, name=name, numerics=numerics)
        elif callable(block):
            x = block(x, name=name, numerics=numerics)
        else:
            x = apply(block, x, name=name, numerics=numerics)
        endpoints[name] = x
    return x, endpoints


def inception_module(x: Tensor, module: Module, *, name: str, numerics: Numerics) -> Tensor:
    """Applies the branches of a module side by side and concatenates them in the table's order."""
    outputs = []
    for index, ops in enumerate(module):
        outputs += branch(x, ops, name=f"{name}_branch{index}", numerics=numerics)
    return layers.Concatenate(axis=channel_axis(), name=name)(outputs)


def branch(x: Tensor, ops: Branch, *, name: str, numerics: Numerics) -> list[Tensor]:
    """Applies one branch of a module; its operations are lettered as in TF-Slim: `NAME_a_1x1`, `NAME_b_3x3`.

    Returns:
        The output; where a `Fork` ends the branch, those of its operations.
    """
    letters = iter(string.ascii_lowercase)
    outputs = [x]
    for op in ops:
        (x,) = outputs
        outputs = []
        for part in op.branches if isinstance(op, Fork) else (op,):
            unit = f"{name}_{next(letters)}_{unit_label(part)}"
            outputs.append(apply(part, x, name=unit, numerics=numerics))
    return outputs


def apply(op: Op, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
    """Applies one operation, any but a `Fork`, which only ends a branch."""
    match op:
        case Conv():
            return conv_bn(x, **vars(op), name=name, numerics=numerics)
        case SeparableConv():
            return sep_conv_bn(x, **vars(op), name=name, numerics=numerics)
        case Pool():
            return pool(x, op, name=name, numerics=numerics)
        case LRN():
            return LocalResponseNormalization(name=name)(x)
        case FullyConnected():
            x = layers.Flatten(name=f"{name}_flatten")(x) if len(x.shape) > 2 else x
            return layers.Dense(op.units, activation="relu", name=name)(x)
        case Dropout():
            return layers.Dropout(op.rate, name=name)(x)
    raise TypeError(f"An operation of a table is one of {Op}, a Fork inside a branch alone. Received: {op!r}.")


def channel_shuffle(x: Tensor, groups: int, *, name: str) -> Tensor:
    """Shuffles channels across groups: read as a table of `groups` rows, they come out column by column.

    The inverse is the shuffle of `channels // groups` groups. Known image sizes need Keras's own layers alone, so that
    such a model loads without this package; unknown ones need a `ChannelShuffle`.
    """
    height, width = spatial_size(x)
    if height is None or width is None:
        return ChannelShuffle(groups, name=name)(x)
    channels = x.shape[channel_axis()]
    size, table = height * width, (groups, channels // groups)
    first = channel_axis() == 1
    x = layers.Reshape((*table, size) if first else (size, *table), name=f"{name}_split")(x)
    x = layers.Permute((2, 1, 3) if first else (1, 3, 2), name=f"{name}_swap")(x)
    return layers.Reshape((channels, height, width) if first else (height, width, channels), name=name)(x)


def full_precision() -> str:
    """The dtype for what must not be rounded to 16 bits (inputs in 0..255, probabilities) under the global policy."""
    dtype = keras.config.dtype_policy().compute_dtype
    return "float32" if dtype in ("float16", "bfloat16") else dtype
