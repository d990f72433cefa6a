"""What a search shows while it runs: a live table on a terminal, a plain line a trial elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from keras_inception.showing import html_table

from .outcomes import (
    BEYOND,
    COSTS,
    TFLITE_COSTS,
    Goal,
    Outcome,
    differing,
    duration,
    known_costs,
    pairs,
    plain,
    searched,
    show,
    verdict,
    why,
)
from .settings import SearchPlan

ROWS = 15
"""Most recent trials that the table shows, fewer on a low terminal."""
WIDE = 130
"""Columns from which a terminal shows every cost; a narrower one shows those that the search is after, if any."""
_AROUND = 7  # lines of a terminal that are no trials: the head, the foot and the best trial
_COLOURS = {"completed": "green", "rejected": "bright_black", BEYOND: "yellow", "running": "cyan"}
_NOUNS = {"parameters": " weights", "multiply_adds": " multiply-adds"}


@dataclass(frozen=True)
class Running:
    """A trial that is being trained.

    Attributes:
        trial: its id.
        values: its hyperparameters.
        epoch: epochs that it has finished.
        epochs: how many it shall have.
        accuracy: validation accuracy of its last epoch, 0..1.
        seconds: since it began.
    """

    trial: str
    values: dict[str, Any]
    epoch: int
    epochs: int
    accuracy: float | None
    seconds: float


class Display:
    """Shows a search on a console.

    Args:
        console: where to.
        plan: what is searched.
        total: trials to train, not counting rejected ones; None where the tuner alone knows.
        workers: how many trials are trained at once.
    """

    def __init__(self, console: Console, plan: SearchPlan, total: int | None, workers: int = 1) -> None:
        self.console, self.plan, self.total, self.workers = console, plan, total, workers
        goal = plan.search.goal
        self.costs = [cost for cost in COSTS if cost not in TFLITE_COSTS or goal.needs_tflite]
        self._live: Live | None = None
        self._told: set[str] = set()

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, vertical_overflow="visible")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def update(self, outcomes: Sequence[Outcome], running: Sequence[Running]) -> None:
        """Shows where the search is.

        Args:
            outcomes: of the trials that ended, in the order in which they began.
            running: the trials that are being trained.
        """
        if self._live:
            self._live.update(Group(self._table(outcomes, running), self._foot(outcomes, running)), refresh=True)
            return
        for outcome in outcomes:
            if outcome.trial not in self._told:
                self._told.add(outcome.trial)
                known = [other for other in outcomes if other.trial in self._told]
                self.console.print(self._line(outcome, known), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Gives the terminal back, also after an error; the last table stays."""
        if self._live:
            self._live.stop()
            self._live = None

    def _line(self, outcome: Outcome, known: Sequence[Outcome]) -> str:
        """A trial that has ended, among those that ended before it."""
        goal = self.plan.search.goal
        parts = [f"trial {outcome.trial}", verdict(goal, outcome)]
        if outcome.accuracy is not None:
            parts.append(show("accuracy", outcome.accuracy))
        for cost in self.costs:
            value = getattr(outcome, cost)
            if value is not None:
                parts.append(show(cost, value) + _NOUNS.get(cost, ""))
        if outcome.seconds:
            parts.append(duration(outcome.seconds))
        if goal.best(known) is outcome:
            parts.append("best")
        parts += [pairs(searched(outcome.values)), why(goal, outcome)]
        return "  ".join(part for part in parts if part)

    def _table(self, outcomes: Sequence[Outcome], running: Sequence[Running]) -> Table:
        """The best trial where it is not among the latest, the latest that ended, and those that run."""
        goal = self.plan.search.goal
        best = goal.best(outcomes)
        varying = differing([*(outcome.values for outcome in outcomes), *(trial.values for trial in running)])
        aims = [cost for cost in self.costs if cost in (goal.objective, *goal.limits, *goal.weights)]
        figures = ["accuracy", *(aims if aims and self.console.width < WIDE else self.costs)]
        room = max(min(ROWS, self.console.height - _AROUND) - len(running), 1)
        latest = list(outcomes[-room:])
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
        table.add_column("trial", no_wrap=True)
        table.add_column("outcome", no_wrap=True)
        for name in (*figures, "epochs", "time"):
            words = _NOUNS.get(name, plain(name)).strip()
            table.add_column(words.replace("multiply-adds", "multiply-\nadds"), justify="right", no_wrap=True)
        table.add_column("values", no_wrap=True, overflow="ellipsis", ratio=1)
        for outcome in [*([best] if best and best not in latest else []), *latest]:
            word = verdict(goal, outcome)
            measures = {name: getattr(outcome, name) for name in figures}
            table.add_row(
                outcome.trial,
                Text("best" if outcome is best else word, style="bold green" if outcome is best else _colour(word)),
                *("" if value is None else show(name, value) for name, value in measures.items()),
                str(outcome.epochs or ""),
                duration(outcome.seconds) if outcome.seconds else "",
                Text.assemble(
                    (why(goal, outcome) + "  " if why(goal, outcome) else "", _colour(word)),
                    _some(outcome.values, varying),
                ),
                style="bold" if outcome is best else "",
            )
        for trial in running:
            table.add_row(
                trial.trial,
                Text("running", style=_colour("running")),
                "" if trial.accuracy is None else show("accuracy", trial.accuracy),
                *([""] * (len(figures) - 1)),
                f"{trial.epoch}/{trial.epochs}",
                duration(trial.seconds),
                Text(_some(trial.values, varying)),
            )
        return table

    def _foot(self, outcomes: Sequence[Outcome], running: Sequence[Running]) -> Text:
        """The best so far, how many trials are done and how long the others will take."""
        goal = self.plan.search.goal
        best = goal.best(outcomes)
        done = sum(outcome.status != "rejected" for outcome in outcomes)
        parts = [f"{done} / {self.total} trials" if self.total else f"{done} trials"]
        if best:
            parts.insert(0, f"best {goal.name} {show(goal.objective, goal.figure(best))} (trial {best.trial})")
        rejected = len(outcomes) - done
        failed = sum(outcome.status not in ("completed", "rejected") for outcome in outcomes)
        parts += [f"{count} {word}" for count, word in ((rejected, "rejected"), (failed, "failed")) if count]
        left = self.seconds_left(outcomes, running)
        if left:
            parts.append(f"time left {duration(left)}")
        return Text("\n" + "   ".join(parts), style="bold")

    def seconds_left(self, outcomes: Sequence[Outcome], running: Sequence[Running]) -> float | None:
        """How long the trials to come will take; None where that is unknown."""
        times = [outcome.seconds for outcome in outcomes if outcome.status != "rejected" and outcome.seconds]
        if not times or not self.total:
            return None
        mean = sum(times) / len(times)
        remaining = max(self.total - sum(outcome.status != "rejected" for outcome in outcomes), 0)
        spent = sum(min(trial.seconds, mean) for trial in running[:remaining])
        return max(mean * remaining - spent, 0.0) / min(self.workers, max(remaining, 1))


