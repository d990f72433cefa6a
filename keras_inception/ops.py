"""What the tables of the networks are written in: small frozen records, and what transforms and measures them.

A branch of an Inception module is a list of operations, a module is a list of branches, and a network is a table of
modules, operations and blocks by name. How they become layers stands in `keras_inception.layers`; nothing here needs
Keras.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from keras_inception.numerics import Numerics

Padding: TypeAlias = Literal["same", "valid"]


@dataclass(frozen=True)
class Conv:
    """A convolution with batch normalisation and activation; `batch_norm=False` gives it a bias instead."""

    filters: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "same"
    groups: int = 1
    activation: str | None = "relu"
    batch_norm: bool = True


@dataclass(frozen=True)
class SeparableConv:
    """A separable convolution, else like `Conv`: depthwise and 1x1 convolution with nothing between them."""

    filters: int
    kernel: tuple[int, int]
    stride: int = 1
    depth_multiplier: int = 1
    activation: str | None = "relu"
    batch_norm: bool = True


@dataclass(frozen=True)
class Pool:
    """A max or average pool."""

    kind: Literal["max", "avg"]
    size: int
    stride: int = 1
    padding: Padding = "same"


@dataclass(frozen=True)
class LRN:
    """Local response normalisation across channels."""


@dataclass(frozen=True)
class Fork:
    """Operations side by side on the same input, which end a branch; their outputs are concatenated."""

    branches: tuple[Op, ...]


@dataclass(frozen=True)
class FullyConnected:
    """A dense layer with bias and ReLU, after flattening."""

    units: int


@dataclass(frozen=True)
class Dropout:
    """Dropout, active in training alone."""

    rate: float


class Block(Protocol):
    """A form that one paper alone uses: a frozen record that knows its stride and builds its own layers."""

    @property
    def stride(self) -> int:
        """By how much the block reduces its input; it pads so that the input's size is divided and rounded up."""

    def __call__(self, x: Any, *, name: str, numerics: Numerics) -> Any:
        """Builds the block on `x`; the layer that ends it carries the name."""


Op: TypeAlias = Conv | SeparableConv | Pool | LRN | Fork | FullyConnected | Dropout
Branch: TypeAlias = Sequence[Op]
Module: TypeAlias = Sequence[Branch]
Table: TypeAlias = Mapping[str, Module | Op | Block]


@dataclass(frozen=True)
class AuxHead:
    """An auxiliary classifier, which gives the middle of a deep network a gradient of its own while it trains.

    Attributes:
        name: Name of the output, such as `"aux1"`. The weight of its loss stands in the registry.
        tap: Name of the module that the head reads.
        ops: What lies between the tap and the classifier.
    """

    name: str
    tap: str
    ops: Sequence[Op]


def conv(filters: int, kernel: int | tuple[int, int], **options: Any) -> Conv:
    """A `Conv`; `kernel` may be one number for a square kernel."""
    return Conv(filters, (kernel, kernel) if isinstance(kernel, int) else kernel, **options)


def max_pool(size: int, stride: int = 1, padding: Padding = "same") -> Pool:
    """A max `Pool`."""
    return Pool("max", size, stride, padding)


def avg_pool(size: int, stride: int = 1, padding: Padding = "same") -> Pool:
    """An average `Pool`."""
    return Pool("avg", size, stride, padding)


def fork(*branches: Op) -> Fork:
    """A `Fork` of single operations."""
    return Fork(branches)


def map_ops(table: Any, change: Callable[[Any], Any]) -> Any:
    """Returns the table (an operation, a branch, a module or a mapping of them) with every operation changed."""
    if isinstance(table, Mapping):
        return {name: map_ops(value, change) for name, value in table.items()}
    if isinstance(table, list | tuple):
        return [map_ops(value, change) for value in table]
    if isinstance(table, Fork):
        return Fork(tuple(change(op) for op in table.branches))
    return change(table)


def scale_width(table: Any, alpha: float, min_width: int = 16) -> Any:
    """Returns the table with every layer's width multiplied by `alpha`; blocks stay as they are.

    The rule is TF-Slim's `depth_multiplier`: rounded down, and not under `min_width` when `alpha` is under 1.
    """
    if alpha == 1.0:
        return table

    def change(op: Any) -> Any:
        if isinstance(op, Conv | SeparableConv):
            return replace(op, filters=scaled(op.filters, alpha, min_width))
        if isinstance(op, FullyConnected):
            return replace(op, units=scaled(op.units, alpha, min_width))
        return op

    return map_ops(table, change)


