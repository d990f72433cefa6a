# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""A network of one Inception module, repeated: what a search over the module itself searches.

The module is that of "Going Deeper with Convolutions", Szegedy et al., 2014, https://arxiv.org/abs/1409.4842, whose
four branches may be of any width or left out; its 5x5 kernel may be factorised as in "Rethinking the Inception
Architecture for Computer Vision", Szegedy et al., 2015, https://arxiv.org/abs/1512.00567. Around it is GoogLeNet: the
stem, three stages with a max pool of stride 2 between them, and the head. Unlike there, every module of a stage has the
same widths, a stage has twice the width of the one before, and everything is batch-normalised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Literal

from keras_inception.application import Network, network
from keras_inception.arguments import check_number
from keras_inception.layers import Tensor
from keras_inception.numerics import SLIM, Numerics
from keras_inception.ops import AuxHead, Module, Op, Pool, avg_pool, conv, max_pool, scale_width, without_reductions

FACTORISATIONS: dict[str, list[tuple[int, int]]] = {  # kernels in the place of the 5x5 one, all of the branch's width
    "5x5": [(5, 5)],
    "two_3x3": [(3, 3), (3, 3)],
    "1x5_5x1": [(1, 5), (5, 1)],
    "1x7_7x1": [(1, 7), (7, 1)],
}
REMOVED = {"imagenet": 0, "half_resolution": 2, "low_resolution": 3}  # of the stem's three reductions
MAX_WIDTH = 4096
MAX_MODULES = 40  # a stage has at most a letter for each


def module_counts(modules: int) -> list[int]:
    """How many modules each stage has: GoogLeNet's 2, 5 and 2 of nine, in proportion; one or two make a stage each."""
    outer = max(1, round(modules * 2 / 9))
    return [1] * modules if modules < 3 else [outer, modules - 2 * outer, outer]


