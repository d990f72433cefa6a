"""What the commands print: one function a result, all numbers with their units."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_inception.registry import ModelEntry
from keras_inception.showing import print_table

if TYPE_CHECKING:
    from keras_inception.graph import BlockTable
    from keras_inception.tflite import Layers, PhoneTiming, Proof, Timing
    from keras_inception.training import Evaluation, LearningRates
    from keras_inception.weights import WeightSet

LEFT: Literal["left"] = "left"
RIGHT: Literal["right"] = "right"
COSTLIEST = 5
WIDE = 120


def show_models(entries: Sequence[ModelEntry]) -> None:
    """Print the registry."""
    # Eighty columns hold it.
    table = _table(("model", LEFT), ("px", RIGHT), ("weights", RIGHT), ("mult-adds", RIGHT), ("top-1 / 5 %", RIGHT),
                   ("arXiv", LEFT))  # fmt: skip
    for entry in entries:
        accuracies = ["-" if share is None else f"{share:.1f}" for share in (entry.top1, entry.top5)]
        paper = entry.url.replace("https://arxiv.org/abs/", "")
        table.add_row(
            entry.name,
            str(entry.input_size),
            mega(entry.parameters),
            f"{entry.multiply_adds / 1e6:,.0f} M",
            " / ".join(accuracies),
            f"[link={entry.url}]{paper}[/link]",
        )
    _print(table)


def show_blocks(title: str, rows: "BlockTable") -> None:
    """Print a network block by block, blocks that neither change the shape nor cost anything left out."""
    from keras_inception.graph import BLOCK_HEADINGS

    first, *rest = BLOCK_HEADINGS
    table = _table((first, LEFT), *((heading, RIGHT) for heading in rest), title=title)
    for place, cells in enumerate(rows.cells()):
        if place == len(rows):
            table.add_section()
        table.add_row(escape(cells[0]), *cells[1:])
    _print(table)


def show_weights(sets: Sequence["WeightSet"]) -> None:
    """Print released weight sets."""
    table = _table(("tag", LEFT), ("model", LEFT), ("input", RIGHT), ("top-1 / top-5", RIGHT), ("licence", LEFT))
    for weight_set in sets:
        accuracies = ["-" if share is None else f"{share:.1f}" for share in (weight_set.top1, weight_set.top5)]
        size = weight_set.preprocessing.size
        table.add_row(
            weight_set.tag,
            weight_set.network,
            f"{size}x{size}" if size else "",
            " / ".join(accuracies) + " %",
            weight_set.licence + (" (asks for --accept-license)" if weight_set.needs_acceptance else ""),
        )
    _print(table)


def show_predictions(rows: Sequence[dict[str, Any]]) -> None:
    """Print the likeliest classes of each image."""
    table = _table(("image", LEFT), ("class", LEFT), ("probability", RIGHT))
    for row in rows:
        for place, named in enumerate(row["predictions"]):
            table.add_row(row["image"] if place == 0 else "", named["class"], percent(named["probability"], digits=2))
        if not row["predictions"]:
            table.add_row(row["image"], "no label", "")
        table.add_section()
    _print(table)


def show_measured(rows: Sequence[dict[str, Any]]) -> None:
    """Print the figures of several models, a row each, beside those that were published."""
    table = _table(("model", LEFT), ("top-1", RIGHT), ("top-5", RIGHT), ("loss", RIGHT), ("calibration error", RIGHT),
                   ("images/s", RIGHT), ("published", RIGHT))  # fmt: skip
    for row in rows:
        shares = [row["top1"], row["top5"], row["calibration_error"]]
        top1, top5, error = ("" if share is None else percent(share / 100, digits=2) for share in shares)
        published = [row["published_top1"], row["published_top5"]]
        known = " / ".join(f"{share:.1f}" for share in published if share is not None)
        speed = f"{row['images_per_second']:,.1f}"
        table.add_row(row["model"], top1, top5, f"{row['cross_entropy']:.4f}", error, speed, known and f"{known} %")
    _print(table)


def show_learning_rates(found: "LearningRates", own: float, files: Sequence[Path]) -> None:
    """Print what a range test suggests, and on what ground."""
    lowest = min(range(len(found.smoothed)), key=found.smoothed.__getitem__, default=None)
    rows: list[tuple[str, Path | str]] = []
    if found.suggestion is None or lowest is None:
        rows.append(("suggestion", "none: the loss never fell; begin with a lower --lowest"))
    else:
        rows.append(("suggestion", f"--optimizer.learning-rate {found.suggestion:.1e} (the run has {own:.1e})"))
        rows.append(("lowest loss", f"{found.smoothed[lowest]:.3f} at {found.rates[lowest]:.1e}, ten times as high"))
    reached = f"{len(found.rates)} steps, to a rate of {found.rates[-1]:.1e}" if found.rates else "no step"
    rows.append((found.ended, f"after {reached}"))
    if found.suggestion is not None and found.ended == "complete" and lowest == len(found.rates) - 1:
        rows.append(("note", "the loss still fell at the highest rate: raise --highest"))
    show_lines(*rows, *(("curve", file) for file in files))


def show_evaluation(evaluation: "Evaluation") -> None:
    """Print the figures of an evaluation, and the classes that are missed most."""
    table = _table(("", LEFT), ("", RIGHT))
    table.show_header = False
    for label, figure in evaluation.lines():
        table.add_row(escape(label), escape(figure))
    _print(table)


def show_files(folder: Path, files: Sequence[Mapping[str, Any]]) -> None:
    """Print what an export holds."""
    table = _table(("file", LEFT), ("size", RIGHT), ("operators", LEFT))
    for file in files:
        operators = file.get("operators")
        theirs = "ONNX's" if file["file"].endswith(".onnx") else "TensorFlow's"
        kinds = f"{len(operators)} kinds, all TFLite builtins" if operators else theirs
        table.add_row(file["file"], megabytes(file["size"]), kinds)
    _print(table)
    show_lines(("folder", folder))


def show_upload(handle: str, sizes: Mapping[str, int]) -> None:
    """Print what is to be uploaded, and where to."""
    table = _table(("file", LEFT), ("size", RIGHT))
    for path, size in sizes.items():
        table.add_row(path, megabytes(size) if size >= 100_000 else f"{size:,} B")
    table.add_row(f"{len(sizes)} files", megabytes(sum(sizes.values())))
    _print(table)
    show_lines(("to", handle))


def show_proof(proof: "Proof") -> None:
    """Print how the exports compare with the trained network, and each limit that was passed."""
    where = proof.accelerators
    for table in (proof.table(), proof.promises(), where.table() if where else None):
        if table is not None:
            _print(_styled(table))
    _show_notes(where.notes() if where else ())
    if proof.passed:
        console().print("[green]proven[/green]: every file is whole and within the limits")
    for failure in proof.failures:
        Console(stderr=True, highlight=False).print(f"[red]failed[/red]: {escape(failure)}", soft_wrap=True)
    if (page := proof.folder / "proof.html").is_file():
        show_lines(("page", page))


def show_layers(layers: "Layers", written: Sequence[Path]) -> None:
    """Print the layers that add most error, what half precision cannot hold, and where all layers are written."""
    _print(_styled(layers.table()))
    _show_notes(layers.notes())
    show_lines(*((path.suffix.removeprefix("."), path) for path in written))


def _styled(table: Table) -> Table:
    table.box, table.pad_edge, table.title_justify, table.title_style = box.SIMPLE_HEAD, False, LEFT, "bold"
    return table


def _show_notes(notes: Sequence[str]) -> None:
    for note in notes:
        console().print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)


def show_timings(rows: Sequence["Timing"]) -> None:
    """Print a benchmark, with a column of ratios where one row is what the others are compared with."""
    headings = [("file", LEFT), ("median", RIGHT), ("10 % to 90 %", RIGHT), ("batch", RIGHT), ("threads", RIGHT)]
    compared = any(row.ratio is not None for row in rows)
    table = _table(*headings, *([("ratio", RIGHT)] if compared else []))
    names = [Path(row.name).name for row in rows]
    for name, row in zip(names, rows, strict=True):
        ratio = [] if row.ratio is None else [f"{row.ratio:.2f}"]
        table.add_row(
            name if names.count(name) == 1 else row.name,
            f"{row.median_ms:.2f} ms",
            f"{row.low_ms:.2f} to {row.high_ms:.2f} ms",
            str(row.batch),
            str(row.threads),
            *ratio,
        )
    _print(table)


def show_phone(rows: Sequence["PhoneTiming"]) -> None:
    """Print what a phone says of each file beside its latency: the time to load it, memory, the costliest operators."""
    for row in rows:
        memory = "" if row.memory_mb is None else f", {row.memory_mb:.1f} MB"
        costs = ", ".join(f"{found.kind} {found.milliseconds:.2f} ms" for found in row.operators[:COSTLIEST])
        lines = [("loading", f"{row.load_ms:.1f} ms, first call {row.first_ms:.1f} ms{memory}")]
        show_heading(Path(row.timing.name).name)
        show_lines(*lines, *([("operators", costs)] if costs else []))


def show_heading(text: str) -> None:
    """Print a line that begins a part."""
    console().rule(f"[bold]{text}[/bold]", align=LEFT, style="dim")


def show_lines(*lines: tuple[str, Path | str]) -> None:
    """Print labelled lines that a terminal does not wrap, so that paths and commands can be copied."""
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        console().print(f"[dim]{label:<{width}}[/dim]  ", end="")
        console().print(str(value), markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, default=str))


def percent(share: float, *, digits: int = 1) -> str:
    """A share of 1 as percent."""
    return f"{100 * share:.{digits}f} %"


def megabytes(size: int) -> str:
    """A size in bytes as megabytes of a million bytes."""
    return f"{size / 1e6:.2f} MB"


def mega(value: int) -> str:
    """A count in millions."""
    return f"{value / 1e6:,.2f} M"


def _table(*columns: tuple[str, Any], title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_style="bold", title_justify="left")
    for place, (name, justify) in enumerate(columns):
        whole = place == 0 or justify == RIGHT
        table.add_column(name, justify=justify, no_wrap=whole, overflow="fold", min_width=None if whole else 8)
    return table


def _print(table: Table) -> None:
    print_table(console(), table)


def console() -> Console:
    """Standard output; where it is no terminal and nobody says how wide it is, wide enough for every table."""
    standard = Console(highlight=False)
    if not (standard.is_terminal or os.environ.get("COLUMNS")):
        standard.width = WIDE
    return standard
