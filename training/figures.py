"""The report's figures, as SVG text or PNG data that stand in the page itself."""

import base64
import io
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, MUTED, GRID = "#1d2733", "#6b7785", "#e3e8ee"
COLOURS = ("#2563eb", "#f59e0b", "#0d9488", "#db2777", "#7c3aed")
_HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#bfdbfe", "#2563eb", "#172554"])
_STYLE: dict[str, Any] = {"fontsize": 9, "color": MUTED}

Curve = tuple[str, list[float], str, bool]  # label, values by epoch, colour, dashed


def curves(title: str, lines: list[Curve], *, percent: bool = False) -> str:
    """Draws values by epoch as SVG."""
    figure = Figure(figsize=(5.6, 3.1), layout="constrained")
    axes = figure.subplots()
    for label, values, colour, dashed in lines:
        epochs = range(1, len(values) + 1)
        marker = "o" if len(values) == 1 else ""
        axes.plot(epochs, values, label=label, color=colour, lw=1.8, ls="--" if dashed else "-", marker=marker, ms=4)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_xlabel("epoch", **_STYLE)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    last = len(lines[0][1])
    axes.set_xlim(1 - 0.02 * last, last * 1.02)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    if percent:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1.0001 else "")
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=2 if len(lines) > 3 else 1)
    return _svg(figure)


def confusion(matrix: np.ndarray, class_names: list[str]) -> str:
    """Draws a confusion matrix as SVG: colour by share of the true class, counts written in where there is room."""
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.2, 0.44 * classes + 1.6), 11)
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap=_HEAT, vmin=0, vmax=1, interpolation="nearest")
    if classes <= 40:
        longest = max(map(len, class_names))
        axes.set_xticks(range(classes), class_names, rotation=90 if longest > 3 else 0)
        axes.set_yticks(range(classes), class_names)
    if classes <= 25:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.45 else INK
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    axes.set_xlabel("predicted", **_STYLE)
    axes.set_ylabel("true", **_STYLE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.spines[:].set_color(GRID)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02, format=lambda value, _: f"{value:.0%}")
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
    bar.outline.set_visible(False)
    return _svg(figure)


def png_uri(pixels: np.ndarray) -> str:
    """Turns an image [height, width, 1 or 3] in 0..255 into a data URI."""
    content = tf.io.encode_png(np.asarray(pixels).round().astype(np.uint8)).numpy()
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # HTML takes the element without the XML prologue
