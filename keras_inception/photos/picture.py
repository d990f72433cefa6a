"""The picture of a choice: what each trunk brings against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import FuncFormatter

from keras_inception.photos.choosing import Candidate
from keras_inception.training.files import write_text
from keras_inception.training.report.figures import standing_alone
from keras_inception.training.report.page import COLOURS, INK, MUTED, chart, percent


def write(
    path: Path,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    under: Mapping[str, float],
    over: Mapping[str, float],
) -> None:
    """Draws the measured candidates, accuracy against latency, with the limits and the choice, as SVG.

    Args:
        path: The file to write.
        candidates: The trunks; those whose latency was not measured are left out.
        chosen: The one that was taken.
        under: Largest `latency_ms`, drawn where it is given.
        over: Smallest `accuracy`, likewise.
    """
    measured = [(candidate, candidate.costs.latency_ms) for candidate in candidates if candidate.costs]
    figure, axes = chart(
        f"Taken: {chosen.name}", "int8 file, milliseconds a picture on this machine", "accuracy of a linear head"
    )
    networks = list(dict.fromkeys(candidate.trunk.network for candidate, _ in measured))
    for number, network in enumerate(networks):
        own = sorted((ms, c.accuracy, c.trunk.size) for c, ms in measured if c.trunk.network == network)
        colour = COLOURS[number % len(COLOURS)]
        latencies, accuracies, sizes = zip(*own, strict=True)
        axes.plot(latencies, accuracies, color=colour, lw=1.2, alpha=0.5, zorder=1)
        axes.scatter(latencies, accuracies, color=colour, s=36, label=network, zorder=2)
        for latency, accuracy, size in zip(latencies, accuracies, sizes, strict=True):
            spot = latency, accuracy
            axes.annotate(str(size), spot, (6, -9), textcoords="offset points", fontsize=8, color=MUTED)
    if chosen.costs:
        spot = chosen.costs.latency_ms, chosen.accuracy
        axes.scatter(*spot, s=190, facecolors="none", edgecolors=INK, lw=1.8, zorder=3)
    if "latency_ms" in under:
        axes.axvline(under["latency_ms"], color=INK, lw=1, ls=":")
    if "accuracy" in over:
        axes.axhline(over["accuracy"], color=INK, lw=1, ls=":")
    axes.set_xlim(left=0)
    axes.yaxis.set_major_formatter(FuncFormatter(percent))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    write_text(path, standing_alone(figure))
