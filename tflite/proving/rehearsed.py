"""What was found where a file ran: a row for each place, and what each place that cannot be had wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_inception.showing import html_of

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 3


@dataclass(frozen=True)
class Rehearsed:
    """One file in one place.

    Attributes:
        file: Name inside the export.
        place: Where it ran, such as `"GPU, half precision"`.
        device: What computed there, as it names itself.
        whole: Whether the place took the file whole; None where it does not say, or did not answer.
        taken: How many of its operators the place took; None where it does not say.
        operators: How many operators it has; 0 of files other than .tflite.
        left: Kinds of operators that were left to the CPU, each with why.
        images: Number of images answered: the first of the proof's, as many as fit into the time for a place.
        not_finite: Images that were answered with infinities or NaN; they do not count in what follows.
        difference: Largest absolute difference from the file's own answers on the CPU.
        from_network: Likewise from the float32 network.
        agreement: Share of these images on which it agrees with the network.
        smallest_cosine: Of an embedding, in its place.
        flips: Images whose first class is another than the file's own on the CPU; None of an embedding.
        note: Why there is no answer, or what else is to be known.
    """

    file: str
    place: str
    device: str = ""
    whole: bool | None = None
    taken: int | None = None
    operators: int = 0
    left: tuple[str, ...] = ()
    images: int = 0
    not_finite: int = 0
    difference: float | None = None
    from_network: float | None = None
    agreement: float | None = None
    smallest_cosine: float | None = None
    flips: int | None = None
    note: str = ""

    @property
    def share(self) -> str:
        """What was taken, in a word or two."""
        if not self.images:
            return "refused"
        if self.whole:
            return "whole"
        return "–" if self.taken is None else f"{self.taken} of {self.operators}"


@dataclass(frozen=True)
class Rehearsal:
    """All files in all places.

    Attributes:
        rows: File by file.
        absent: Places that this machine does not have, and what would bring each.
    """

    rows: tuple[Rehearsed, ...]
    absent: dict[str, str]

    def whole(self, file: str, place: str) -> bool | None:
        """Whether a place took a file whole; None where that was not tried."""
        return next((bool(row.whole) for row in self.rows if (row.file, row.place) == (file, place)), None)

    def table(self) -> Table:
        """The rows as a table for a terminal."""
        from rich.table import Table

        table = Table(title="where the files run")
        headings = ("file", "place", "taken", "images", "of itself", "of the network", "agreement", "flips")
        for heading in headings:
            table.add_column(heading, justify="left" if heading in headings[:3] else "right", no_wrap=True)
        last = ""
        for row in self.rows:
            if last and row.file != last:
                table.add_section()
            table.add_row(
                "" if row.file == last else row.file,
                row.place,
                row.share,
                str(row.images) if row.images else "–",
                _difference(row.difference),
                _difference(row.from_network),
                _agreement(row),
                "–" if row.flips is None else str(row.flips),
            )
            last = row.file
        return table

    def _repr_html_(self) -> str:
        return html_of(self.table(), self.notes())

    def notes(self) -> list[str]:
        """A line for every row that is not simply whole and right, and for every place that is absent."""
        lines: dict[str, list[str]] = {}
        for row in self.rows:
            said = [row.note] if row.note else []
            if row.left:
                more = f"; {len(row.left) - _SHOWN} more kinds" if len(row.left) > _SHOWN else ""
                said.append("left to the CPU: " + "; ".join(row.left[:_SHOWN]) + more)
            for text in said:
                lines.setdefault(f"{row.place}: {text}", []).append(row.file)
        noted = [f"{text} [{', '.join(files)}]" for text, files in lines.items()]
        return noted + [f"{place}: not on this machine; {brings}" for place, brings in self.absent.items()]


def _difference(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def _agreement(row: Rehearsed) -> str:
    if row.smallest_cosine is not None:
        return f"{row.smallest_cosine:.4f}"
    return "–" if row.agreement is None else f"{row.agreement:.2%}"
