"""The report's figures, as SVG text or image data that stand in the page itself."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..evaluation.result import CALIBRATION_BINS, Calibration
from .page import COLOURS, GRID, INK, MUTED, as_text, chart, percent, svg, unframe

_HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#bfdbfe", "#2563eb", "#172554"])
_CAM = LinearSegmentedColormap.from_list("cam", ["#1e1b4b", "#c026d3", "#fb923c", "#fef08a"])
_EXACT, _SMOOTH, _LARGEST = 64, 96, 192
_DARK = ((INK, "#e8edf2", "fill"), (MUTED, "#9aa7b4", "fill"), (GRID, "#2b3540", "stroke"))  # as a dark page has them
_STYLE: dict[str, Any] = {"fontsize": 9, "color": MUTED}

Curve = tuple[str, list[float], str, bool]  # label, values by epoch, colour, dashed


def curves(title: str, lines: list[Curve], *, percents: bool = False, from_zero: bool = False) -> str:
    """Draws values by epoch as SVG."""
    figure, axes = chart(title, "epoch", height=3.1)
    for label, values, colour, dashed in lines:
        epochs = range(1, len(values) + 1)
        marker = "o" if len(values) == 1 else ""
        axes.plot(epochs, values, label=label, color=colour, lw=1.8, ls="--" if dashed else "-", marker=marker, ms=4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    last = len(lines[0][1])
    axes.set_xlim(1 - 0.02 * last, last * 1.02)
    if from_zero:
        axes.set_ylim(bottom=0)
    if percents:
        axes.yaxis.set_major_formatter(percent)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=2 if len(lines) > 3 else 1)
    return svg(figure)


def learning_rates(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggestion: float | None
) -> Figure:
    """Draws a range test: each loss as a dot over its rate, the smoothed curve, and a line at the suggestion."""
    figure, axes = chart("Loss by learning rate", "learning rate")
    axes.scatter(rates, losses, s=7, color=MUTED, alpha=0.55, lw=0, label="loss of each step")
    axes.plot(rates, smoothed, color=COLOURS[0], lw=2, label="smoothed")
    if suggestion is not None:
        axes.axvline(suggestion, color=COLOURS[3], lw=1.4, ls="--", label=f"suggestion {suggestion:.1e}")
    axes.set_xscale("log")
    if smoothed:
        low, high = min(smoothed), max(smoothed)
        axes.set_ylim(low - 0.15 * (high - low + 1e-3), high + 0.3 * (high - low + 1e-3))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def standing_alone(figure: Figure) -> str:
    """Draws a figure as the text of an SVG file, which is light or dark as its reader is."""
    dark = "".join(f'[style*="{given}"] {{ {kind}: {other} !important; }} ' for given, other, kind in _DARK)
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ background: #141a21; }} {dark}}}</style>"
    with as_text():
        text = svg(figure)
    start = text.index(">", text.index("<svg")) + 1
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text[:start]}{style}{text[start:]}'


def confusion(matrix: np.ndarray, class_names: list[str]) -> str:
    """Draws a confusion matrix as SVG: colour by share of the true class, counts written in where there is room."""
    classes = len(class_names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.2, 0.44 * classes + 1.6), 11)
    size = max(8.0, 1.3 * side)  # in points of a figure that the page shrinks to its column
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
                axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
    axes.set_xlabel("predicted", fontsize=size, color=MUTED)
    axes.set_ylabel("true", fontsize=size, color=MUTED)
    axes.tick_params(colors=INK, labelsize=size, length=0)
    axes.spines[:].set_color(GRID)
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02, format=lambda value, _: f"{value:.0%}")
    bar.ax.tick_params(colors=MUTED, labelsize=size, length=0)
    bar.outline.set_visible(False)
    return svg(figure)


def reliability(calibration: Calibration, *, of_labels: bool = False) -> str:
    """Draws accuracy against confidence as SVG, with the share of the images in each bin below.

    Args:
        calibration: what to draw.
        of_labels: whether it is of each label's probability, against how often the label is there.
    """
    title, y, unit = ("Labels by probability", "labels there", "labels") if of_labels else (
        "Accuracy by confidence", "accuracy", "images",
    )  # fmt: skip
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    width = 1 / CALIBRATION_BINS
    confidences = np.array([part["confidence"] for part in calibration.bins])
    left = np.minimum(np.floor(confidences / width), CALIBRATION_BINS - 1) * width
    counts = np.array([part["images"] for part in calibration.bins])
    accuracies = [part["accuracy"] for part in calibration.bins]
    axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--")
    axes.bar(left, accuracies, width, align="edge", color=COLOURS[0], alpha=0.25, edgecolor="white")
    axes.plot(confidences, accuracies, color=COLOURS[0], marker="o", ms=4, lw=1.4)
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_ylabel(y, **_STYLE)
    below.bar(left, counts / counts.sum(), width, align="edge", color=MUTED, alpha=0.5, edgecolor="white")
    below.set_xlabel("probability" if of_labels else "confidence", **_STYLE)
    below.set_ylabel(unit, **_STYLE)
    for part in (axes, below):
        part.set_xlim(0, 1)
        part.set_ylim(0, 1.02)
        unframe(part)
        part.xaxis.set_major_formatter(percent)
        part.yaxis.set_major_formatter(percent)
    return svg(figure)


def heat(pixels: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Lays a map [rows, columns] in 0..1 over an image [height, width, 1 or 3], enlarged where it is small: uint8."""
    times = -(-_SMOOTH // max(pixels.shape[:2]))
    pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    height, width = pixels.shape[:2]
    large = tf.image.resize(strengths[..., None], (height, width), "bicubic").numpy()[..., 0].clip(0, 1)
    grey = np.broadcast_to(pixels.mean(axis=-1, keepdims=True), (height, width, 3))
    share = 0.6 * large[..., None]
    colour = 255 * _CAM(large)[..., :3]
    return (0.85 * grey * (1 - share) + colour * share).round().clip(0, 255).astype(np.uint8)


def image_uri(pixels: np.ndarray) -> str:
    """Turns an image [height, width, 1 or 3] in 0..255 into a data URI: PNG where it is small, else JPEG."""
    whole = tf.constant(np.asarray(pixels).round().astype(np.uint8))
    longest = max(whole.shape[:2])
    if longest <= _EXACT:
        return "data:image/png;base64," + base64.b64encode(tf.io.encode_png(whole).numpy()).decode()
    if longest > _LARGEST:
        shape = [max(1, round(side * _LARGEST / longest)) for side in whole.shape[:2]]
        whole = tf.saturate_cast(tf.round(tf.image.resize(whole, shape, antialias=True)), tf.uint8)
    return "data:image/jpeg;base64," + base64.b64encode(tf.io.encode_jpeg(whole, quality=85).numpy()).decode()
