# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""Xception.

"Xception: Deep Learning with Depthwise Separable Convolutions", Chollet, 2016, https://arxiv.org/abs/1610.02357.
Reference implementation: keras.applications' Xception. Input 299x299, 22.9 million weights.

Blocks are numbered as in keras.applications, where the two convolutions of the stem are block 1. The networks that
timm calls xception41, 65 and 71 are DeepLab's, not this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras import layers

from keras_inception.application import Network, network
from keras_inception.layers import Tensor, conv_bn, drop_branch, pool, sep_conv_bn
from keras_inception.numerics import KERAS, Numerics
from keras_inception.ops import SeparableConv, Table, conv, max_pool, without_reductions


@dataclass(frozen=True)
class Residual:
    """Separable convolutions, each after a ReLU, with a shortcut around them.

    Attributes:
        widths: Width of each separable convolution.
        stride: 2 ends the block in a max pool.
        project: Take the shortcut through a 1x1 convolution, of the same stride.
        relu_first: Lead with a ReLU; block 2 has none there, for the stem ends in one.
        drop_rate: Of stochastic depth.
    """

    widths: Sequence[int]
    stride: int = 2
    project: bool = True
    relu_first: bool = True
    drop_rate: float = 0.0

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        unit: dict[str, Any] = {"activation": None, "numerics": numerics}
        shortcut = x
        if self.project:  # built first, as in Keras and PyTorch, so that the weights come in their order
            shortcut = conv_bn(x, self.widths[-1], 1, stride=self.stride, name=f"{name}_shortcut", **unit)
        for index, width in enumerate(self.widths, start=1):
            if index > 1 or self.relu_first:
                x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
            x = sep_conv_bn(x, width, 3, name=f"{name}_sep{index}", **unit)
        if self.stride > 1:
            x = pool(x, max_pool(3, self.stride), name=f"{name}_pool", numerics=numerics, signed=True)
        return layers.Add(name=name)([drop_branch(x, self.drop_rate, name=name), shortcut])


TABLE: Table = {  # output sizes at 299x299
    "conv1": conv(32, 3, stride=2, padding="valid"),  # 149x149
    "conv2": conv(64, 3, padding="valid"),  # 147x147
    "block2": Residual((128, 128), relu_first=False),  # 74x74
    "block3": Residual((256, 256)),  # 37x37
    "block4": Residual((728, 728)),  # 19x19
    **{f"block{index}": Residual((728, 728, 728), stride=1, project=False) for index in range(5, 13)},
    "block13": Residual((728, 1024)),  # 10x10
    "block14_sep1": SeparableConv(1536, (3, 3)),
    "block14": SeparableConv(2048, (3, 3)),
}


@network("xception")
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
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Xception (https://arxiv.org/abs/1610.02357).

    Args:
        stem: `"low_resolution"` removes the first two reductions and pads the stem's convolutions, for images of about
            32x32 pixels (not in the paper).
        dropout: Rate before the classifier; None: 0.5, as in the paper (keras.applications has none).
        numerics: The conventions to compute under; None: Keras's, with which the public weights were trained.
    """
    table = without_reductions(TABLE, 2) if stem == "low_resolution" else TABLE
    return Network(table=table, numerics=numerics or KERAS, dropout=0.5)