def scaled(width: int, alpha: float, min_width: int = 16) -> int:
    """The width times `alpha`, rounded down; not under `min_width` (nor over `width`) when `alpha` is under 1."""
    return int(width * alpha) if alpha >= 1 else max(int(width * alpha), min(width, min_width))


def without_reductions(table: Table, count: int) -> dict[str, Any]:
    """The table for images of about 32x32 pixels: its first `count` reductions are removed.

    Pools go, strides become 1, and the convolutions on the way are at most 3x3 and padded.
    """
    kept: dict[str, Any] = {}
    for name, op in table.items():
        if count and isinstance(op, Conv):
            kept[name] = replace(op, stride=1, padding="same", kernel=(min(op.kernel[0], 3), min(op.kernel[1], 3)))
        elif not count or getattr(op, "stride", 1) == 1:
            kept[name] = op
        elif not isinstance(op, Pool):
            kept[name] = replace(op, stride=1)  # type: ignore[type-var]  # a block is a dataclass
        count -= bool(count and getattr(op, "stride", 1) > 1)
    return kept


def with_stochastic_depth(table: Table, rate: float) -> Table:
    """The table whose residual branches are left out of training steps, the later the oftener.

    Of `count` residual blocks the one in place `place` drops its branch at `rate * place / count`, so that the last
    one has the whole rate ("Deep Networks with Stochastic Depth", Huang et al., 2016,
    https://arxiv.org/abs/1603.09382).
    """
    names = [name for name, block in table.items() if hasattr(block, "drop_rate")]
    rates = {name: rate * place / len(names) for place, name in enumerate(names, start=1)}
    return {
        name: replace(block, drop_rate=rates[name]) if name in rates else block  # type: ignore[type-var]  # a dataclass
        for name, block in table.items()
    }


def smallest_size(table: Table, numerics: Numerics, aux_heads: Sequence[AuxHead] = (), *, at_least: int = 1) -> int:
    """The least height and width of images, of which every map of the network keeps a pixel.

    Args:
        table: The network.
        numerics: The conventions of its pools.
        aux_heads: The auxiliary heads that are built, whose pools want a whole window.
        at_least: A bound below which nothing is tried.
    """
    stride = math.prod(_stride(block) for block in table.values())

    def fits(size: int) -> bool:
        sizes: dict[str, int] = {}
        for name, block in table.items():
            size = output_size(block, size, numerics)
            sizes[name] = size
            if size < 1:
                return False
        return all(sizes[head.tap] >= _window(head, numerics) for head in aux_heads)

    least = max(at_least, stride)
    return least + bisect.bisect_left(range(least, 4096), True, key=fits)


def output_size(block: Module | Op | Block, size: int, numerics: Numerics) -> int:
    """Height or width of a block's output for an input of that height or width; under 1 where it does not fit."""
    if isinstance(block, Sequence):  # what its branches have in common, but for those that a smaller input starves
        return min(_branch_size(branch, size, numerics) for branch in block)
    kernel = block.kernel[0] if isinstance(block, Conv) else block.size if isinstance(block, Pool) else 1
    stride = _stride(block)
    if getattr(block, "padding", "same") == "valid":
        return (size - kernel) // stride + 1
    if isinstance(block, Pool) and stride > 1 and numerics.ceil_pool:
        return -(-max(size - kernel, 0) // stride) + 1
    return -(-size // stride)


def _branch_size(branch: Branch, size: int, numerics: Numerics) -> int:
    for op in branch:
        size = output_size(op, size, numerics)
    return size


def _stride(block: Module | Op | Block) -> int:
    if isinstance(block, Sequence):
        return math.prod(_stride(op) for op in block[0])
    return getattr(block, "stride", 1)


def _window(head: AuxHead, numerics: Numerics) -> int:
    if numerics.adaptive_aux_pool:
        return 1
    return max((op.size for op in head.ops if isinstance(op, Pool)), default=1)
