"""Draws the pictures of docs/ideas.md from real networks, each for light and dark pages: `python docs/pictures.py`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import keras_inception as ki
from keras_inception.graph import block_table
from keras_inception.plot import COLOURS, FONT, _draw_card, _path, _text, recoloured
from keras_inception.plot_blocks import Card, read_card, rounded, text_width

FOLDER = Path(__file__).parent / "pictures" / "ideas"
MARGIN, HEAD, GAP = 8, 30, 26


@dataclass(frozen=True)
class Picture:
    """A block of a network, with the heads that hang below it, under a line of words."""

    title: str
    network: str
    blocks: tuple[str, ...]
    colour: str
    options: Mapping[str, Any] = field(default_factory=dict)


BLUE, TEAL, GREEN, _, ORANGE, RED, VIOLET = COLOURS
PAPER = {"variant": "paper"}
PICTURES = {
    "naive": Picture("without reductions", "inception_v1", ("inception_3a",), RED, {**PAPER, "naive": True}),
    "reduced": Picture("with 1×1 reductions", "inception_v1", ("inception_3a",), BLUE, {**PAPER, "aux_heads": True}),
    "two_3x3": Picture("two 3×3 beside a 5×5", "inception_v3", ("mixed_5b",), BLUE),
    "split_7x7": Picture("7×7 as 1×7 and 7×1", "inception_v3", ("mixed_6b",), TEAL),
    "heads": Picture(
        "a head on block 4a", "inception_v1", ("inception_4a", "aux1"), TEAL, {**PAPER, "aux_heads": True}
    ),
    "separable": Picture("depthwise, then 1×1", "mobilenet_v1", ("block8",), GREEN),
    "shuffle": Picture("groups and a shuffle", "shufflenet", ("stage3_unit2",), ORANGE),
    "inverted": Picture("wide inside, narrow outside", "mobilenet_v2", ("block3",), VIOLET),
    "scaled": Picture("a branch that is scaled", "inception_resnet_v1", ("block35_1",), BLUE),
    "cardinality": Picture("32 groups", "resnext50", ("conv2_block2",), ORANGE),
}


def network(picture: Picture) -> keras.Model:
    """The network that a picture is drawn from, built once."""
    return _built(picture.network, tuple(picture.options.items()))


@cache
def _built(name: str, options: tuple[tuple[str, Any], ...]) -> keras.Model:
    with keras.StatelessScope(initialize_variables=False):  # shapes are all that is drawn
        return ki.create_model(name, **dict(options))


def draw(picture: Picture) -> str:
    """Returns the picture as the text of an SVG file, for light pages."""
    model = network(picture)
    rows = {row.name: row for row in block_table(model)}
    cards = [read_card(model, rows[name]) for name in picture.blocks]
    width = max([card.width for card in cards] + [text_width(picture.title, 14)]) + 2 * MARGIN
    y: float = HEAD
    body = []
    for before, card in zip([None, *cards[:-1]], cards, strict=True):
        card.x, card.y = MARGIN, y
        if before is not None:
            body.append(_path(f"M{MARGIN + 24} {before.y + before.height:.1f} V{y:.1f}", dashed=True))
        body += _draw_card(card, picture.colour, max(card.row.weights for card in cards))
        y += card.height + GAP
    height = y - GAP + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}">',
            f"<title>{described(picture, cards)}</title>",
            _text(MARGIN, 18, picture.title, 14, weight=600),
            *body,
            "</svg>\n",
        ]
    )


def described(picture: Picture, cards: list[Card]) -> str:
    """What the picture shows, in words."""
    blocks = ", ".join(f"{card.names[0]} ({rounded(card.row.weights)} weights)" for card in cards)
    return f"{picture.network}, {blocks}: {picture.title}"


def files() -> dict[str, str]:
    """The text of each file, by its name."""
    drawn = {name: draw(picture) for name, picture in PICTURES.items()}
    light = {f"{name}-light.svg": text for name, text in drawn.items()}
    return light | {f"{name}-dark.svg": recoloured(text) for name, text in drawn.items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, svg in files().items():
        (FOLDER / file).write_text(svg, encoding="utf-8")
        print(FOLDER / file)
