"""What a fit says as it goes on: a few lines a step, each decision with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from keras_inception.photos.choosing import Candidate
from keras_inception.showing import can_move, in_place, print_table

if TYPE_CHECKING:
    from keras_inception.photos.trunks import AtHand


class Bar:
    """A progress bar; called with things, it yields them and moves on."""

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int) -> None:
        """Moves on by a number of things."""
        self._progress.advance(self._task, count)

    def __call__(self, things: Sequence[Any]) -> Iterator[Any]:
        """Yields things, and moves on after each."""
        for thing in things:
            yield thing
            self.advance(1)


class Teller:
    """Prints on a console.

    Args:
        console: The console.
    """

    def __init__(self, console: Console) -> None:
        self.console = console

    def heading(self, text: str) -> None:
        """Prints the line that begins a step."""
        self.console.rule(f"[bold]{text}[/bold]", align="left", style="dim")

    def line(self, text: str) -> None:
        """Prints a line that is not wrapped."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def lines(self, lines: Sequence[tuple[str, str]]) -> None:
        """Prints labelled lines."""
        width = max(len(label) for label, _ in lines)
        for label, text in lines:
            self.console.print(f"[dim]{label:<{width}}[/dim]  ", end="")
            self.line(text)

    def missing(self, at_hand: AtHand) -> None:
        """Says which networks are compared, and what would bring in others."""
        names = dict.fromkeys(trunk.network for trunk in at_hand.trunks)
        self.lines([("compared", ", ".join(names)), *(("not at hand", each) for each in at_hand.missing)])

    @contextmanager
    def progress(self, what: str, total: int, already: int = 0) -> Iterator[Bar]:
        """A bar with the time that is left; nothing where there is no terminal."""
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        disable = not can_move(self.console)
        with in_place(Progress(*columns, console=self.console, transient=True, disable=disable)) as progress:
            yield Bar(progress, progress.add_task(what, total=total, completed=already))

    def candidates(self, candidates: Sequence[Candidate]) -> None:
        """Prints what the trunks bring and cost, the best first, those given up early last."""
        table = Table(
            Column("trunk", no_wrap=True), Column("accuracy", justify="right"), Column("on test", justify="right"),
            Column("int8", justify="right"), Column("size", justify="right"), "", box=box.SIMPLE_HEAD, pad_edge=False,
        )  # fmt: skip
        for candidate in sorted(candidates, key=lambda c: (bool(c.reason), -c.accuracy)):
            table.add_row(
                candidate.name,
                f"{candidate.accuracy:.1%}",
                "" if candidate.held_out is None else f"{candidate.held_out:.1%}",
                f"{candidate.costs.latency_ms:.2f} ms" if candidate.costs else "",
                f"{candidate.costs.size_mb:.2f} MB" if candidate.costs else "",
                f"given up after {candidate.pictures} pictures: {candidate.reason}" if candidate.reason else "",
            )
        print_table(self.console, table)
        self.line("accuracy: of a linear head on the trunk's features, each picture left out in turn")

    def choice(self, chosen: Candidate, reason: str, picture: Path) -> None:
        """Says which trunk is taken, why, and how to take another."""
        self.lines(
            [
                ("taken", f"{chosen.name}: {reason}"),
                ("otherwise", "--choose NAME takes another, --under and --over set limits"),
                ("picture", str(picture)),
            ]
        )
