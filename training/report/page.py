"""What reports share: their palette, figures as SVG text, settings as rows, and pages from templates."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2733", "#6b7785", "#e3e8ee"
COLOURS = ("#2563eb", "#f59e0b", "#0d9488", "#db2777", "#7c3aed")


def render(template: str, **values: Any) -> str:
    """Fills a template of this package, or of those that all pages share; all values are escaped."""
    loader = ChoiceLoader([PackageLoader(__package__), PackageLoader("keras_inception")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(**values)


def settings_rows(tree: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Flattens a configuration to rows of (dotted name, value)."""
    rows = []
    for name, value in tree.items():
        if isinstance(value, dict):
            rows += settings_rows(value, f"{path}{name}.")
        else:
            rows.append((path + name, "none" if value is None else str(value)))
    return rows


def chart(title: str, x: str, y: str = "", *, height: float = 3.5, pad: float | None = None) -> tuple[Figure, Any]:
    """Begins a figure of one chart in the reports' style, named and labelled."""
    figure = Figure(figsize=(5.6, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold", pad=pad)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)
    unframe(axes)
    return figure, axes


def unframe(axes: Any) -> None:
    """Takes a chart's frame away, but for its foot, and lays a light grid under it."""
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, labelsize=8, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def percent(value: float, _: Any) -> str:
    """Labels an axis of shares; nothing above 100 %."""
    return f"{value:.0%}" if value <= 1.0001 else ""


@contextmanager
def as_text() -> Iterator[None]:
    """Lets matplotlib draw `$` as it is, and text as text: a browser has fonts for every script, matplotlib not."""
    with mpl.rc_context({"text.parse_math": False, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # met where text is measured
        yield


def svg(figure: Figure) -> str:
    """Draws a matplotlib figure as an SVG element that stands in a page, on whatever ground that has."""
    buffer = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # `savefig` gives the same, and draws it twice
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # HTML takes the element without the XML prologue
