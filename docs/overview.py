"""Draws the front page's picture, from photographs to a phone, with the figures of docs/figures/fit.json.

Run it with `python docs/overview.py`; it writes overview-light.svg, overview-dark.svg and badges.svg to pictures/.
"""

import configparser
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from keras_inception import list_models
from keras_inception.plot import COLOURS, FONT, GREY, INK, PAPER, RULE, SOFT, recoloured
from keras_inception.plot_blocks import text_width

HERE = Path(__file__).parent
BLUE, TEAL, GREEN, AMBER, ORANGE, RED, VIOLET = COLOURS
WIDTH, HEIGHT, TOP, STEP, CARD = 1000, 236, 54, 200, 168  # of the picture; of the cards, from one to the next, each


def drawn(fit: dict[str, Any]) -> str:
    """The picture as the text of an SVG file."""
    cost = fit["costs"]
    steps = [
        ("photographs", f"{fit['pictures']:,} of {fit['classes']} kinds", photographs()),
        ("compared", f"{len(fit['candidates'])} candidates, on your machine", compared(fit)),
        ("trained", f"{fit['accuracy']:.1%} of unseen ones right", trained()),
        ("proven", f"int8 agrees on {fit['agreement']:.1%}", proven(cost["size_mb"])),
        ("on the phone", f"{cost['latency_ms']:.1f} ms a picture here", phone()),
    ]
    body = []
    for number, (title, says, picture) in enumerate(steps):
        x, colour = 16 + STEP * number, (BLUE, TEAL, GREEN, AMBER, ORANGE)[number]
        if number:
            arrow = f"M{x - STEP + CARD + 4} {TOP + 60}h{STEP - CARD - 12}"
            body.append(f'<path d="{arrow}" stroke="{SOFT}" stroke-width="2" marker-end="url(#tip)"/>')
        body += [
            f'<g transform="translate({x} {TOP})">',
            f'<rect width="{CARD}" height="120" rx="8" fill="{GREY}" stroke="{colour}" stroke-width="1.5"/>',
            *picture,
            "</g>",
            text(x + CARD / 2, TOP - 14, title, 17, colour, 600),
            text(x + CARD / 2, TOP + 142, says, 13, INK),
        ]
    foot = f"keras-inception fit PHOTOS · {fit['seconds'] / 60:.0f} minutes on two cores"
    body.append(text(WIDTH / 2, HEIGHT - 12, foot, 14, SOFT))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}"><title>From a folder of photographs to a proven file on a phone</title>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        f'<path d="M0 0.8 L8 4 L0 7.2 z" fill="{SOFT}"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>' + "\n".join(body) + "</svg>\n"
    )


