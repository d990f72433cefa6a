# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""MobileNet v1.

"MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", Howard et al., 2017,
https://arxiv.org/abs/1704.04861. Reference implementations: TF-Slim's mobilenet_v1, keras.applications' MobileNet.
Input 224x224 (the paper's resolution multiplier is the input size), 4.2 million weights.

The paper's Table 1 prints stride 2 for the last depthwise convolution; on 7x7 maps that stay 7x7 it is 1, as in every
implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras_inception.application import Network, network
from keras_inception.layers import Tensor, conv_bn, depthwise_bn
from keras_inception.numerics import KERAS, Numerics
from keras_inception.ops import Table, conv, scaled, without_reductions

STEM_WIDTH = 32  # 3x3, stride 2: 112x112
BLOCKS = [  # width and stride of each depthwise separable block; output sizes at 224x224
    (64, 1),  # 112x112
    (128, 2),
    (128, 1),  # 56x56
    (256, 2),
    (256, 1),  # 28x28
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),  # 14x14
    (1024, 2),
    (1024, 1),  # 7x7
]
ACTIVATIONS = {"slim": "relu6", "paper": "relu"}  # by variant


@dataclass(frozen=True)
class DepthwiseSeparable:
    """A depthwise 3x3 convolution, then a 1x1 one, each with batch normalisation and activation."""

    width: int
    stride: int
    activation: str

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        unit: dict[str, Any] = {"numerics": numerics, "activation": self.activation}
        x = depthwise_bn(x, 3, stride=self.stride, name=f"{name}_depthwise", **unit)
        return conv_bn(x, self.width, 1, name=name, **unit)


@network("mobilenet_v1")
def MobileNetV1(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "mobilenet_v1",
    *,
    variant: Literal["slim", "paper"] = "slim",
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds MobileNet v1 (https://arxiv.org/abs/1704.04861).

    Where a stride-2 convolution meets an odd size, it pads like TF-Slim (one row on each side). keras.applications
    always pads its depthwise ones after the image alone and gets smaller maps there: the two agree where every
    strided depthwise convolution sees an even size, as with multiples of 32.

    Args:
        variant: Activation function: `"slim"` is ReLU6, with which TF-Slim's, Keras's and timm's weights were trained;
            `"paper"` is ReLU.
        stem: `"low_resolution"` removes the first two reductions, for images of about 32x32 pixels (not in the paper).
        alpha: Width multiplier of the paper; 0.25, 0.5, 0.75 and 1 have public weights. Widths are rounded down.
        dropout: Rate before the classifier; None: 1e-3, as in TF-Slim and Keras.
        numerics: The conventions to compute under; None: Keras's, which are TF-Slim's as well.
    """
    activation = ACTIVATIONS[variant]
    table: Table = {
        "conv1": conv(scaled(STEM_WIDTH, alpha, 1), 3, stride=2, activation=activation),
        **{
            f"block{index}": DepthwiseSeparable(scaled(width, alpha, 1), stride, activation)
            for index, (width, stride) in enumerate(BLOCKS, start=1)
        },
    }
    if stem == "low_resolution":
        table = without_reductions(table, 2)
    return Network(table=table, numerics=numerics or KERAS, dropout=1e-3)
