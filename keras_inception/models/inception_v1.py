# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""GoogLeNet / Inception v1.

"Going Deeper with Convolutions", Szegedy et al., 2014, https://arxiv.org/abs/1409.4842. Reference implementations:
Caffe's bvlc_googlenet for the paper's form, TF-Slim's inception_v1 and torchvision's googlenet for the
batch-normalised one. Input 224x224, 6.6 to 7.0 million weights.

The paper's Table 1 contradicts its own arithmetic in three rows (conv1, 4a, 5a); the widths here are the printed ones,
which every released port uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from keras_inception.application import Network, network
from keras_inception.layers import Tensor
from keras_inception.numerics import SLIM, Numerics
from keras_inception.ops import (
    LRN,
    AuxHead,
    Conv,
    Dropout,
    FullyConnected,
    Module,
    Op,
    Pool,
    avg_pool,
    conv,
    map_ops,
    max_pool,
    scale_width,
    without_reductions,
)

STEM: dict[str, Op] = {
    "conv1": conv(64, 7, stride=2),  # 112x112x64
    "pool1": max_pool(3, 2),  # 56x56x64
    "norm1": LRN(),
    "conv2_reduce": conv(64, 1),
    "conv2": conv(192, 3),  # 56x56x192
    "norm2": LRN(),
    "pool2": max_pool(3, 2),  # 28x28x192
}


def _row(n1: int, r3: int, n3: int, r5: int, n5: int, pool_proj: int) -> Module:
    """A row of the paper's Table 1 as a module."""
    return [
        [conv(n1, 1)],
        [conv(r3, 1), conv(n3, 3)],
        [conv(r5, 1), conv(n5, 5)],
        [max_pool(3), conv(pool_proj, 1)],
    ]


BODY: dict[str, Module | Pool] = {  # output sizes at 224x224
    "inception_3a": _row(64, 96, 128, 16, 32, 32),  # 28x28x256
    "inception_3b": _row(128, 128, 192, 32, 96, 64),  # 28x28x480
    "pool3": max_pool(3, 2),
    "inception_4a": _row(192, 96, 208, 16, 48, 64),  # 14x14x512
    "inception_4b": _row(160, 112, 224, 24, 64, 64),  # 14x14x512
    "inception_4c": _row(128, 128, 256, 24, 64, 64),  # 14x14x512
    "inception_4d": _row(112, 144, 288, 32, 64, 64),  # 14x14x528
    "inception_4e": _row(256, 160, 320, 32, 128, 128),  # 14x14x832
    "pool4": max_pool(3, 2),
    "inception_5a": _row(256, 160, 320, 32, 128, 128),  # 7x7x832
    "inception_5b": _row(384, 192, 384, 48, 128, 128),  # 7x7x1024
}
AUX_OPS: list[Op] = [avg_pool(5, 3, padding="valid"), conv(128, 1), FullyConnected(1024), Dropout(0.7)]
AUX_HEADS = [AuxHead("aux1", "inception_4a", AUX_OPS), AuxHead("aux2", "inception_4d", AUX_OPS)]

STEMS = {"imagenet": STEM, "low_resolution": without_reductions(STEM, 3)}


def naive_module(module: Module) -> Module:
    """The naive form of a module, the paper's figure 2(a): no 1x1 reduction, and the pool passes all its input on."""
    *convolutions, pooling = module
    return [[branch[-1]] for branch in convolutions] + [[pooling[0]]]


def _three_by_three(op: Op) -> Op:
    return replace(op, kernel=(3, 3)) if isinstance(op, Conv) and op.kernel == (5, 5) else op


def table(variant: str, *, naive: bool, stem: str, alpha: float) -> dict[str, Module | Op]:
    """The network from stem to features as one table: name to module or single operation."""
    stem_table = STEMS[stem]
    if variant != "paper":
        stem_table = {name: op for name, op in stem_table.items() if not isinstance(op, LRN)}
    body = BODY | {"pool4": max_pool(2, 2)} if variant == "slim" else BODY
    if naive:
        body = {name: block if isinstance(block, Pool) else naive_module(block) for name, block in body.items()}
    if variant == "slim":
        body = map_ops(body, _three_by_three)
    return scale_width(stem_table | body, alpha)


@network("inception_v1")
def InceptionV1(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_v1",
    *,
    variant: Literal["slim", "bn", "paper"] = "slim",
    naive: bool = False,
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds GoogLeNet, also called Inception v1 (https://arxiv.org/abs/1409.4842).

    Args:
        variant: Which published form. `"slim"`: batch-normalised, 3x3 kernels in the "5x5" branch and a 2x2 pool
            before 5a, as TF-Slim and torchvision released it. `"bn"`: batch-normalised with true 5x5 kernels.
            `"paper"`: biases and local response normalisation, no batch normalisation.
        naive: Build the naive modules of the paper's figure 2(a) instead, without 1x1 reductions. The paper gives
            no such network; the widths of its Table 1 are kept.
        stem: `"low_resolution"` replaces the stem's three reductions by none, for images of about 32x32 pixels (not
            in the paper).
        aux_heads: Add the two auxiliary classifiers on 4a and 4d; the outputs are then the dictionary
            `{"predictions", "aux1", "aux2"}`. Each one's loss is weighted 0.3 in the paper. They need images of a
            known size, at least 65x65 under the default numerics (9x9 with the low-resolution stem).
        alpha: Width multiplier of every convolution (not in the paper).
        dropout: Rate before the classifier; None: the published one, 0.4 in the paper and 0.2 in TF-Slim.
        numerics: The conventions to compute under; None: TF-Slim's.
    """
    numerics = numerics or SLIM
    if variant == "paper":
        numerics = replace(numerics, batch_norm=False, conv_bias=True)
    return Network(
        table=table(variant, naive=naive, stem=stem, alpha=alpha),
        numerics=numerics,
        dropout=0.4 if variant == "paper" else 0.2,
        aux_heads=AUX_HEADS,
        min_size=8,
    )