def html_of_trials(goal: Goal, outcomes: Sequence[Outcome]) -> str:
    """All trials of a search as a table for a notebook, in the order in which they began."""
    best, costs = goal.best(outcomes), known_costs(outcomes)
    varying = differing(outcome.values for outcome in outcomes)
    figures = ["accuracy", *costs]
    rows = []
    for outcome in outcomes:
        measures = [getattr(outcome, name) for name in figures]
        rows.append(
            [
                outcome.trial,
                "best" if outcome is best else verdict(goal, outcome),
                *("" if value is None else show(name, value) for name, value in zip(figures, measures, strict=True)),
                outcome.epochs or "",
                duration(outcome.seconds) if outcome.seconds else "",
                "  ".join(filter(None, [why(goal, outcome), _some(outcome.values, varying)])),
            ]
        )
    words = [_NOUNS.get(name, plain(name)).strip() for name in figures]
    heading = ["trial", "outcome", *words, "epochs", "time", "values"]
    chosen = [place for place, outcome in enumerate(outcomes) if outcome is best]
    return html_table(rows, heading, left=(0, 1, len(heading) - 1), bold=chosen)


def _colour(word: str) -> str:
    return _COLOURS.get(word, "red")


def _some(values: Mapping[str, Any], names: Sequence[str]) -> str:
    """The hyperparameters that tell trials apart; all of them where one trial is alone."""
    chosen = searched(values)
    return pairs({name: value for name, value in chosen.items() if name in names or not names})
