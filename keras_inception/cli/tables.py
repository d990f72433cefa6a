"""What the commands print: one function a result, all numbers with their units."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from keras_inception.registry import ModelEntry

if TYPE_CHECKING:
    from keras_inception.graph import BlockRow

LEFT, RIGHT = "left", "right"


def show_models(entries: Sequence[ModelEntry]) -> None:
    """Print the registry."""
    table = _table(("model", LEFT), ("input", RIGHT), ("parameters", RIGHT), ("multiply-adds", RIGHT), ("top-1", RIGHT),
                   ("top-5", RIGHT), ("auxiliary heads", LEFT), ("paper", LEFT))  # fmt: skip
    for entry in entries:
        table.add_row(
            entry.name,
            f"{entry.input_size}x{entry.input_size}",
            f"{entry.parameters:,}",
            giga(entry.multiply_adds),
            percent(entry.top1, scale=1),
            percent(entry.top5, scale=1),
            ", ".join(entry.aux_heads) or "-",
            entry.url.removeprefix("https://"),
        )
    _print(table)


def show_blocks(title: str, rows: Sequence["BlockRow"]) -> None:
    """Print a network block by block, blocks that neither change the shape nor cost anything left out."""
    table = _table(("block", LEFT), ("output", RIGHT), ("weights", RIGHT), ("multiply-adds", RIGHT), title=title)
    for row in rows:
        table.add_row(
            row.name,
            "x".join("?" if side is None else str(side) for side in row.output_shape),
            f"{row.weights:,}" if row.weights else "",
            mega(row.multiply_adds) if row.multiply_adds else "",
        )
    table.add_section()
    costs = [row.multiply_adds for row in rows if row.multiply_adds]
    table.add_row("kernels", "", f"{sum(row.weights for row in rows):,}", mega(sum(costs)))
    table.add_row("all trainable", "", f"{sum(row.parameters for row in rows):,}", "")
    _print(table)


def show_predictions(rows: Sequence[dict[str, Any]]) -> None:
    """Print the likeliest classes of each image."""
    table = _table(("image", LEFT), ("class", LEFT), ("probability", RIGHT))
    for row in rows:
        for place, named in enumerate(row["predictions"]):
            table.add_row(row["image"] if place == 0 else "", named["class"], percent(named["probability"], digits=2))
        table.add_section()
    _print(table)


def show_lines(*lines: tuple[str, Path | str]) -> None:
    """Print labelled lines that a terminal does not wrap, so that paths and commands can be copied."""
    width = max(len(label) for label, _ in lines)
    console = Console(highlight=False)
    for label, value in lines:
        console.print(f"[dim]{label:<{width}}[/dim]  ", end="")
        console.print(str(value), markup=False, soft_wrap=True)


def percent(value: float | None, *, digits: int = 1, scale: float = 100) -> str:
    """A share as percent; `scale=1` where the value is in percent already."""
    return "-" if value is None else f"{scale * value:.{digits}f} %"


def giga(value: int) -> str:
    """A count in thousand millions."""
    return f"{value / 1e9:.2f} G"


def mega(value: int) -> str:
    """A count in millions."""
    return f"{value / 1e6:,.2f} M"


def _table(*columns: tuple[str, Any], title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_style="bold", title_justify="left", header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=justify == RIGHT)
    return table


def _print(table: Table) -> None:
    Console().print(table)
