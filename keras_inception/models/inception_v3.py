# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""Inception v3.

"Rethinking the Inception Architecture for Computer Vision", Szegedy et al., 2015, https://arxiv.org/abs/1512.00567.
Reference implementation: TF-Slim's inception_v3, which keras.applications, torchvision and timm follow. Input 299x299,
23.8 million weights.

Deviations of all of them from the paper's Table 1, followed here: the stem reduces with a pool after its 192-wide
convolution where the table has a convolution of stride 2, the three 35x35 modules are 256, 288 and 288 wide, and the
table's five 17x17 modules count the reduction before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from keras_inception.application import Network, network
from keras_inception.layers import Tensor
from keras_inception.numerics import SLIM, Numerics
from keras_inception.ops import AuxHead, Module, Table, avg_pool, conv, fork, max_pool, scale_width, without_reductions

STEM: Table = {
    "conv_1a": conv(32, 3, stride=2, padding="valid"),  # 149x149x32
    "conv_2a": conv(32, 3, padding="valid"),
    "conv_2b": conv(64, 3),  # 147x147x64
    "pool_3a": max_pool(3, 2, padding="valid"),
    "conv_3b": conv(80, 1),  # 73x73x80
    "conv_4a": conv(192, 3, padding="valid"),  # 71x71x192
    "pool_5a": max_pool(3, 2, padding="valid"),  # 35x35x192
}


def _grid35(pool_proj: int) -> Module:
    """A module of the 35x35 grid, the paper's figure 5 with one 5x5 kept."""
    return [
        [conv(64, 1)],
        [conv(48, 1), conv(64, 5)],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [avg_pool(3), conv(pool_proj, 1)],
    ]


def _grid17(n: int) -> Module:
    """A module of the 17x17 grid with 7x7 kernels factorised through `n` channels, the paper's figure 6."""
    return [
        [conv(192, 1)],
        [conv(n, 1), conv(n, (1, 7)), conv(192, (7, 1))],
        [conv(n, 1), conv(n, (7, 1)), conv(n, (1, 7)), conv(n, (7, 1)), conv(192, (1, 7))],
        [avg_pool(3), conv(192, 1)],
    ]


GRID8: Module = [  # the paper's figure 7
    [conv(320, 1)],
    [conv(384, 1), fork(conv(384, (1, 3)), conv(384, (3, 1)))],
    [conv(448, 1), conv(384, 3), fork(conv(384, (1, 3)), conv(384, (3, 1)))],
    [avg_pool(3), conv(192, 1)],
]
BODY: Table = {  # output sizes at 299x299
    "mixed_5b": _grid35(32),  # 35x35x256
    "mixed_5c": _grid35(64),  # 35x35x288
    "mixed_5d": _grid35(64),
    "mixed_6a": [
        [conv(384, 3, stride=2, padding="valid")],
        [conv(64, 1), conv(96, 3), conv(96, 3, stride=2, padding="valid")],
        [max_pool(3, 2, padding="valid")],
    ],  # 17x17x768
    "mixed_6b": _grid17(128),
    "mixed_6c": _grid17(160),
    "mixed_6d": _grid17(160),
    "mixed_6e": _grid17(192),
    "mixed_7a": [
        [conv(192, 1), conv(320, 3, stride=2, padding="valid")],
        [conv(192, 1), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, stride=2, padding="valid")],
        [max_pool(3, 2, padding="valid")],
    ],  # 8x8x1280
    "mixed_7b": GRID8,  # 8x8x2048
    "mixed_7c": GRID8,
}
AUX_HEADS = [AuxHead("aux", "mixed_6e", [avg_pool(5, 3, padding="valid"), conv(128, 1), conv(768, 5, padding="valid")])]

STEMS = {"imagenet": STEM, "low_resolution": without_reductions(STEM, 3)}


@network("inception_v3")
def InceptionV3(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v3",
    *,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Inception v3 (https://arxiv.org/abs/1512.00567).

    Args:
        stem: `"low_resolution"` replaces the stem's three reductions by none, for images of about 32x32 pixels (not
            in the paper).
        aux_heads: Add the batch-normalised auxiliary classifier on mixed_6e; the outputs are then the dictionary
            `{"predictions", "aux"}`. TF-Slim weights its loss 0.4. It needs at least 107x107 pixels (11x11 with
            the low-resolution stem).
        alpha: Width multiplier of every convolution, TF-Slim's `depth_multiplier`.
        dropout: Rate before the classifier; None: TF-Slim's 0.2.
        numerics: The conventions to compute under; None: those of TF-Slim and keras.applications. torchvision's
            and timm's weights are exact under `numerics.TORCHVISION_INCEPTION`.
    """
    table = scale_width({**STEMS[stem], **BODY}, alpha)
    return Network(table=table, numerics=numerics or SLIM, dropout=0.2, aux_heads=AUX_HEADS)
