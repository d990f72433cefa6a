"""Blocks as the cards of a picture: what stands in each, and how large it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from keras_inception.custom_layers import ChannelShuffle, LocalResponseNormalization
from keras_inception.graph import BlockRow, block_table, parents
from keras_inception.layers import channel_axis
from keras_inception.naming import is_aux_head, is_shuffle

OP_GAP = 14
CARD_TOP, CARD_BOTTOM, CARD_SIDE, LANE = 34, 32, 22, 25  # of a card: around its branches, and for each one
REPEATS = 3  # equal blocks in a row that are drawn as one


@dataclass(eq=False)
class Box:
    """An operation inside a block: its text, what it reads inside the block, and where it stands."""

    text: str
    kind: str  # "point" (1x1), "conv", "pool" or "dense"
    parents: list[Box] = field(default_factory=list)
    children: list[Box] = field(default_factory=list)
    reads_input: bool = False
    column: int = 0
    lane: int = -1

    @property
    def width(self) -> float:
        """Width in pixels that its text needs."""
        return text_width(self.text, 11) + 14


@dataclass(eq=False)
class Card:
    """A block, or a run of equal ones: its row of the table, its operations and its place on the page."""

    names: list[str]
    row: BlockRow
    boxes: list[Box]
    merge: str  # "add", "concat" or "" for a chain
    identity: bool  # the block's input goes straight to its end
    tap: str = ""  # of an auxiliary head: the block that it reads
    x: float = 0
    y: float = 0
    turn: float = 0  # where the way to the next line leaves this one

    @property
    def title(self) -> str:
        """What is written on top."""
        first, last = self.names[0], self.names[-1]
        return first if first == last else f"{first} … {last.rpartition('_')[2] if '_' in last else last}"

    @property
    def footer(self) -> str:
        """The number of weights that is written below."""
        times = f"{len(self.names)} × " if len(self.names) > 1 else ""
        return times + rounded(self.row.weights) if self.row.weights else ""

    def same_as(self, other: Card) -> bool:
        """Whether the two blocks look the same."""
        return self._look() == other._look()

    def _look(self) -> tuple[Any, ...]:
        boxes = [(box.text, box.lane, box.column) for box in self.boxes]
        return boxes, self.merge, self.identity, self.row.output_shape, self.row.weights

    @property
    def lanes(self) -> int:
        """Number of branches that are drawn one above the other."""
        return max([box.lane + 1 for box in self.boxes] + [1]) + self.identity

    @property
    def columns(self) -> list[float]:
        """Width of each column of operations."""
        count = max([box.column + 1 for box in self.boxes] + [0])
        return [max(box.width for box in self.boxes if box.column == column) for column in range(count)]

    @property
    def width(self) -> float:
        """Width in pixels."""
        inside = sum(self.columns) + OP_GAP * max(len(self.columns) - 1, 0) + 2 * CARD_SIDE
        footer = text_width(shape_text(self.row) + self.footer, 11) + 42
        return max(inside, text_width(self.title, 14) + 30, footer, 96)

    @property
    def height(self) -> float:
        """Height in pixels."""
        return CARD_TOP + LANE * self.lanes + CARD_BOTTOM if self.boxes else CARD_TOP + CARD_BOTTOM - 8


def read_cards(model: keras.Model) -> tuple[list[Card], list[Card]]:
    """The blocks of a network as cards: those of the trunk, equal ones in a row as one, and the auxiliary heads."""
    cards = [read_card(model, row) for row in block_table(model)]
    runs: list[list[Card]] = []
    for card in (card for card in cards if not card.tap):
        if runs and runs[-1][-1].same_as(card):
            runs[-1].append(card)
        else:
            runs.append([card])
    trunk = []
    for run in runs:
        if len(run) >= REPEATS:
            run[0].names = [card.row.name for card in run]
            run = run[:1]
        trunk += run
    return trunk, [card for card in cards if card.tap]


def read_card(model: keras.Model, row: BlockRow) -> Card:
    """Reads the operations of a block, and how they hang together, from the graph."""
    boxes: dict[str, Box] = {}
    reached: dict[
        str, tuple[list[Box], bool]
    ] = {}  # by layer: the last boxes before it, and whether the block's input is
    outside = ""
    end = model.get_layer(row.name)
    for name in row.layers:
        layer = model.get_layer(name)
        before: list[Box] = []
        from_input = False
        for parent in parents(layer):
            if parent.name in reached:
                found, passes = reached[parent.name]
                before += [box for box in found if box not in before]
                from_input |= passes
            else:
                outside, from_input = parent.name, True
        label = _label(layer)
        if label is None:
            reached[name] = (before, from_input)
            continue
        box = boxes[name] = Box(*label, parents=before, reads_input=from_input)
        box.column = max([parent.column + 1 for parent in before], default=0)
        for parent in before:
            parent.children.append(box)
        reached[name] = ([box], False)
    kinds = {type(model.get_layer(name)).__name__ for name in row.layers}
    merge = "add" if "Add" in kinds else "concat" if "Concatenate" in kinds else ""
    identity = bool(boxes) and reached[end.name][1]
    ordered = [box for _, box in sorted(boxes.items(), key=lambda item: _natural(item[0]))]
    _assign_lanes(ordered)
    ordered.sort(key=lambda box: (box.lane, box.column))
    return Card([row.name], row, ordered, merge, identity, tap=outside if is_aux_head(row.name) else "")


def _assign_lanes(boxes: Sequence[Box]) -> None:
    """Gives each branch a lane of its own; an operation goes on in the lane of the first one that it reads."""
    lanes = 0

    def visit(box: Box, lane: int) -> None:
        nonlocal lanes
        box.lane, lanes = lane, max(lanes, lane + 1)
        for index, child in enumerate(child for child in box.children if child.lane < 0):
            if child.lane < 0:
                visit(child, lane if index == 0 else lanes)

    for box in boxes:
        if not box.parents:
            visit(box, lanes)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _label(layer: layers.Layer) -> tuple[str, str] | None:
    """Text and kind of an operation; None for what is not drawn: batch norms, activations, padding, merges."""
    stride = f"/{layer.strides[0]}" if max(getattr(layer, "strides", None) or (1,)) > 1 else ""
    match layer:
        case layers.DepthwiseConv2D():
            return f"dw {_size(layer.kernel_size)}{stride}", "conv"
        case layers.SeparableConv2D():
            return f"sep {_size(layer.kernel_size)}{stride} {layer.filters}", "conv"
        case layers.Conv2D():
            groups = f" g{layer.groups}" if layer.groups > 1 else ""
            kind = "point" if max(layer.kernel_size) == 1 else "conv"
            return f"{_size(layer.kernel_size)}{stride}{groups} {layer.filters}", kind
        case layers.MaxPooling2D() if max(layer.pool_size) > 1:
            return f"max {_size(layer.pool_size)}{stride}", "pool"
        case layers.AveragePooling2D():
            return f"avg {_size(layer.pool_size)}{stride}", "pool"
        case layers.AdaptiveAveragePooling2D():
            return "avg to 4×4", "pool"
        case layers.GlobalAveragePooling2D() | layers.GlobalMaxPooling2D():
            return "global max" if "Max" in type(layer).__name__ else "global avg", "pool"
        case layers.Dense():
            return f"dense {layer.units}", "dense"
        case LocalResponseNormalization():
            return "LRN", "pool"
        case ChannelShuffle():
            return "shuffle", "pool"
        case layers.Reshape() if is_shuffle(layer.name):
            return "shuffle", "pool"
    return None


def _size(kernel: Sequence[int]) -> str:
    return "×".join(map(str, kernel))


def text_width(text: str, size: float) -> float:
    """Estimated width of a text in pixels: no font is read."""
    return len(text) * size * 0.57


def spatial(row: BlockRow) -> tuple[int | None, ...]:
    """Height and width of a block's output; empty for a vector."""
    if len(row.output_shape) < 3:
        return ()
    return row.output_shape[1:] if channel_axis() == 1 else row.output_shape[:-1]


def shape_text(row: BlockRow) -> str:
    """The shape of a block's output for one image."""
    return "×".join("?" if side is None else str(side) for side in row.output_shape)


def resolution(row: BlockRow) -> str:
    """Height and width of a block's output as a title."""
    sides = spatial(row)
    if not sides:
        return "head"
    return "any size" if None in sides else " × ".join(map(str, sides))


def rounded(count: int) -> str:
    """A number for reading: three digits and a unit."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 999.5 * size else f"{count / size:.0f} {unit}"
    return str(count)
