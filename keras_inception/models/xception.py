"""Xception.

"Xception: Deep Learning with Depthwise Separable Convolutions", Chollet, 2016, https://arxiv.org/abs/1610.02357.
Reference implementation: keras.applications' Xception. Input 299x299, 22.9 million weights.

Blocks are numbered as in keras.applications, where the two convolutions of the stem are block 1. The networks that
timm calls xception41, 65 and 71 are DeepLab's, not this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from keras_inception.application import assemble, check_choice, takes_weights
from keras_inception.layers import Padding, Tensor, conv_bn, max_pool, pool, sep_conv_bn
from keras_inception.numerics import KERAS, Numerics

STEM = (32, 64)  # 3x3 convolutions without padding, the first of stride 2: 147x147
ENTRY = {"block2": (128, 128), "block3": (256, 256), "block4": (728, 728)}  # halve: 74x74, 37x37, 19x19
MIDDLE = {f"block{index}": (728, 728, 728) for index in range(5, 13)}  # 19x19
EXIT = {"block13": (728, 1024)}  # halves: 10x10
LAST = (1536, 2048)
MIN_SIZES = {"imagenet": 32, "low_resolution": 8}  # by stem


@takes_weights("xception")
def Xception(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "xception",
    *,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds Xception (https://arxiv.org/abs/1610.02357).

    Args:
        include_top: Whether to end in global average pooling, dropout and the classifier.
        weights: None (random), `"imagenet"`, the tag of a released weight set, or the path of a weights file.
        input_tensor: Keras tensor to build on instead of a new input.
        input_shape: Shape of one image, 1 to 4 channels, at least 32x32 pixels (8x8 with the low-resolution stem);
            default `(299, 299, 3)`, or any size without the top.
        pooling: Without the top: None for the last feature maps, `"avg"` or `"max"` for their global pool.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; None gives logits.
        name: Name of the model.
        stem: `"low_resolution"` removes the first two reductions and pads the stem's convolutions, for images of about
            32x32 pixels (not in the paper).
        aux_heads: Refused: the network has none.
        dropout: Rate before the classifier; None: 0.5, as in the paper (keras.applications has none).
        numerics: The conventions to compute under; None: Keras's, with which the public weights were trained.
        include_preprocessing: Take raw pixels in 0..255 and scale them to [-1, 1] inside the model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    check_choice("stem", stem, tuple(MIN_SIZES))
    low_resolution = stem == "low_resolution"
    chosen = numerics or KERAS

    def body(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        padding: Padding = "same" if low_resolution else "valid"
        stride = 1 if low_resolution else 2
        x = conv_bn(x, STEM[0], 3, stride=stride, padding=padding, name="conv1", numerics=chosen)
        x = conv_bn(x, STEM[1], 3, padding=padding, name="conv2", numerics=chosen)
        for name, widths in (ENTRY | MIDDLE | EXIT).items():
            halve = name not in MIDDLE and not (low_resolution and name == "block2")
            x = block(x, widths, name=name, numerics=chosen, halve=halve, project=name not in MIDDLE)
        x = sep_conv_bn(x, LAST[0], 3, name="block14_sep1", numerics=chosen)
        return sep_conv_bn(x, LAST[1], 3, name="block14", numerics=chosen), {}

    return assemble(
        "xception",
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout=0.5 if dropout is None else dropout,
        include_preprocessing=include_preprocessing,
        numerics=chosen,
        aux_heads=aux_heads,
        min_size=MIN_SIZES[stem],
    )


def block(x: Tensor, widths: Sequence[int], *, name: str, numerics: Numerics, halve: bool, project: bool) -> Tensor:
    """Separable convolutions, each after a ReLU, with a shortcut around them.

    Args:
        x: Batch of feature maps.
        widths: Width of each separable convolution.
        name: Name of the block. The ReLU that would lead block 2 is left out: the stem ends in one.
        numerics: The conventions to compute under.
        halve: End in a max pool of stride 2.
        project: Take the shortcut through a 1x1 convolution, of the same stride.
    """
    shortcut = x
    if project:  # built first, as in Keras and PyTorch, so that the weights come in their order
        stride = 2 if halve else 1
        shortcut = conv_bn(x, widths[-1], 1, stride=stride, activation=None, name=f"{name}_shortcut", numerics=numerics)
    for index, width in enumerate(widths, start=1):
        if (name, index) != ("block2", 1):
            x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
        x = sep_conv_bn(x, width, 3, activation=None, name=f"{name}_sep{index}", numerics=numerics)
    if halve:
        x = pool(x, max_pool(3, 2), name=f"{name}_pool", numerics=numerics, signed=True)
    return layers.Add(name=name)([x, shortcut])
