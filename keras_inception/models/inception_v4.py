# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""Inception v4.

"Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", Szegedy et al., 2016,
https://arxiv.org/abs/1602.07261. Reference implementations: TF-Slim's inception_v4, and timm's port of it. Input
299x299, 42.6 million weights.

The auxiliary head is TF-Slim's; the paper draws none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_inception.application import Network, network
from keras_inception.layers import Tensor
from keras_inception.numerics import SLIM, Numerics
from keras_inception.ops import AuxHead, Module, Table, avg_pool, conv, fork, max_pool, scale_width

STEM: Table = {  # output sizes at 299x299
    "conv_1a": conv(32, 3, stride=2, padding="valid"),  # 149x149x32
    "conv_2a": conv(32, 3, padding="valid"),
    "conv_2b": conv(64, 3),  # 147x147x64
    "mixed_3a": [[max_pool(3, 2, padding="valid")], [conv(96, 3, stride=2, padding="valid")]],  # 73x73x160
    "mixed_4a": [
        [conv(64, 1), conv(96, 3, padding="valid")],
        [conv(64, 1), conv(64, (1, 7)), conv(64, (7, 1)), conv(96, 3, padding="valid")],
    ],  # 71x71x192
    "mixed_5a": [[conv(192, 3, stride=2, padding="valid")], [max_pool(3, 2, padding="valid")]],  # 35x35x384
}
INCEPTION_A: Module = [
    [conv(96, 1)],
    [conv(64, 1), conv(96, 3)],
    [conv(64, 1), conv(96, 3), conv(96, 3)],
    [avg_pool(3), conv(96, 1)],
]
REDUCTION_A: Module = [
    [conv(384, 3, stride=2, padding="valid")],
    [conv(192, 1), conv(224, 3), conv(256, 3, stride=2, padding="valid")],
    [max_pool(3, 2, padding="valid")],
]
INCEPTION_B: Module = [
    [conv(384, 1)],
    [conv(192, 1), conv(224, (1, 7)), conv(256, (7, 1))],
    [conv(192, 1), conv(192, (7, 1)), conv(224, (1, 7)), conv(224, (7, 1)), conv(256, (1, 7))],
    [avg_pool(3), conv(128, 1)],
]
REDUCTION_B: Module = [
    [conv(192, 1), conv(192, 3, stride=2, padding="valid")],
    [conv(256, 1), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, stride=2, padding="valid")],
    [max_pool(3, 2, padding="valid")],
]
INCEPTION_C: Module = [
    [conv(256, 1)],
    [conv(384, 1), fork(conv(256, (1, 3)), conv(256, (3, 1)))],
    [conv(384, 1), conv(448, (3, 1)), conv(512, (1, 3)), fork(conv(256, (1, 3)), conv(256, (3, 1)))],
    [avg_pool(3), conv(256, 1)],
]
TABLE: Table = {
    **STEM,
    **{f"mixed_5{letter}": INCEPTION_A for letter in "bcde"},  # 35x35x384
    "mixed_6a": REDUCTION_A,  # 17x17x1024
    **{f"mixed_6{letter}": INCEPTION_B for letter in "bcdefgh"},
    "mixed_7a": REDUCTION_B,  # 8x8x1536
    **{f"mixed_7{letter}": INCEPTION_C for letter in "bcd"},
}
AUX_HEADS = [AuxHead("aux", "mixed_6h", [avg_pool(5, 3, padding="valid"), conv(128, 1), conv(768, 5, padding="valid")])]


@network("inception_v4")
def InceptionV4(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v4",
    *,
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Inception v4 (https://arxiv.org/abs/1602.07261).

    Args:
        aux_heads: Add the batch-normalised auxiliary classifier on mixed_6h; the outputs are then the dictionary
            `{"predictions", "aux"}`. TF-Slim weights its loss 0.4. It needs at least 107x107 pixels.
        alpha: Width multiplier of every convolution (not in the paper).
        dropout: Rate before the classifier; None: the paper's and TF-Slim's 0.2.
        numerics: The conventions to compute under; None: TF-Slim's. timm's weights, which come with a scale of the
            batch norms, are exact under `numerics.KERAS`.
    """
    return Network(table=scale_width(TABLE, alpha), numerics=numerics or SLIM, dropout=0.2, aux_heads=AUX_HEADS)
