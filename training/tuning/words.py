"""What reports and tables call things: hyperparameters' values, outcomes, durations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .outcomes import COSTS, Goal, Outcome

BOOKKEEPING = "tuner/"
"""What KerasTuner's Hyperband puts before the names of values that it keeps for itself."""
BEYOND = "beyond a limit"


def searched(values: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's hyperparameters without what the tuner keeps among them for itself."""
    return {name: value for name, value in values.items() if not name.startswith(BOOKKEEPING)}


def differing(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the hyperparameters that are not the same in all trials; one that only some trials have is not."""
    rows = [searched(values) for values in trials]
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if len({repr(row[name]) if name in row else None for row in rows}) > 1]


def text(value: Any) -> str:
    """A hyperparameter's value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def pairs(values: Mapping[str, Any]) -> str:
    """Hyperparameters in one line."""
    return " ".join(f"{name}={text(value)}" for name, value in values.items())


def duration(seconds: float) -> str:
    """A time to three figures or so."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def plain(name: str) -> str:
    """A figure's name in words: size_mb is size."""
    words = name.removesuffix("_ms").removesuffix("_mb").replace("_", " ")
    return words.replace("multiply adds", "multiply-adds")


def verdict(goal: Goal, outcome: Outcome) -> str:
    """What became of a trial, in a word or three."""
    if outcome.status == "completed" and not goal.meets(outcome):
        return BEYOND
    return outcome.status.replace("_", " ")


def why(goal: Goal, outcome: Outcome) -> str:
    """Why a trial does not count, on one line; empty where it does."""
    reason = goal.violation(outcome)[1] if outcome.status == "completed" else outcome.reason
    return " ".join(reason.split())


def known_costs(outcomes: Sequence[Outcome]) -> list[str]:
    """The costs that some trial has."""
    return [cost for cost in COSTS if any(getattr(outcome, cost) is not None for outcome in outcomes)]
