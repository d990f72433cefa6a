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

import keras
from keras import layers

from keras_inception.application import assemble, check_choice, takes_weights
from keras_inception.layers import (
    Tensor,
    avg_pool,
    channel_axis,
    channel_shuffle,
    conv_bn,
    depthwise_bn,
    max_pool,
    pool,
)
from keras_inception.numerics import TORCH, Numerics

STEM_WIDTH = 24  # 3x3, stride 2: 112x112; then a max pool: 56x56
OFFICIAL_STEM_WIDTHS = {0.25: 12, 0.5: 12, 1.5: 24, 2.0: 48}  # by alpha
FIRST_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of stage 2, by groups; doubled with every stage
UNITS = {"stage2": 4, "stage3": 8, "stage4": 4}  # 28x28, 14x14, 7x7
MIN_SIZES = {"imagenet": 32, "low_resolution": 8}  # by stem


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
    `4 * groups` (the bottleneck has a quarter of them), the stem's to a multiple of `groups`.
    """
    stem = OFFICIAL_STEM_WIDTHS.get(alpha) if form.official_stem else None
    stages = {stage: round_up(FIRST_WIDTHS[groups] * 2**index * alpha, 4 * groups) for index, stage in enumerate(UNITS)}
    return round_up(stem or STEM_WIDTH * alpha, groups), stages


@takes_weights("shufflenet")
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
    groups: int = 3,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds ShuffleNet (https://arxiv.org/abs/1707.01083).

    A network for images of unknown size has `keras_inception.custom_layers.ChannelShuffle` layers; one for images of a
    known size has layers of Keras only.

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
        variant: Which form. `"paper"`: the paper's shuffle and stems; where it is silent, as in pytorchcv, whose public
            weights fit it (the branch comes before the shortcut, the classifier has a bias). `"pytorchcv"`: the same
            with stems that scale with alpha (a difference at 0.25, 1.5). `"megvii"`: the authors' code: the inverse
            shuffle after the depthwise convolution, the shortcut before the branch, no bias in the classifier.
            `"tensorpack"`: the inverse shuffle, the shortcut before the branch, stems that scale.
        groups: Groups of the 1x1 convolutions: 1, 2, 3, 4 or 8. The first one of stage 2 is not grouped.
        stem: `"low_resolution"` removes the stem's two reductions, for images of about 32x32 pixels (not in the
            paper).
        aux_heads: Refused: the network has none.
        alpha: Width multiplier, the paper's scale; 0.25, 0.5, 1, 1.5 and 2 were published. Where channels do not
            divide into groups they are rounded up: to a multiple of `4 * groups` in a stage, of `groups` in the stem.
        dropout: Rate before the classifier; None: none, as published.
        numerics: The conventions to compute under; None: PyTorch's (TensorFlow's padding for `"tensorpack"`).
        include_preprocessing: Take raw pixels in 0..255 and normalise them by ImageNet's mean and standard deviation
            inside the model (pytorchcv's way; Megvii's weights take the raw pixels in BGR order).

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    check_choice("variant", variant, tuple(VARIANTS))
    check_choice("groups", groups, tuple(FIRST_WIDTHS))
    check_choice("stem", stem, tuple(MIN_SIZES))
    form = VARIANTS[variant]
    chosen = numerics or form.numerics

    def body(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        stem_width, stage_widths = widths(groups, alpha, form)
        x = conv_bn(x, stem_width, 3, stride=1 if stem == "low_resolution" else 2, name="conv1", numerics=chosen)
        if stem != "low_resolution":
            x = pool(x, max_pool(3, 2), name="pool1", numerics=chosen)
        for stage, count in UNITS.items():
            for index in range(1, count + 1):
                x = unit(x, stage_widths[stage], groups, form, name=f"{stage}_unit{index}", numerics=chosen)
        return x, {}

    return assemble(
        "shufflenet",
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout=dropout or 0.0,
        include_preprocessing=include_preprocessing,
        numerics=chosen,
        aux_heads=aux_heads,
        alpha=alpha,
        min_size=MIN_SIZES[stem],
        head_bias=form.head_bias,
    )


def unit(x: Tensor, width: int, groups: int, form: Form, *, name: str, numerics: Numerics) -> Tensor:
    """A unit of figure 2(b), or of figure 2(c), which halves the maps, where the width changes."""
    shortcut, channels, inside = x, x.shape[channel_axis()], width // 4
    halve = channels != width
    rows = inside // groups if form.inverse_shuffle else groups
    first_groups = 1 if name == "stage2_unit1" else groups
    x = conv_bn(x, inside, 1, groups=first_groups, name=f"{name}_a", numerics=numerics)
    if groups > 1 and not form.shuffle_last:
        x = channel_shuffle(x, rows, name=f"{name}_shuffle")
    x = depthwise_bn(x, 3, stride=2 if halve else 1, activation=None, name=f"{name}_b", numerics=numerics)
    if groups > 1 and form.shuffle_last:
        x = channel_shuffle(x, rows, name=f"{name}_shuffle")
    x = conv_bn(
        x, width - channels if halve else width, 1, groups=groups, activation=None, name=f"{name}_c", numerics=numerics
    )
    if halve:
        shortcut = pool(shortcut, avg_pool(3, 2), name=f"{name}_pool", numerics=numerics)
        parts = [shortcut, x] if form.shortcut_first else [x, shortcut]
        x = layers.Concatenate(axis=channel_axis(), name=f"{name}_concat")(parts)
    else:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.Activation("relu", name=name)(x)