def text(x: float, y: float, words: str, size: int, colour: str, weight: int = 400) -> str:
    """Centred words."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="middle">{words}</text>'
    )


def photographs() -> list[str]:
    """Six photographs of flowers."""
    shapes = []
    for number in range(6):
        x, y = 18 + 46 * (number % 3), 14 + 48 * (number // 3)
        petal, heart = [(RED, AMBER), (VIOLET, AMBER), (AMBER, ORANGE), (BLUE, AMBER), (ORANGE, RED), (TEAL, AMBER)][
            number
        ]
        shapes.append(f'<rect x="{x}" y="{y}" width="40" height="42" rx="3" fill="{PAPER}" stroke="{RULE}"/>')
        shapes += flower(x + 20, y + 21, petal, 5, 8)
        shapes.append(f'<circle cx="{x + 20}" cy="{y + 21}" r="4" fill="{heart}"/>')
    return shapes


def flower(x: int, y: int, colour: str, wide: int, high: int) -> list[str]:
    """Five petals around a place."""
    petal = f'<ellipse cx="{x}" cy="{y - high}" rx="{wide}" ry="{high}" fill="{colour}" transform="rotate('
    return [f'{petal}{72 * number} {x} {y})"/>' for number in range(5)]


def compared(fit: dict[str, Any]) -> list[str]:
    """Accuracy against latency of the candidates, the one that was taken ringed."""
    rows = [row for row in fit["candidates"] if row.get("latency_ms")]
    slow = max(row["latency_ms"] for row in rows) * 1.15
    low = min(row["accuracy"] for row in rows) - 0.02
    high = max(row["accuracy"] for row in rows) + 0.01
    shapes = [f'<path d="M24 12V98H152" fill="none" stroke="{RULE}" stroke-width="1.5"/>']
    shapes += [text(92, 114, "ms", 11, SOFT), text(13, 58, "%", 11, SOFT)]
    for row in rows:
        x = 24 + 122 * row["latency_ms"] / slow
        y = 98 - 80 * (row["accuracy"] - low) / (high - low)
        shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{TEAL}"/>')
        if row["name"] == fit["chosen"]:
            shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" fill="none" stroke="{ORANGE}" stroke-width="2"/>')
    return shapes


def trained() -> list[str]:
    """Modules one after the other, as `plot` draws them."""
    shapes = []
    for number in range(3):
        x = 12 + 52 * number
        shapes.append(f'<rect x="{x}" y="24" width="40" height="72" rx="4" fill="{PAPER}" stroke="{GREEN}"/>')
        shapes.append(f'<path d="M{x + 40} 60h12" stroke="{RULE}"/>' if number < 2 else "")
        for lane in range(4):
            y = 31 + 16 * lane
            shapes.append(f'<path d="M{x + 3} {y + 4.5}h34" stroke="{RULE}"/>')
            shapes.append(f'<rect x="{x + 6}" y="{y}" width="{12 if lane else 16}" height="9" rx="2" fill="{GREEN}"/>')
            if lane:
                shapes.append(
                    f'<rect x="{x + 22}" y="{y}" width="12" height="9" rx="2" fill="{PAPER}" stroke="{GREEN}"/>'
                )
    return shapes


def proven(size: float) -> list[str]:
    """The files, each with a tick."""
    shapes = []
    for number, (name, says) in enumerate(
        (("SavedModel", ""), ("float32.tflite", ""), ("int8.tflite", f"{size:.1f} MB"))
    ):
        y = 14 + 33 * number
        shapes.append(f'<rect x="12" y="{y}" width="144" height="27" rx="4" fill="{PAPER}" stroke="{RULE}"/>')
        shapes.append(f'<path d="M20 {y + 13}l4 5l8 -9" fill="none" stroke="{GREEN}" stroke-width="2.5"/>')
        shapes.append(f'<text x="38" y="{y + 18}" font-size="12" fill="{INK}">{name}</text>')
        shapes.append(f'<text x="150" y="{y + 18}" font-size="12" fill="{SOFT}" text-anchor="end">{says}</text>')
    return shapes


def phone() -> list[str]:
    """A phone that has recognised a flower."""
    petals = flower(84, 44, AMBER, 6, 10)
    return [
        f'<rect x="54" y="6" width="60" height="108" rx="9" fill="{INK}"/>',
        f'<rect x="58" y="13" width="52" height="92" rx="4" fill="{PAPER}"/>',
        *petals,
        f'<circle cx="84" cy="44" r="5" fill="{ORANGE}"/>',
        text(84, 78, "sunflower", 10, INK, 600),
        f'<rect x="64" y="86" width="40" height="5" rx="2.5" fill="{RULE}"/>',
        f'<rect x="64" y="86" width="37" height="5" rx="2.5" fill="{ORANGE}"/>',
    ]


def badges() -> str:
    """What setup.cfg and the registry say of the package, as a strip of badges."""
    metadata = configparser.ConfigParser()
    metadata.read(HERE.parent / "setup.cfg")
    keras = next(line for line in metadata["options"]["install_requires"].split() if line.startswith("keras"))
    words = [
        ("Python", metadata["options"]["python_requires"].replace(",", ", ")),
        ("Keras", keras.removeprefix("keras").replace(",", ", ")),
        ("networks", str(len(list_models()))),
        ("licence", metadata["metadata"]["license"]),
    ]
    shapes, x = [], 0.0
    for name, value in words:
        left, right = (text_width(word, 11) + 14 for word in (name, value))
        shapes += [
            f'<rect x="{x:.0f}" width="{left + right:.0f}" height="20" rx="3" fill="{TEAL}"/>',
            f'<rect x="{x:.0f}" width="{left:.0f}" height="20" rx="3" fill="{SOFT}"/>',
            *(
                text(middle, 14, escape(word), 11, PAPER)
                for middle, word in ((x + left / 2, name), (x + left + right / 2, value))
            ),
        ]
        x += left + right + 6
    said = "; ".join(f"{name} {value}" for name, value in words)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x - 6:.0f} 20" width="{x - 6:.0f}" height="20" '
        f'font-family="{FONT}"><title>{escape(said)}</title>' + "".join(shapes) + "</svg>\n"
    )


if __name__ == "__main__":
    (HERE / "pictures" / "badges.svg").write_text(badges(), encoding="utf-8")
    figures = json.loads((HERE / "figures" / "fit.json").read_text(encoding="utf-8"))
    light = drawn(figures)
    for shade, picture in (("light", light), ("dark", recoloured(light))):
        (HERE / "pictures" / f"overview-{shade}.svg").write_text(picture, encoding="utf-8")
