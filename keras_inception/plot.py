"""A picture of a network, as an SVG: its blocks by resolution, and inside each block its branches.

Everything is read from the graph by the rule of naming that `keras_inception.graph` knows; a loaded model is drawn like
a new one.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import keras

from keras_inception.plot_blocks import (
    CARD_SIDE,
    CARD_TOP,
    LANE,
    OP_GAP,
    Box,
    Card,
    read_cards,
    resolution,
    rounded,
    shape_text,
    spatial,
    text_width,
)

WIDTH = 1600  # of a line of blocks, before it is broken
MARGIN, GAP, GUTTER = 36, 26, 34
BAND_GAP, HEADER = 18, 30  # before a new resolution on a line; above its blocks, for its name
OP_HEIGHT = 18
INK, SOFT, RULE, GREY = "#1d2733", "#5b6876", "#aab4bf", "#eef1f4"
COLOURS = ["#2f6fb0", "#1f8a8a", "#3f8f4f", "#b07d12", "#c05a2b", "#a13d63", "#6a51a3"]  # of the resolutions, in turn
PAPER = "#ffffff"
LEGEND = (
    "k×k n: convolution with n channels · /s: stride · g: groups · dw: depthwise · sep: separable · "
    "bar: share of the weights · pile: equal blocks"
)
DARK = {  # what each colour becomes in a dark picture
    PAPER: "#171c22",
    INK: "#e8edf2",
    SOFT: "#a4b0bc",
    RULE: "#5d6873",
    GREY: "#232a32",
    "#d9dfe5": "#3a444e",
    **dict(zip(COLOURS, ["#5f9fe0", "#3fb3b3", "#62b574", "#d3a340", "#e08257", "#d36a94", "#9a85d6"], strict=True)),
}
FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"


def plot(model: keras.Model, path: str | Path, *, blocks: Sequence[str] | None = None, dark: bool = False) -> Path:
    """Draws a network block by block and writes the picture as an SVG file.

    The blocks go from left to right, line after line, under the resolution of their output. Each shows its branches,
    the shape of its output and the number of its weights (kernels, as papers count), also as a bar. Auxiliary heads
    hang below the blocks that they read.

    Args:
        model: A network of this package, built or loaded.
        path: Where to write the file; folders that are missing are made.
        blocks: Draw these blocks alone, without title and legend; None: all.
        dark: Light lines on a dark ground.

    Returns:
        The path.

    Raises:
        ValueError: The network has no block of a name in `blocks`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(draw(model, blocks=blocks, dark=dark), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def draw(model: keras.Model, *, blocks: Sequence[str] | None = None, dark: bool = False) -> str:
    """Returns the picture of a network as the text of an SVG file; see `plot`."""
    whole, heads = read_cards(model)
    subtitle, trunk = _subtitle(model, [*whole, *heads]), whole
    if blocks is not None:
        wanted = _checked(blocks, [*whole, *heads])
        trunk = [card for card in whole if wanted & set(card.names)]
        shown = {name for card in trunk for name in card.names}
        heads = [head for head in heads if wanted & set(head.names) and head.tap in shown]
    cards = [*trunk, *heads]
    bands = _bands(trunk)
    width, height = _arrange(bands, heads, alone=blocks is not None)
    taps = {name: card for card in trunk for name in card.names}
    largest = max([card.row.weights for card in cards] + [1])
    neighbours = [pair for pair in itertools.pairwise(whole) if pair[0] in trunk and pair[1] in trunk]
    body = [_connector(before, after) for before, after in neighbours]
    body += [_drop(taps[head.tap], head) for head in heads]
    for number, band in enumerate(bands):
        colour = COLOURS[number % len(COLOURS)]
        for _, line in itertools.groupby(band, key=lambda card: card.y):
            body.extend(_draw_header(list(line), colour))
        for card in [*band, *(head for head in heads if taps[head.tap] in band)]:
            body.extend(_draw_card(card, colour, largest))
    if blocks is None:
        body += [_text(MARGIN, 52, model.name, 30, weight=700), _text(MARGIN, 80, subtitle, 15, fill=SOFT)]
        body += [_text(MARGIN, height - 24, LEGEND, 12, fill=SOFT)]
    picture = "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family={quoteattr(FONT)}>',
            f"<title>{escape(model.name)}</title>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0.8 L8 4 L0 7.2 z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="{PAPER}"/>',
            *body,
            "</svg>\n",
        ]
    )
    return recoloured(picture) if dark else picture


