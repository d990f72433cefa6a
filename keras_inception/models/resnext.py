# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""ResNeXt.

"Aggregated Residual Transformations for Deep Neural Networks", Xie et al., 2016, https://arxiv.org/abs/1611.05431.
Reference implementations: facebookresearch/ResNeXt and torchvision's resnext50_32x4d. Input 224x224, 25.0 million
weights with 50 layers and 32x4d, 44.2 million with 101.

Blocks have the paper's form (c), grouped convolutions; the stride is on the 3x3 convolution. Stages are numbered as in
the paper's Table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras import layers

from keras_inception.application import Network, network
from keras_inception.arguments import check_number
from keras_inception.layers import Tensor, channel_axis, conv_bn, drop_branch
from keras_inception.numerics import TORCH, Numerics
from keras_inception.ops import conv, max_pool, without_reductions

STEM_WIDTH = 64  # 7x7, stride 2: 112x112
WIDTHS = {"conv2": 256, "conv3": 512, "conv4": 1024, "conv5": 2048}  # 56x56, 28x28, 14x14, 7x7
BLOCKS = {"resnext50": (3, 4, 6, 3), "resnext101": (3, 4, 23, 3)}  # of each stage


@dataclass(frozen=True)
class Bottleneck:
    """A residual block whose 3x3 convolution is grouped; the shortcut is projected where the shape changes."""

    inside: int
    outside: int
    groups: int
    stride: int
    drop_rate: float = 0.0

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        unit: dict[str, Any] = {"numerics": numerics}
        last = unit | {"activation": None}
        shortcut = x
        x = conv_bn(x, self.inside, 1, name=f"{name}_a", **unit)
        x = conv_bn(x, self.inside, 3, stride=self.stride, groups=self.groups, name=f"{name}_b", **unit)
        x = conv_bn(x, self.outside, 1, name=f"{name}_c", **last)
        if self.stride > 1 or shortcut.shape[channel_axis()] != self.outside:
            shortcut = conv_bn(shortcut, self.outside, 1, stride=self.stride, name=f"{name}_shortcut", **last)
        x = layers.Add(name=f"{name}_add")([drop_branch(x, self.drop_rate, name=name), shortcut])
        return layers.Activation("relu", name=name)(x)


@network("resnext50")
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
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds ResNeXt with 50 layers (https://arxiv.org/abs/1611.05431).

    Args:
        cardinality: Number of groups of the 3x3 convolutions; 1 with a width of 64 is ResNet.
        width: Channels of a group in the first stage, which double with every stage: 32x4d is a cardinality of 32 and
            a width of 4.
        stem: `"low_resolution"` replaces the stem by a 3x3 convolution of stride 1, as the paper does on CIFAR.
        dropout: Rate before the classifier; None: none, as published.
        numerics: The conventions to compute under; None: PyTorch's, with which the public weights were trained.
    """
    return _resnext("resnext50", cardinality, width, stem, numerics)


@network("resnext101")
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
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds ResNeXt with 101 layers (https://arxiv.org/abs/1611.05431).

    Public weights exist for 32x4d, 64x4d and 32x8d.

    Args:
        cardinality: As in `ResNeXt50`.
        width: As in `ResNeXt50`.
        stem: As in `ResNeXt50`.
        dropout: As in `ResNeXt50`.
        numerics: As in `ResNeXt50`.
    """
    return _resnext("resnext101", cardinality, width, stem, numerics)


def _resnext(entry_name: str, cardinality: int, width: int, stem: str, numerics: Numerics | None) -> Network:
    for argument, value in (("cardinality", cardinality), ("width", width)):
        rule = " must be a positive whole number: the 3x3 convolutions have `cardinality` groups of `width` channels"
        check_number(argument, value, rule, lambda count: count > 0)
    inside = int(cardinality) * int(width)
    table: dict[str, Any] = {"conv1": conv(STEM_WIDTH, 7, stride=2), "pool1": max_pool(3, 2)}
    for (stage, outside), count in zip(WIDTHS.items(), BLOCKS[entry_name], strict=True):
        for index in range(1, count + 1):
            stride = 2 if index == 1 and stage != "conv2" else 1
            table[f"{stage}_block{index}"] = Bottleneck(inside, outside, int(cardinality), stride)
        inside *= 2
    if stem == "low_resolution":
        table = without_reductions(table, 2)
    return Network(table=table, numerics=numerics or TORCH)
