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

import keras
from keras import layers

from keras_inception.application import assemble, check_choice, takes_weights
from keras_inception.layers import Tensor, channel_axis, conv_bn, depthwise_bn
from keras_inception.numerics import KERAS, Numerics

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
MIN_SIZES = {"imagenet": 32, "low_resolution": 8}  # by stem


def divisible(width: float, divisor: int = 8) -> int:
    """The width rounded to a multiple of the divisor: the nearest one that is not more than 10 % smaller."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


@takes_weights("mobilenet_v2")
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
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds MobileNet v2 (https://arxiv.org/abs/1801.04381).

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
        variant: Which released form. `"slim"`: TF-Slim's, which Keras, torchvision and timm share. `"pytorchcv"`: the
            first bottleneck has an expansion, the classifier no bias (pytorchcv's mobilenetv2); `"pytorchcv_b"`: the
            classifier has no bias (its mobilenetv2b).
        stem: `"low_resolution"` removes the first two reductions, for images of about 32x32 pixels (not in the paper).
        aux_heads: Refused: the network has none.
        alpha: Width multiplier of the paper; 0.35, 0.5, 0.75, 1, 1.3 and 1.4 have public weights. Widths are rounded
            to multiples of 8; the last convolution keeps its 1280 channels under 1.
        dropout: Rate before the classifier; None: 0.2, as in TF-Slim and torchvision (keras.applications has none).
        numerics: The conventions to compute under; None: Keras's, which are TF-Slim's as well.
        include_preprocessing: Take raw pixels in 0..255 and scale them to [-1, 1] inside the model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    check_choice("variant", variant, tuple(VARIANTS))
    check_choice("stem", stem, tuple(MIN_SIZES))
    form = VARIANTS[variant]
    low_resolution = stem == "low_resolution"
    chosen = numerics or KERAS

    def body(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        unit: dict[str, Any] = {"numerics": chosen, "activation": "relu6"}
        x = conv_bn(x, divisible(STEM_WIDTH * alpha), 3, stride=1 if low_resolution else 2, name="conv1", **unit)
        index = 0
        for stage, (expansion, width, count, first_stride) in enumerate(STAGES):
            for repeat in range(count):
                index += 1
                stride = first_stride if repeat == 0 and not (low_resolution and stage == 1) else 1
                expand = expansion > 1 or form.expand_first
                x = bottleneck(
                    x,
                    divisible(width * alpha),
                    expansion if expand else None,
                    stride,
                    name=f"block{index}",
                    numerics=chosen,
                )
        return conv_bn(x, divisible(LAST_WIDTH * max(alpha, 1.0)), 1, name="conv_last", **unit), {}

    return assemble(
        "mobilenet_v2",
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout=0.2 if dropout is None else dropout,
        include_preprocessing=include_preprocessing,
        numerics=chosen,
        aux_heads=aux_heads,
        alpha=alpha,
        min_size=MIN_SIZES[stem],
        head_bias=form.head_bias,
    )


def bottleneck(x: Tensor, width: int, expansion: int | None, stride: int, *, name: str, numerics: Numerics) -> Tensor:
    """An inverted residual: wide inside, narrow and linear at its ends; `expansion` None leaves out the first 1x1."""
    shortcut, channels = x, x.shape[channel_axis()]
    if expansion is not None:
        x = conv_bn(x, channels * expansion, 1, activation="relu6", name=f"{name}_expand", numerics=numerics)
    x = depthwise_bn(x, 3, stride=stride, activation="relu6", name=f"{name}_depthwise", numerics=numerics)
    x = conv_bn(x, width, 1, activation=None, name=f"{name}_project", numerics=numerics)
    if stride == 1 and channels == width:
        return layers.Add(name=name)([shortcut, x])
    return layers.Identity(name=name)(x)
