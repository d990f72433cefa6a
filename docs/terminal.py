"""Records the front page's commands in a terminal and draws it as an animation: pictures/terminal.svg.

Run it with `python docs/terminal.py FOLDER`; it needs pyte. In FOLDER lie flowers, a folder of photographs with a
sub-folder a class, mobilenet_v2_1.0_224.h5, and the two photographs that are named. The commands run there as they
stand. The animation shows the changes of the screen in 20 seconds; where a reader wants no motion, the end.
"""

import argparse
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from itertools import groupby, pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

COMMANDS = (
    "keras-inception fit flowers --output mine --weights mobilenet_v2_1.0_224.h5",
    "keras-inception predict mine/mobilenet_v2-*/export daisy.jpg iris.jpg --top 2",
    "keras-inception app mine/mobilenet_v2-* --for web --output app",
)
COLUMNS, ROWS = 96, 34
SECONDS, FRAMES = 20, 40
PICTURES = Path(__file__).parent / "pictures"
FIGURES = Path(__file__).parent / "figures" / "fit.json"
INK, GROUND = "#d7dde3", "#171c22"
COLOURS = {"default": INK, "black": "#5d6873", "red": "#ef7b7b", "green": "#7ccf8a", "brown": "#e0b25f",
           "blue": "#74a9ea", "magenta": "#c48be0", "cyan": "#5fc9c9", "white": "#ffffff"}  # fmt: skip
WIDE, HIGH, MARGIN, BAR = 7.83, 17, 16, 34  # of a character of 13 pixels; around the text; above it


def main() -> None:  # noqa: D103
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    frames = record(folder)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "terminal.svg").write_text(drawn(shortened(frames)), encoding="utf-8")
    keep_figures(folder / "mine", pictures=photographs(folder / "flowers"), seconds=frames[-1][0])


def photographs(folder: Path) -> int:
    """How many files lie in the folders of classes."""
    return sum(path.is_file() for path in folder.resolve().rglob("*"))


def keep_figures(fitted: Path, *, pictures: int, seconds: float) -> None:
    """Writes what the fit found to figures/fit.json, for docs/overview.py and the front page."""
    fit = json.loads((fitted / "fit.json").read_text())
    run = fitted / fit["chosen"]
    proof = json.loads((run / "export" / "proof.json").read_text())
    kept = {
        "classes": len((run / "class_names.txt").read_text().splitlines()),
        "pictures": pictures,
        "candidates": [
            {"name": row["name"], "accuracy": row["accuracy"], **(row["costs"] or {})} for row in fit["candidates"]
        ],
        **{key: fit[key] for key in ("chosen", "accuracy", "costs", "proven")},
        "agreement": next(row["agreement"] for row in proof["rows"] if row["mode"] == "int8"),
        "seconds": round(seconds),
        "on": time.strftime("%Y-%m-%d"),
    }
    FIGURES.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def record(folder: Path) -> list[tuple[float, list[str]]]:
    """Runs the commands; when the screen changed, and its lines as SVG text."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    frames: list[tuple[float, list[str]]] = []
    start = time.monotonic()

    def see(data: bytes) -> None:
        stream.feed(data)
        lines = [line(screen, row) for row in range(ROWS)]
        if not frames or lines != frames[-1][1]:
            frames.append((time.monotonic() - start, lines))

    for command in COMMANDS:
        for end in range(0, len(command) + 1, 8):
            see(b"\r\x1b[K\x1b[32m$\x1b[0m " + command[:end].encode())
            time.sleep(0.02)
        see(b"\r\x1b[K\x1b[32m$\x1b[0m " + command.encode() + b"\r\n")
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = os.environ | {
            "TERM": "xterm-256color",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        process = subprocess.Popen(
            command, shell=True, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        while True:
            try:
                data = os.read(mine, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            see(data)
        if process.wait():
            raise SystemExit(f"The command must succeed. Received: {process.returncode} from {command}.")
        see(b"\r\n")
    return frames


def line(screen: pyte.Screen, row: int) -> str:
    """A row of the screen as SVG text; empty where nothing is on it."""
    cells = [screen.buffer[row][column] for column in range(COLUMNS)]
    parts, column = [], 0
    for style, run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
        text = "".join(cell.data for cell in run)
        if text.strip():
            colour = COLOURS.get(style[0], f"#{style[0]}")
            left = column + len(text) - len(text.lstrip())
            weight = ' font-weight="700"' if style[1] else ""
            shade = "" if colour == INK else f' fill="{colour}"'
            shown = text.strip()
            place = f'x="{MARGIN + left * WIDE:.1f}" textLength="{len(shown) * WIDE:.1f}"'
            parts.append(f"<tspan {place}{shade}{weight}>{escape(shown)}</tspan>")
        column += len(text)
    return "".join(parts)


def shortened(frames: list[tuple[float, list[str]]]) -> list[tuple[float, list[str]]]:
    """As many frames as are shown, at times of the animation: long pauses are cut to a second and a half."""
    times, clock = [0.0], 0.0
    for (before, _), (after, _) in pairwise(frames):
        clock += min(after - before, 1.5)
        times.append(clock)
    last = times[-1] or 1.0
    scaled = [(at / last * (SECONDS - 4), lines) for at, (_, lines) in zip(times, frames, strict=True)]
    step = (SECONDS - 4) / FRAMES
    chosen = [next(frame for frame in reversed(scaled) if frame[0] <= number * step) for number in range(FRAMES)]
    return [(number * step, lines) for number, (_, lines) in enumerate(chosen)] + [(SECONDS - 4.0, scaled[-1][1])]


def drawn(frames: list[tuple[float, list[str]]]) -> str:
    """The frames one after the other, in one picture; lines that stay are drawn once."""
    spans = []  # row, text, from, until
    for row in range(ROWS):
        for text, group in groupby(range(len(frames)), key=lambda number, row=row: frames[number][1][row]):
            shown = list(group)
            if text:
                until = frames[shown[-1] + 1][0] if shown[-1] + 1 < len(frames) else None
                spans.append((row, text, frames[shown[0]][0], until))
    used = max(row for row, *_ in spans) + 1
    width, height = MARGIN * 2 + COLUMNS * WIDE, BAR + MARGIN + used * HIGH
    styles, body = [], []
    for row, text, begin, until in spans:
        key = f"f{round(begin * 100)}_{'end' if until is None else round(until * 100)}"
        first, last = begin / SECONDS * 100, 100.0 if until is None else until / SECONDS * 100
        steps = [f"0%{{opacity:{int(first == 0)}}}"] + ([f"{first:.2f}%{{opacity:1}}"] if first else [])
        steps += [f"{last:.2f}%,100%{{opacity:0}}"] if until is not None else []
        rest = 1 if until is None else 0
        styles.append(f".{key}{{opacity:{rest};animation:{key} {SECONDS}s step-end infinite}}")
        styles.append(f"@keyframes {key}{{{''.join(steps)}}}")
        body.append(f'<text y="{BAR + (row + 1) * HIGH - 4}" class="{key}" xml:space="preserve">{text}</text>')
    calm = "@media (prefers-reduced-motion:reduce){text{animation:none!important}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" height="{height}" '
        'font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="13">'
        f"<title>{escape('; '.join(COMMANDS))}</title><style>{''.join(dict.fromkeys(styles))}{calm}</style>"
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="{GROUND}"/>'
        + "".join(f'<circle cx="{20 + 18 * n}" cy="17" r="5.5" fill="#3a444e"/>' for n in range(3))
        + f'<g fill="{INK}">{"".join(body)}</g></svg>\n'
    )


if __name__ == "__main__":
    main()
