# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""ShuffleNet.

"ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", Zhang et al., 2017,
https://arxiv.org/abs/1707.01083. Reference implementations: Megvii's ShuffleNetV1 (the authors'), pytorchcv's
shufflenet, tensorpack's. Input 224x224, 1.9 million weights with 3 groups.

Megvii's code shuffles by the inverse of the paper's permutation, and after the depthwise convolution. The stems are the
official ones, which the paper's figures of cost agree with: 24 channels, also at 1.5x, 48 at 2x, 12 at 0.5x and 0.25x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras import layers

from keras_inception.application import Network, network
from keras_inception.layers import Tensor, channel_axis, channel_shuffle, conv_bn, depthwise_bn, drop_branch, pool
from keras_inception.numerics import TORCH, Numerics
from keras_inception.ops import avg_pool, conv, max_pool, without_reductions

STEM_WIDTH = 24  # 3x3, stride 2: 112x112; then a max pool: 56x56
OFFICIAL_STEM_WIDTHS = {0.25: 12, 0.5: 12, 1.5: 24, 2.0: 48}  # by alpha
FIRST_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of stage 2, by groups; doubled with every stage
UNITS = {"stage2": 4, "stage3": 8, "stage4": 4}  # 28x28, 14x14, 7x7


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the released forms disagree on.

    Attributes:
        official_stem: The stem has the official width; else 24 times the width multiplier.
        inverse_shuffle: Shuffle by the inverse of the paper's permutation.
        shuffle_last: Shuffle after the depthwise convolution, not before.
        shortcut_first: Units of stride 2 concatenate the shortcut, then the branch; else the other way round.
        head_bias: The classifier has a bias.
        numerics: The conventions of its weights.
    """

    official_stem: bool = False
    inverse_shuffle: bool = False
    shuffle_last: bool = False
    shortcut_first: bool = False
    head_bias: bool = True
    numerics: Numerics = TORCH


VARIANTS = {
    "paper": Form(official_stem=True),
    "pytorchcv": Form(),
    "megvii": Form(official_stem=True, inverse_shuffle=True, shuffle_last=True, shortcut_first=True, head_bias=False),
    "tensorpack": Form(inverse_shuffle=True, shortcut_first=True, numerics=Numerics(epsilon=1e-5, momentum=0.9)),
}


def round_up(width: float, multiple: int) -> int:
    """The least multiple that is not under the width."""
    return -int(-width // multiple) * multiple


def widths(groups: int, alpha: float, form: Form) -> tuple[int, dict[str, int]]:
    """Widths of the stem and of each stage.

    Where channels do not divide into groups, the rule is tensorpack's: a stage's are rounded up to a multiple of
    `4 * groups` (the bottleneck has a quarter of them), the stem's to a multiple of `groups`. Where tiny multipliers
    would give two stages the same width, the later one is a multiple wider.
    """
    stem = OFFICIAL_STEM_WIDTHS.get(alpha) if form.official_stem else None
    stages: dict[str, int] = {}
    least = 0  # a stage's first unit passes its input on beside channels of its own: it is wider than the one before
    for index, stage in enumerate(UNITS):
        stages[stage] = max(round_up(FIRST_WIDTHS[groups] * 2**index * alpha, 4 * groups), least)
        least = stages[stage] + 4 * groups
    return round_up(stem or STEM_WIDTH * alpha, groups), stages


@network("shufflenet")
def ShuffleNet(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "shufflenet",
    *,
    variant: Literal["paper", "pytorchcv", "megvii", "tensorpack"] = "paper",
    groups: Literal[1, 2, 3, 4, 8] = 3,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds ShuffleNet (https://arxiv.org/abs/1707.01083).

    A network for images of unknown size has `keras_inception.custom_layers.ChannelShuffle` layers; one for images of a
    known size has layers of Keras only.

    Args:
        variant: Which form. `"paper"`: the paper's shuffle and stems; where it is silent, as in pytorchcv, whose public
            weights fit it (the branch comes before the shortcut, the classifier has a bias). `"pytorchcv"`: the same
            with stems that scale with alpha (a difference at 0.25, 1.5). `"megvii"`: the authors' code: the inverse
            shuffle after the depthwise convolution, the shortcut before the branch, no bias in the classifier.
            `"tensorpack"`: the inverse shuffle, the shortcut before the branch, stems that scale.
        groups: Groups of the 1x1 convolutions: 1, 2, 3, 4 or 8. The first one of stage 2 is not grouped.
        stem: `"low_resolution"` removes the stem's two reductions, for images of about 32x32 pixels (not in the
            paper).
        alpha: Width multiplier, the paper's scale; 0.25, 0.5, 1, 1.5 and 2 were published. Where channels do not
            divide into groups they are rounded up: to a multiple of `4 * groups` in a stage, of `groups` in the stem.
        dropout: Rate before the classifier; None: none, as published.
        numerics: The conventions to compute under; None: PyTorch's (TensorFlow's padding for `"tensorpack"`).
    """
    form = VARIANTS[variant]
    stem_width, stage_widths = widths(groups, alpha, form)
    table: dict[str, Any] = {"conv1": conv(stem_width, 3, stride=2), "pool1": max_pool(3, 2)}
    for stage, count in UNITS.items():
        for index in range(1, count + 1):
            stride, first_groups = (2 if index == 1 else 1), groups
            if (stage, index) == ("stage2", 1):
                first_groups = 1
            table[f"{stage}_unit{index}"] = Unit(stage_widths[stage], groups, first_groups, form, stride)
    if stem == "low_resolution":
        table = without_reductions(table, 2)
    return Network(table=table, numerics=numerics or form.numerics, head_bias=form.head_bias)


@dataclass(frozen=True)
class Unit:
    """A unit of figure 2(b), or of figure 2(c), which halves the maps and passes them on beside its own.

    Attributes:
        width: Channels of its output.
        groups: Groups of its 1x1 convolutions.
        first_groups: Those of the first one.
        form: What the released forms disagree on.
        stride: 2 is figure 2(c).
        drop_rate: Of stochastic depth, where there is a shortcut.
    """

    width: int
    groups: int
    first_groups: int
    form: Form
    stride: int
    drop_rate: float = 0.0

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the unit; the layer that ends it carries the name."""
        linear: dict[str, Any] = {"activation": None, "numerics": numerics}
        shortcut, inside, halve = x, self.width // 4, self.stride > 1
        rows = inside // self.groups if self.form.inverse_shuffle else self.groups
        outside = self.width - x.shape[channel_axis()] if halve else self.width
        x = conv_bn(x, inside, 1, groups=self.first_groups, name=f"{name}_a", numerics=numerics)
        if self.groups > 1 and not self.form.shuffle_last:
            x = channel_shuffle(x, rows, name=f"{name}_shuffle")
        x = depthwise_bn(x, 3, stride=self.stride, name=f"{name}_b", **linear)
        if self.groups > 1 and self.form.shuffle_last:
            x = channel_shuffle(x, rows, name=f"{name}_shuffle")
        x = conv_bn(x, outside, 1, groups=self.groups, name=f"{name}_c", **linear)
        if halve:
            shortcut = pool(shortcut, avg_pool(3, 2), name=f"{name}_pool", numerics=numerics)
            parts = [shortcut, x] if self.form.shortcut_first else [x, shortcut]
            x = layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")(parts)
        else:
            x = layers.Add(name=f"{name}_add")([drop_branch(x, self.drop_rate, name=name), shortcut])
        return layers.Activation("relu", name=name)(x)
