# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""MobileNet v2.

"MobileNetV2: Inverted Residuals and Linear Bottlenecks", Sandler et al., 2018, https://arxiv.org/abs/1801.04381.
Reference implementations: TF-Slim's mobilenet_v2, keras.applications' MobileNetV2, torchvision's mobilenet_v2. Input
224x224, 3.5 million weights.

The paper's text speaks of 19 bottlenecks; its Table 2 and all implementations have 17. The 6.9 million weights that it
gives for a width multiplier of 1.4 belong to no implementation (6.1 million).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras import layers

from keras_inception.application import Network, network
from keras_inception.layers import Tensor, channel_axis, conv_bn, depthwise_bn, drop_branch
from keras_inception.numerics import KERAS, Numerics
from keras_inception.ops import conv, without_reductions

STEM_WIDTH = 32  # 3x3, stride 2: 112x112
STAGES = [  # the paper's Table 2: expansion, width, blocks, stride of the first; output sizes at 224x224
    (1, 16, 1, 1),  # 112x112
    (6, 24, 2, 2),  # 56x56
    (6, 32, 3, 2),  # 28x28
    (6, 64, 4, 2),  # 14x14
    (6, 96, 3, 1),
    (6, 160, 3, 2),  # 7x7
    (6, 320, 1, 1),
]
LAST_WIDTH = 1280


@dataclass(frozen=True)
class Form:
    """What a released form has.

    Attributes:
        expand_first: The first bottleneck, of expansion 1, has the 1x1 convolution before its depthwise one too.
        head_bias: The classifier has a bias.
    """

    expand_first: bool
    head_bias: bool


VARIANTS = {
    "slim": Form(expand_first=False, head_bias=True),
    "pytorchcv": Form(expand_first=True, head_bias=False),
    "pytorchcv_b": Form(expand_first=False, head_bias=False),
}


@dataclass(frozen=True)
class Bottleneck:
    """An inverted residual: wide inside, narrow and linear at its ends.

    Attributes:
        width: Channels at its end.
        expansion: Channels inside, by channels of the input; None leaves out the first 1x1 convolution.
        stride: Of the depthwise convolution.
        drop_rate: Of stochastic depth, where there is a shortcut.
    """

    width: int
    expansion: int | None
    stride: int
    drop_rate: float = 0.0

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        unit: dict[str, Any] = {"numerics": numerics, "activation": "relu6"}
        shortcut, channels = x, x.shape[channel_axis()]
        if self.expansion is not None:
            x = conv_bn(x, channels * self.expansion, 1, name=f"{name}_expand", **unit)
        x = depthwise_bn(x, 3, stride=self.stride, name=f"{name}_depthwise", **unit)
        x = conv_bn(x, self.width, 1, activation=None, name=f"{name}_project", numerics=numerics)
        if self.stride == 1 and channels == self.width:
            return layers.Add(name=name)([shortcut, drop_branch(x, self.drop_rate, name=name)])
        return layers.Identity(name=name)(x)


def divisible(width: float, divisor: int = 8) -> int:
    """The width rounded to a multiple of the divisor: the nearest one that is not more than 10 % smaller."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


@network("mobilenet_v2")
def MobileNetV2(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "mobilenet_v2",
    *,
    variant: Literal["slim", "pytorchcv", "pytorchcv_b"] = "slim",
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds MobileNet v2 (https://arxiv.org/abs/1801.04381).

    Args:
        variant: Which released form. `"slim"`: TF-Slim's, which Keras, torchvision and timm share. `"pytorchcv"`: the
            first bottleneck has an expansion, the classifier no bias (pytorchcv's mobilenetv2); `"pytorchcv_b"`: the
            classifier has no bias (its mobilenetv2b).
        stem: `"low_resolution"` removes the first two reductions, for images of about 32x32 pixels (not in the paper).
        alpha: Width multiplier of the paper; 0.35, 0.5, 0.75, 1, 1.3 and 1.4 have public weights. Widths are rounded
            to multiples of 8; the last convolution keeps its 1280 channels under 1.
        dropout: Rate before the classifier; None: 0.2, as in TF-Slim and torchvision (keras.applications has none).
        numerics: The conventions to compute under; None: Keras's, which are TF-Slim's as well.
    """
    form = VARIANTS[variant]
    table: dict[str, Any] = {"conv1": conv(divisible(STEM_WIDTH * alpha), 3, stride=2, activation="relu6")}
    for expansion, width, count, first_stride in STAGES:
        inside = expansion if expansion > 1 or form.expand_first else None
        for stride in (first_stride, *[1] * (count - 1)):
            table[f"block{len(table)}"] = Bottleneck(divisible(width * alpha), inside, stride)
    table["conv_last"] = conv(divisible(LAST_WIDTH * max(alpha, 1.0)), 1, activation="relu6")
    if stem == "low_resolution":
        table = without_reductions(table, 2)
    return Network(table=table, numerics=numerics or KERAS, dropout=0.2, head_bias=form.head_bias)
