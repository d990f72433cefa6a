"""ResNeXt.

"Aggregated Residual Transformations for Deep Neural Networks", Xie et al., 2016, https://arxiv.org/abs/1611.05431.
Reference implementations: facebookresearch/ResNeXt and torchvision's resnext50_32x4d. Input 224x224, 25.0 million
weights with 50 layers and 32x4d, 44.2 million with 101.

Blocks have the paper's form (c), grouped convolutions; the stride is on the 3x3 convolution. Stages are numbered as in
the paper's Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from keras_inception.application import assemble, check_choice, takes_weights
from keras_inception.layers import Tensor, channel_axis, conv_bn, max_pool, pool
from keras_inception.numerics import TORCH, Numerics

STEM_WIDTH = 64  # 7x7, stride 2: 112x112
WIDTHS = {"conv2": 256, "conv3": 512, "conv4": 1024, "conv5": 2048}  # 56x56, 28x28, 14x14, 7x7
BLOCKS = {"resnext50": (3, 4, 6, 3), "resnext101": (3, 4, 23, 3)}  # of each stage
MIN_SIZES = {"imagenet": 32, "low_resolution": 8}  # by stem


@takes_weights("resnext50")
def ResNeXt50(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnext50",
    *,
    cardinality: int = 32,
    width: int = 4,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds ResNeXt with 50 layers (https://arxiv.org/abs/1611.05431).

    Args:
        include_top: Whether to end in global average pooling, dropout and the classifier.
        weights: None (random), `"imagenet"`, the tag of a released weight set, or the path of a weights file.
        input_tensor: Keras tensor to build on instead of a new input.
        input_shape: Shape of one image, 1 to 4 channels, at least 32x32 pixels (8x8 with the low-resolution stem);
            default `(224, 224, 3)`, or any size without the top.
        pooling: Without the top: None for the last feature maps, `"avg"` or `"max"` for their global pool.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; None gives logits.
        name: Name of the model.
        cardinality: Number of groups of the 3x3 convolutions; 1 with a width of 64 is ResNet.
        width: Channels of a group in the first stage, which double with every stage: 32x4d is a cardinality of 32 and
            a width of 4.
        stem: `"low_resolution"` replaces the stem by a 3x3 convolution of stride 1, as the paper does on CIFAR.
        aux_heads: Refused: the network has none.
        dropout: Rate before the classifier; None: none, as published.
        numerics: The conventions to compute under; None: PyTorch's, with which the public weights were trained.
        include_preprocessing: Take raw pixels in 0..255 and normalise them by ImageNet's mean and standard deviation
            inside the model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    return _resnext(
        "resnext50",
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        cardinality=cardinality,
        width=width,
        stem=stem,
        aux_heads=aux_heads,
        dropout=dropout,
        numerics=numerics,
        include_preprocessing=include_preprocessing,
    )


@takes_weights("resnext101")
def ResNeXt101(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "resnext101",
    *,
    cardinality: int = 32,
    width: int = 4,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds ResNeXt with 101 layers (https://arxiv.org/abs/1611.05431).

    Public weights exist for 32x4d, 64x4d and 32x8d.

    Args:
        include_top: Whether to end in global average pooling, dropout and the classifier.
        weights: None (random), `"imagenet"`, the tag of a released weight set, or the path of a weights file.
        input_tensor: Keras tensor to build on instead of a new input.
        input_shape: Shape of one image, 1 to 4 channels, at least 32x32 pixels (8x8 with the low-resolution stem);
            default `(224, 224, 3)`, or any size without the top.
        pooling: Without the top: None for the last feature maps, `"avg"` or `"max"` for their global pool.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; None gives logits.
        name: Name of the model.
        cardinality: As in `ResNeXt50`.
        width: As in `ResNeXt50`.
        stem: As in `ResNeXt50`.
        aux_heads: Refused: the network has none.
        dropout: As in `ResNeXt50`.
        numerics: As in `ResNeXt50`.
        include_preprocessing: As in `ResNeXt50`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    return _resnext(
        "resnext101",
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        cardinality=cardinality,
        width=width,
        stem=stem,
        aux_heads=aux_heads,
        dropout=dropout,
        numerics=numerics,
        include_preprocessing=include_preprocessing,
    )


def _resnext(
    entry_name: str,
    *,
    cardinality: int,
    width: int,
    stem: str,
    dropout: float | None,
    numerics: Numerics | None,
    **shared: Any,
) -> keras.Model:
    check_choice("stem", stem, tuple(MIN_SIZES))
    for argument, value in (("cardinality", cardinality), ("width", width)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"{argument} must be a positive whole number: the 3x3 convolutions have `cardinality` groups of "
                f"`width` channels. Received: {argument}={value!r}."
            )
    chosen = numerics or TORCH

    def body(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if stem == "low_resolution":
            x = conv_bn(x, STEM_WIDTH, 3, name="conv1", numerics=chosen)
        else:
            x = conv_bn(x, STEM_WIDTH, 7, stride=2, name="conv1", numerics=chosen)
            x = pool(x, max_pool(3, 2), name="pool1", numerics=chosen)
        inside = cardinality * width
        for (stage, outside), count in zip(WIDTHS.items(), BLOCKS[entry_name], strict=True):
            for index in range(1, count + 1):
                stride = 2 if index == 1 and stage != "conv2" else 1
                x = block(x, inside, outside, cardinality, stride, name=f"{stage}_block{index}", numerics=chosen)
            inside *= 2
        return x, {}

    return assemble(
        entry_name,
        body,
        dropout=dropout or 0.0,
        numerics=chosen,
        min_size=MIN_SIZES[stem],
        **shared,
    )


def block(x: Tensor, inside: int, outside: int, groups: int, stride: int, *, name: str, numerics: Numerics) -> Tensor:
    """A bottleneck whose 3x3 convolution is grouped, with a shortcut, which is projected where the shape changes."""
    shortcut = x
    x = conv_bn(x, inside, 1, name=f"{name}_a", numerics=numerics)
    x = conv_bn(x, inside, 3, stride=stride, groups=groups, name=f"{name}_b", numerics=numerics)
    x = conv_bn(x, outside, 1, activation=None, name=f"{name}_c", numerics=numerics)
    if stride > 1 or shortcut.shape[channel_axis()] != outside:
        shortcut = conv_bn(
            shortcut, outside, 1, stride=stride, activation=None, name=f"{name}_shortcut", numerics=numerics
        )
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=name)(x)
