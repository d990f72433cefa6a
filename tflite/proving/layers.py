"""What was found of a file's layers: a row each, a table, and the files that are written of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_inception.showing import html_of

from ..errors import ExportError

if TYPE_CHECKING:
    from rich.table import Table

HALF_PRECISION = 65504.0
"""The largest number of 16 bits."""
_WORST = 5
_LEAST = 1e-9  # that is drawn: the axis is logarithmic
_COLOURS = {"float32": "#6b7785", "float16": "#7c3aed", "dynamic": "#0d9488", "int8": "#2563eb", "int16x8": "#db2777"}
_INK, _MUTED, _GRID = "#1d2733", "#6b7785", "#e3e8ee"


@dataclass(frozen=True)
class LayerRow:
    """One layer in one file, over all values that it answered to the images.

    Attributes:
        file: Name inside the export.
        mode: Its mode.
        layer: Name of the layer in the Keras network.
        operator: What computes its last step in the file, such as `"CONV_2D"`.
        tensor: The file's name for what it answers.
        error: Root mean square of the difference from the float network's, relative to the root mean square of the
            latter: 0 is right, 1 as wrong as zeros are.
        added: By how much that is more than the largest error of what the layer reads.
        low: Smallest value in the file.
        high: Largest.
        network_low: Smallest value in the float network.
        network_high: Largest.
        saturated: Share of the float network's values that the file's integers cannot hold, by more than a step; 0 in
            float tensors.
    """

    file: str
    mode: str
    layer: str
    operator: str
    tensor: str
    error: float
    added: float
    low: float
    high: float
    network_low: float
    network_high: float
    saturated: float


@dataclass(frozen=True)
class Layers:
    """All layers of an export's .tflite files.

    Attributes:
        rows: File by file, in the order of execution.
        overflowing: By name, the layers of the float network that answer more than half precision holds, and the
            largest magnitude of each, in the order of execution.
        operators: By file, how many of its operators read what depends on the images.
        images: How many images were seen.
    """

    rows: tuple[LayerRow, ...]
    overflowing: dict[str, float]
    operators: dict[str, int]
    images: int

    def worst(self, file: str, count: int = _WORST) -> list[LayerRow]:
        """The layers of a file that add most error, first those that add most."""
        of_file = [row for row in self.rows if row.file == file]
        return sorted(of_file, key=lambda row: -row.added)[:count]

    @property
    def files(self) -> dict[str, str]:
        """The files' modes by their names."""
        return {row.file: row.mode for row in self.rows}

    def table(self) -> Table:
        """The worst layers of each file as a table for a terminal."""
        from rich.table import Table

        table = Table(title=f"layers that add most error, {self.images} images")
        headings = ("layer", "operator", "error", "added", "range", "network's range", "saturated")
        for heading in headings:
            table.add_column(heading, justify="left" if heading in headings[:2] else "right", overflow="fold")
        for file in self.files:
            table.add_row(f"[bold]{file}[/bold]")
            for row in self.worst(file):
                table.add_row(
                    row.layer,
                    row.operator,
                    f"{row.error:.1e}",
                    f"{row.added:.1e}",
                    f"{row.low:.3g} … {row.high:.3g}",
                    f"{row.network_low:.3g} … {row.network_high:.3g}",
                    f"{row.saturated:.2%}" if row.saturated else "–",
                )
            table.add_section()
        return table

    def _repr_html_(self) -> str:
        return html_of(self.table(), self.notes())

    def notes(self) -> list[str]:
        """A line for each layer that half precision cannot hold, and each file of which little could be compared."""
        lines = [
            f"{layer} reaches {largest:,.0f}: half precision ends at {HALF_PRECISION:,.0f}"
            for layer, largest in self.overflowing.items()
        ]
        for file, operators in self.operators.items():
            compared = sum(row.file == file for row in self.rows)
            if compared < operators / 2:
                lines.append(f"{file}: {compared} of {operators} operators bear the name of a layer of this network")
        return lines

    def write(self, folder: str | Path) -> list[Path]:
        """Writes layers.csv, layers.svg, and for each file an overlay that Model Explorer opens over it.

        Args:
            folder: Is made where there is none; files of these names in it are replaced.

        Returns:
            What was written.

        Raises:
            ExportError: matplotlib is not installed, or the folder cannot be written.
        """
        folder = Path(folder)
        picture = self._picture()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "layers.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, [field.name for field in fields(LayerRow)], lineterminator="\n")
                writer.writeheader()
                writer.writerows(asdict(row) for row in self.rows)
            picture.savefig(folder / "layers.svg", metadata={"Date": None})
            written = [folder / "layers.csv", folder / "layers.svg"]
            for name in self.files:
                written.append(folder / f"{Path(name).stem}.overlay.json")
                written[-1].write_text(json.dumps(self.overlay(name), indent=1) + "\n", "utf-8")
        except OSError as error:
            raise ExportError(
                f"Tables of layers are written into a folder of their own. Received: {folder} ({error.strerror})."
            ) from error
        return written

    def overlay(self, file: str) -> Mapping[str, Any]:
        """A file's errors in the form of Model Explorer's node data: by tensor, from white to red."""
        return {
            "results": {row.tensor: {"value": row.error} for row in self.rows if row.file == file},
            "gradient": [{"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#dc2626"}],
        }

    def _picture(self) -> Any:
        """Errors by layer, a line a file, over the share of saturated values."""
        try:
            import matplotlib as mpl
            from matplotlib.figure import Figure
        except ImportError:
            raise ExportError(
                "A picture of layers needs matplotlib: pip install 'keras-inception[tflite]'. "
                "Received: an environment without it."
            ) from None
        with mpl.rc_context({"text.parse_math": False}):
            figure = Figure(figsize=(11, 6.5), layout="constrained")
            above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
            places = {layer: place for place, layer in enumerate(dict.fromkeys(row.layer for row in self.rows))}
            for file, mode in self.files.items():
                # A file may compute branches in another order than the first one does.
                rows = sorted((row for row in self.rows if row.file == file), key=lambda row: places[row.layer])
                across, errors = [places[row.layer] for row in rows], [max(row.error, _LEAST) for row in rows]
                worst, colour = self.worst(file, 1)[0], _COLOURS.get(mode)
                label = f"{mode}: {worst.layer} adds most"
                above.plot(across, errors, label=label, color=colour, lw=1.5)
                above.plot(places[worst.layer], max(worst.error, _LEAST), "o", color=colour, ms=5)
                below.plot(across, [row.saturated for row in rows], color=colour, lw=1.5)
            above.set_yscale("log")
            above.set_title(
                f"Error of each layer, relative to the float network; {self.images} images", loc="left", fontsize=11,
                color=_INK, fontweight="bold",
            )  # fmt: skip
            above.legend(frameon=False, fontsize=8, labelcolor=_INK)
            below.set_title("Share of saturated values", loc="left", fontsize=9, color=_INK)
            below.set_ylim(0, max(0.01, *(row.saturated for row in self.rows)) * 1.05)
            below.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
            below.set_xlabel("layer, in the order of execution", fontsize=9, color=_MUTED)
            step = -(-len(places) // 60)
            below.set_xticks(range(0, len(places), step), list(places)[::step], rotation=90, fontsize=6)
            for axes in (above, below):
                axes.grid(axis="y", color=_GRID, lw=0.8)
                axes.tick_params(which="both", colors=_MUTED, length=0)
                axes.spines[["top", "right", "left"]].set_visible(False)
            return figure