def branch_widths(width: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Divides a module's channels among its branches by their shares; the branches without one are left out.

    Raises:
        ValueError: There is no branch, or one would have no channel.
    """
    for name, share in shares.items():
        check_number(name, share, " must be a whole number of at least 0", lambda number: number >= 0)
    total = sum(shares.values())
    if not total:
        raise ValueError(f"A module needs at least one branch: one of {', '.join(shares)} above 0. Received: all 0.")
    edges = [round(width * share / total) for share in accumulate(shares.values(), initial=0)]
    widths = dict(zip(shares, (end - start for start, end in pairwise(edges)), strict=True))
    starved = [name for name, share in shares.items() if share and not widths[name]]
    if starved:
        raise ValueError(
            f"Every branch must get at least one of the module's {width} channels. Received: {starved[0]}="
            f"{shares[starved[0]]} of {total}."
        )
    return {name: channels for name, channels in widths.items() if channels}


def module(
    width: int, shares: Mapping[str, int], *, reduction: float, factorisation: str, pool: Literal["max", "avg"]
) -> Module:
    """The searched module at one width, as a table of branches.

    Raises:
        ValueError: There is no branch, or one would have no channel.
    """
    branches: list[list[Op]] = []
    for name, channels in branch_widths(width, shares).items():
        if name == "branch_1x1":
            branches.append([conv(channels, 1)])
        elif name == "branch_pool":
            branches.append([Pool(pool, 3), conv(channels, 1)])
        else:
            reduced = [conv(max(1, round(channels * reduction)), 1)] if reduction else []
            kernels = [(3, 3)] if name == "branch_3x3" else FACTORISATIONS[factorisation]
            branches.append([*reduced, *(conv(channels, kernel) for kernel in kernels)])
    return branches


def stem_table(stem: str, width: int) -> dict[str, Op]:
    """GoogLeNet's stem, whose widths are to a first module of `width` what GoogLeNet's are to its 256 channels."""
    narrow, wide = max(1, width // 4), max(1, width * 3 // 4)
    table: dict[str, Op] = {
        "conv1": conv(narrow, 7, stride=2),
        "pool1": max_pool(3, 2),
        "conv2_reduce": conv(narrow, 1),
        "conv2": conv(wide, 3),
        "pool2": max_pool(3, 2),
    }
    return without_reductions(table, REMOVED[stem])


def body_table(modules: int, width: int, shares: Mapping[str, int], **options: Any) -> dict[str, Module | Op]:
    """The modules and the pools between stages, named as GoogLeNet's: `inception_3a` and so on."""
    table: dict[str, Module | Op] = {}
    for stage, count in enumerate(module_counts(modules)):
        if stage:
            table[f"pool{stage + 2}"] = max_pool(3, 2)
        for letter in ascii_lowercase[:count]:
            table[f"inception_{stage + 3}{letter}"] = module(width * 2**stage, shares, **options)
    return table


@network("inception_cell")
def InceptionCell(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_cell",
    *,
    stem: Literal["imagenet", "half_resolution", "low_resolution"] = "imagenet",
    width: int = 256,
    modules: int = 9,
    branch_1x1: int = 2,
    branch_3x3: int = 4,
    branch_5x5: int = 1,
    branch_pool: int = 1,
    reduction: float = 0.5,
    factorisation: Literal["5x5", "two_3x3", "1x5_5x1", "1x7_7x1"] = "5x5",
    pool: Literal["max", "avg"] = "max",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds a network whose body is one Inception module, repeated.

    Not a published network: the space that `keras_inception.training.tuning.HyperInceptionCell` searches. By default it
    is GoogLeNet (https://arxiv.org/abs/1409.4842) with the proportions of its first module throughout.

    Args:
        stem: `"imagenet"`: GoogLeNet's, whose output is an eighth of the image. `"low_resolution"`: without its
            reductions, for images of about 32x32 pixels. `"half_resolution"`: with the last of them alone, so that the
            modules see a quarter of the pixels.
        width: Channels of each module of the first stage, 1 to 4,096; the later stages have 2 and 4 times as many.
        modules: Number of modules in all, 1 to 40. Three stages share them as GoogLeNet's share nine: 2, 5 and 2; one
            or two modules are a stage each.
        branch_1x1: Share of a module's channels that its 1x1 branch gets, as a whole number in proportion to the other
            three; 0 leaves the branch out.
        branch_3x3: Likewise, the branch of a 1x1 reduction and a 3x3 kernel.
        branch_5x5: Likewise, the branch of a 1x1 reduction and a large kernel.
        branch_pool: Likewise, the branch of a 3x3 pool and a 1x1 projection.
        reduction: Channels of a 1x1 reduction relative to those of its branch, 0 to 4; 0 leaves the reductions out.
        factorisation: The large kernel: one `"5x5"`, `"two_3x3"` in a row, or a row and a column, `"1x5_5x1"` or
            `"1x7_7x1"`.
        pool: Kind of the pool within the modules, `"max"` or `"avg"`; those between stages are max pools.
        aux_heads: Add an auxiliary classifier on the first module of the second stage (of the first where it is the
            only one): a 5x5 average pool of stride 3 and a 1x1 convolution of `width` channels, without GoogLeNet's
            dense layer. The outputs are then the dictionary `{"predictions", "aux"}`; its loss is weighted 0.3 as in
            GoogLeNet. Needs images of at least 65x65 (9x9 with the low-resolution stem).
        alpha: Width multiplier of every convolution.
        dropout: Rate before the classifier; None: 0.2.
        numerics: The conventions to compute under; None: TF-Slim's.
    """
    width = check_number(
        "width", width, f" must be a whole number from 1 to {MAX_WIDTH}", lambda number: 1 <= number <= MAX_WIDTH
    )
    modules = check_number(
        "modules", modules, f" must be a whole number from 1 to {MAX_MODULES}", lambda n: 1 <= n <= MAX_MODULES
    )
    check_number("reduction", reduction, " must be a number from 0 to 4", lambda n: 0 <= n <= 4, whole=False)
    shares = {
        "branch_1x1": branch_1x1,
        "branch_3x3": branch_3x3,
        "branch_5x5": branch_5x5,
        "branch_pool": branch_pool,
    }
    table = stem_table(stem, width) | body_table(
        modules, width, shares, reduction=reduction, factorisation=factorisation, pool=pool
    )
    tap = "inception_4a" if modules > 1 else "inception_3a"
    aux = AuxHead("aux", tap, [avg_pool(5, 3, padding="valid"), conv(width, 1)])
    return Network(
        table=scale_width(table, alpha),
        numerics=numerics or SLIM,
        dropout=0.2,
        aux_heads=[aux],
        min_size=2 ** len(module_counts(modules)),
    )