def recoloured(picture: str) -> str:
    """Returns a picture in this module's colours as one for a dark ground."""
    return re.sub("#[0-9a-f]{6}", lambda found: DARK[found[0]], picture)


def _checked(blocks: Sequence[str], cards: Sequence[Card]) -> set[str]:
    known = [name for card in cards for name in card.names]
    for name in blocks:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"A block to draw is one of {', '.join(known)}. Received: {name!r}.{hint}")
    return set(blocks)


def _subtitle(model: keras.Model, cards: Sequence[Card]) -> str:
    costs = [(card.row.multiply_adds, len(card.names)) for card in cards]
    parameters = sum(card.row.parameters * len(card.names) for card in cards)
    parts = [f"input {shape_text(cards[0].row)}", f"{rounded(parameters)} parameters"]
    if all(cost is not None for cost, _ in costs):
        parts.append(f"{rounded(sum((cost or 0) * count for cost, count in costs))} multiply-adds")
    blocks = sum(count for _, count in costs)
    return " · ".join([*parts, f"{len(model.layers)} layers in {blocks} blocks"])


def _bands(trunk: Sequence[Card]) -> list[list[Card]]:
    """The blocks by resolution, in order."""
    return [list(band) for _, band in itertools.groupby(trunk, key=lambda card: spatial(card.row))]


def _extent(cards: Sequence[Card]) -> float:
    return sum(card.width for card in cards) + GAP * (len(cards) - 1)


def _lines(bands: Sequence[Sequence[Card]]) -> list[list[list[Card]]]:
    """Breaks the blocks into lines: a band goes on the line of the one before where it fits whole."""
    lines: list[list[list[Card]]] = []
    used = 0.0
    for band in bands:
        if lines and used + BAND_GAP + GAP + _extent(band) <= WIDTH:
            lines[-1].append(list(band))
            used += BAND_GAP + GAP + _extent(band)
            continue
        line: list[Card] = []
        for card in band:
            if not line or _extent([*line, card]) > WIDTH:
                line = []
                lines.append([line])
            line.append(card)
        used = _extent(line)
    return lines


def _arrange(bands: Sequence[Sequence[Card]], heads: Sequence[Card], *, alone: bool) -> tuple[float, float]:
    """Places all cards, under a title or alone, and returns width and height of the page."""
    y, right = (0.0, 0.0) if alone else (112.0, 800.0)
    for line in _lines(bands):
        y += HEADER
        x, free = float(MARGIN), 0.0
        cards = [card for band in line for card in band]
        bottom = under = y + max(card.height for card in cards)
        for band in line:
            for card in band:
                card.x, card.y = x, y
                x += card.width + GAP
                for head in (head for head in heads if head.tap in card.names):
                    head.x, head.y = max(card.x, free), under + GUTTER
                    free = head.x + head.width + GAP
                    bottom = max(bottom, head.y + head.height)
            x += BAND_GAP
        cards[-1].turn = max(x - BAND_GAP, free) - GAP / 2
        right = max(right, cards[-1].turn)
        y = bottom + GUTTER
    return right + MARGIN, y if alone else y + 40


def _middle(card: Card) -> float:
    return card.y + CARD_TOP - 14


def _connector(before: Card, after: Card) -> str:
    """The arrow from a block to the next one: straight on a line, else around to the next line."""
    start = before.x + before.width
    if before.y == after.y:
        return _path(f"M{start:.1f} {_middle(before):.1f} H{after.x:.1f}", arrow=True)
    down, into = after.y - HEADER - GUTTER / 2, MARGIN / 2
    way = f"H{before.turn:.1f} V{down:.1f} H{into:.1f} V{_middle(after):.1f} H{after.x:.1f}"
    return _path(f"M{start:.1f} {_middle(before):.1f} {way}", arrow=True)


def _drop(tap: Card, head: Card) -> str:
    x = head.x + 24
    return _path(f"M{x:.1f} {tap.y + tap.height:.1f} V{head.y:.1f}", arrow=True, dashed=True)


def _draw_header(line: Sequence[Card], colour: str) -> Iterator[str]:
    """The resolution above the blocks that have it, with a rule along them."""
    x, y, end = line[0].x, line[0].y - 12, line[-1].x + line[-1].width
    title = resolution(line[0].row)
    yield _text(x, y, title, 16, weight=600, fill=colour)
    begin = x + text_width(title, 16) + 10
    if end - begin > 12:
        yield _path(f"M{begin:.1f} {y - 5:.1f} H{end:.1f}", width=2, stroke=colour)


