# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""Inception v2 / BN-Inception.

"Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", Ioffe and Szegedy, 2015,
https://arxiv.org/abs/1502.03167. Reference implementations: TF-Slim's inception_v2, and Caffe's BN-Inception with its
ports by Cadene and pytorchcv. Input 224x224, 11.2 to 11.3 million weights.

The paper's figure 5 contradicts itself in 4c and 4d: their branches add up to 608 channels, their stated output is 576.
Caffe's line keeps the branches, TF-Slim narrows the pool projections from 128 to 96 to meet the output. "Inception v2"
of the next paper (https://arxiv.org/abs/1512.00567) is another network, on the way to Inception v3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from keras_inception.application import Network, network
from keras_inception.layers import Tensor
from keras_inception.numerics import SLIM, Numerics
from keras_inception.ops import (
    Module,
    Pool,
    SeparableConv,
    Table,
    avg_pool,
    conv,
    max_pool,
    scale_width,
    without_reductions,
)

STEM: Table = {  # output sizes at 224x224
    "conv1": conv(64, 7, stride=2),  # 112x112x64
    "pool1": max_pool(3, 2),
    "conv2_reduce": conv(64, 1),  # 56x56x64
    "conv2": conv(192, 3),  # 56x56x192
    "pool2": max_pool(3, 2),  # 28x28x192
}


def _row(n1: int, r3: int, n3: int, rd: int, nd: int, pool: Pool, pool_proj: int) -> Module:
    """A row of the paper's figure 5: widths of the 1x1, 3x3 and double 3x3 branches, and of the pool's projection."""
    return [
        [conv(n1, 1)],
        [conv(r3, 1), conv(n3, 3)],
        [conv(rd, 1), conv(nd, 3), conv(nd, 3)],
        [pool, conv(pool_proj, 1)],
    ]


def _reduction(r3: int, n3: int, rd: int, nd: int) -> Module:
    """A row of stride 2, which has no 1x1 branch and passes the pool on."""
    return [
        [conv(r3, 1), conv(n3, 3, stride=2)],
        [conv(rd, 1), conv(nd, 3), conv(nd, 3, stride=2)],
        [max_pool(3, 2)],
    ]


def _body(narrow: int) -> Table:
    """The modules; `narrow` is the pool projection of 4c and 4d. Output sizes at 224x224."""
    return {
        "inception_3a": _row(64, 64, 64, 64, 96, avg_pool(3), 32),  # 28x28x256
        "inception_3b": _row(64, 64, 96, 64, 96, avg_pool(3), 64),  # 28x28x320
        "inception_3c": _reduction(128, 160, 64, 96),  # 14x14x576
        "inception_4a": _row(224, 64, 96, 96, 128, avg_pool(3), 128),
        "inception_4b": _row(192, 96, 128, 96, 128, avg_pool(3), 128),
        "inception_4c": _row(160, 128, 160, 128, 160, avg_pool(3), narrow),  # 576 or 608 channels
        "inception_4d": _row(96, 128, 192, 160, 192, avg_pool(3), narrow),  # 576 or 608 channels
        "inception_4e": _reduction(128, 192, 192, 256),  # 7x7x1024 or 1056
        "inception_5a": _row(352, 192, 320, 160, 224, avg_pool(3), 128),  # 7x7x1024
        "inception_5b": _row(352, 192, 320, 192, 224, max_pool(3), 128),
    }


BODIES = {"slim": _body(96), "paper": _body(128)}
PUBLISHED_STEMS = {"slim": "separable", "paper": "full"}
STEMS = {"imagenet": STEM, "separable": STEM, "full": STEM, "low_resolution": without_reductions(STEM, 3)}


@network("inception_v2")
def InceptionV2(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v2",
    *,
    variant: Literal["slim", "paper"] = "slim",
    stem: Literal["imagenet", "separable", "full", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Inception v2, also called BN-Inception (https://arxiv.org/abs/1502.03167).

    Args:
        variant: Which released form. `"slim"`: TF-Slim's, with a separable first convolution and pool projections
            of 96 in 4c and 4d. `"paper"`: Caffe's BN-Inception, with a full first convolution and 128 there.
        stem: `"imagenet"`: the variant's. `"separable"` or `"full"`: its first convolution is that; figure 5 of the
            paper means the variant `"paper"` with a separable one. `"low_resolution"` replaces the stem's three
            reductions by none, for images of about 32x32 pixels (not in the paper).
        alpha: Width multiplier of every convolution, TF-Slim's `depth_multiplier`.
        dropout: Rate before the classifier; None: the published one, 0.2 in TF-Slim and none in the paper.
        numerics: The conventions to compute under; None: TF-Slim's. The public weights of the variant `"paper"` are
            exact under `numerics.BN_INCEPTION`.
    """
    table = scale_width({**STEMS[stem], **BODIES[variant]}, alpha)
    if (PUBLISHED_STEMS[variant] if stem == "imagenet" else stem) == "separable":
        width, multiplier = table["conv1"].filters, min(table["conv1"].filters // 3, 8)
        table["conv1"] = SeparableConv(width, (7, 7), stride=2, depth_multiplier=multiplier, batch_norm=False)
    return Network(table=table, numerics=numerics or SLIM, dropout=0.2 if variant == "slim" else 0.0, min_size=8)