def _draw_card(card: Card, colour: str, largest: int) -> Iterator[str]:
    x, y, width, height = card.x, card.y, card.width, card.height
    yield f"<g id={quoteattr(card.names[0])}><title>{escape(', '.join(card.names))}</title>"
    if len(card.names) > 1:  # a pile
        for step in (8, 4):
            yield (
                f'<rect x="{x + step:.1f}" y="{y + step:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7" '
                f'fill="{PAPER}" stroke="{colour}"/>'
            )
    dash = ' stroke-dasharray="5 3"' if card.tap else ""
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7" fill="{GREY}" '
        f'stroke="{colour}" stroke-width="1.5"{dash}/>'
    )
    yield _text(x + 12, y + 21, card.title, 14, weight=600, fill=colour)
    if card.boxes:
        yield from _draw_branches(card, colour)
    foot = y + height - 12
    yield _text(x + 12, foot, shape_text(card.row), 11, fill=INK)
    if card.row.weights:
        yield _text(x + width - 12, foot, card.footer, 11, fill=SOFT, anchor="end")
        bar = (width - 24) * card.row.weights / largest
        yield f'<rect x="{x + 12:.1f}" y="{foot + 4:.1f}" width="{bar:.1f}" height="3" rx="1.5" fill="{colour}"/>'
    yield "</g>"


def _draw_branches(card: Card, colour: str) -> Iterator[str]:
    """The operations of a block as boxes on lanes, between a line where they part and one where they meet."""
    lefts, x = [], card.x + CARD_SIDE
    for column in card.columns:
        lefts.append(x)
        x += column + OP_GAP

    def left(box: Box) -> float:
        return lefts[box.column]

    def level(lane: int) -> float:
        return card.y + CARD_TOP + LANE * lane + LANE / 2

    start, end = card.x + 11, card.x + card.width - 11
    ends: list[int] = []
    starts: list[int] = []
    lines = []
    for box in card.boxes:
        middle = level(box.lane)
        if box.reads_input:
            starts.append(box.lane)
            lines.append(f"M{start:.1f} {middle:.1f} H{left(box):.1f}")
        for parent in box.parents:
            turn = left(box) - OP_GAP / 2
            out = left(parent) + parent.width
            lines.append(f"M{out:.1f} {level(parent.lane):.1f} H{turn:.1f} V{middle:.1f} H{left(box):.1f}")
        if not box.children:
            ends.append(box.lane)
            lines.append(f"M{left(box) + box.width:.1f} {middle:.1f} H{end:.1f}")
    if card.identity:
        lane = card.lanes - 1
        starts.append(lane)
        ends.append(lane)
        lines.append(f"M{start:.1f} {level(lane):.1f} H{end:.1f}")
    for x, lanes in ((start, starts), (end, ends)):
        lines.append(f"M{x:.1f} {level(min(lanes, default=0)):.1f} V{level(max(lanes, default=0)):.1f}")
    yield _path(" ".join(lines), width=1.2, stroke=RULE)
    if len(ends) > 1 and card.merge == "concat":
        yield _path(f"M{end:.1f} {level(min(ends)) - 6:.1f} V{level(max(ends)) + 6:.1f}", width=3.5, stroke=colour)
    elif len(ends) > 1:
        middle = (level(min(ends)) + level(max(ends))) / 2
        yield f'<circle cx="{end:.1f}" cy="{middle:.1f}" r="7" fill="{PAPER}" stroke="{colour}" stroke-width="1.5"/>'
        yield _path(f"M{end - 4:.1f} {middle:.1f} h8 M{end:.1f} {middle - 4:.1f} v8", width=1.5, stroke=colour)
    for box in card.boxes:
        fill, stroke, ink = {
            "point": (PAPER, colour, INK),
            "conv": (colour, colour, PAPER),
            "dense": (colour, colour, PAPER),
            "pool": ("#d9dfe5", "#d9dfe5", INK),
        }[box.kind]
        top = level(box.lane) - OP_HEIGHT / 2
        yield (
            f'<rect x="{left(box):.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{OP_HEIGHT}" rx="4" '
            f'fill="{fill}" stroke="{stroke}"/>'
        )
        yield _text(left(box) + box.width / 2, top + 13, box.text, 11, fill=ink, anchor="middle")


def _path(d: str, *, width: float = 1.6, stroke: str = SOFT, arrow: bool = False, dashed: bool = False) -> str:
    extra = (' marker-end="url(#arrow)"' if arrow else "") + (' stroke-dasharray="5 3"' if dashed else "")
    return f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width}"{extra}/>'


def _text(
    x: float, y: float, text: str, size: float, *, weight: int = 400, fill: str = INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
