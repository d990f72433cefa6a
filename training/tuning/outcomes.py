"""What became of a trial, what a search is after, and the words for both in reports and tables."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..files import write_text

Status = Literal["completed", "rejected", "out_of_memory", "diverged", "killed", "crashed"]
OUTCOME = "outcome.json"
COSTS = {  # name: (unit, decimals) of what is to be small
    "parameters": ("M", 2),
    "multiply_adds": ("M", 2),
    "size_mb": ("MB", 2),
    "latency_ms": ("ms", 2),
}
TFLITE_COSTS = ("size_mb", "latency_ms")
OBJECTIVES = ("accuracy", "loss", *COSTS)
_FAILED = -2.0
BOOKKEEPING = "tuner/"
"""What KerasTuner's Hyperband puts before the names of values that it keeps for itself."""
BEYOND = "beyond a limit"


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: its id.
        status: completed; rejected before it was trained (over a limit, or not a network); out_of_memory; diverged
            (the loss was no longer a number); killed (by a signal); crashed (any other error).
        reason: one sentence where it was not completed.
        values: the hyperparameters' values.
        accuracy: validation accuracy of the best epoch, 0..1.
        loss: validation loss of the predictions in that epoch.
        epochs: how many were trained, those of the trial that it continues included.
        parameters: trainable weights of the network without auxiliary heads.
        multiply_adds: multiply-adds for one image, likewise.
        size_mb: size of the TFLite file, where the search asks for it.
        latency_ms: its median latency for one image on this machine, likewise.
        seconds: how long its last attempt took, all included.
    """

    trial: str
    status: Status
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    accuracy: float | None = None
    loss: float | None = None
    epochs: int = 0
    parameters: int | None = None
    multiply_adds: int | None = None
    size_mb: float | None = None
    latency_ms: float | None = None
    seconds: float = 0.0

    def write(self, folder: Path) -> None:
        """Writes outcome.json into a trial's folder, whole or not at all."""
        write_text(folder / OUTCOME, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Outcome | None":
        """Reads a trial's outcome; None where it has none yet."""
        try:
            return cls(**json.loads((folder / OUTCOME).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class Goal:
    """What a search is after: the best of one figure, within limits, maybe weighed against costs.

    Attributes:
        objective: accuracy is to be large; loss and the costs (parameters, multiply_adds, size_mb, latency_ms) small.
        limits: the largest value of a cost, or the smallest accuracy, that a trial may have.
        weights: what a unit of a cost is worth in accuracy, which is then reduced by it: `{"latency_ms": 0.01}` gives
            up a point of accuracy for a millisecond.

    Raises:
        ValueError: for an unknown name, or a value that is not positive.
    """

    objective: str = "accuracy"
    limits: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"The objective must be one of {', '.join(OBJECTIVES)}. Received: {self.objective!r}")
        for what, given, known in (
            ("A limit", self.limits, ("accuracy", *COSTS)),
            ("A weight", self.weights, tuple(COSTS)),
        ):
            for name, value in given.items():
                if name not in known:
                    raise ValueError(f"{what} must be on one of {', '.join(known)}. Received: {name!r}")
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                    raise ValueError(f"{what} must be a number above 0. Received: {name}={value}")
        if self.weights and self.objective != "accuracy":
            raise ValueError(f"Weights reduce the objective accuracy. Received: objective {self.objective}")
        if not 0 < self.limits.get("accuracy", 0.5) <= 1:
            raise ValueError(f"A limit on accuracy must be at most 1. Received: {self.limits['accuracy']}")

    @property
    def name(self) -> str:
        """What is to be best, in words."""
        return "accuracy less costs" if self.weights else plain(self.objective)

    @property
    def needs_tflite(self) -> bool:
        """Whether a cost of the TFLite file is asked for."""
        return any(name in TFLITE_COSTS for name in (self.objective, *self.limits, *self.weights))

    def violation(self, outcome: Outcome) -> tuple[float, str]:
        """By what share the known figures of a trial break the limits, and the worst case in words."""
        worst, words = 0.0, ""
        for name, bound in self.limits.items():
            value = getattr(outcome, name)
            if value is None:
                continue
            share = (bound - value) / bound if name == "accuracy" else (value - bound) / bound
            if share > worst:
                side = "at least" if name == "accuracy" else "at most"
                worst, words = share, f"{name} must be {side} {show(name, bound)}. Received: {show(name, value)}"
        return worst, words

    def meets(self, outcome: Outcome) -> bool:
        """Whether a trial was completed within the limits."""
        return outcome.status == "completed" and self.violation(outcome)[0] == 0

    def value(self, outcome: Outcome) -> float:
        """The figure that is to be large, of a completed trial."""
        if self.objective == "accuracy":
            costs = sum(weight * _in_units(name, getattr(outcome, name)) for name, weight in self.weights.items())
            return float(outcome.accuracy or 0.0) - costs
        return -float(_in_units(self.objective, getattr(outcome, self.objective)))

    def figure(self, outcome: Outcome) -> float:
        """The figure of a completed trial that reports show: accuracy less costs where those are weighed."""
        return self.value(outcome) if self.objective == "accuracy" else float(getattr(outcome, self.objective))

    def score(self, outcome: Outcome) -> float:
        """What the search's oracle is told, the larger the better: every trial has a score, good or not.

        A trial beyond a limit ranks below accuracy 0 by how far it is beyond, a failed one lower still: so that an
        oracle that learns from scores learns to stay away. Costs, which have no largest value, come as 1 / (1 + cost),
        and accuracy less costs likewise by what it lacks to 1, so that both stay above 0.
        """
        excess = min(self.violation(outcome)[0], 1.0)
        if excess:
            return -excess
        if outcome.status != "completed":
            return _FAILED
        value = self.value(outcome)
        if self.objective == "accuracy":
            return 1 / (2 - value) if self.weights else value
        return 1 / (1 - value)

    def best(self, outcomes: Iterable[Outcome]) -> Outcome | None:
        """The best trial within the limits; of those that were trained longest, since others were left behind."""
        good = [outcome for outcome in outcomes if self.meets(outcome)]
        most = max((outcome.epochs for outcome in good), default=0)
        return max((o for o in good if o.epochs == most), key=self.value, default=None)


def pareto_front(outcomes: Sequence[Outcome], cost: str) -> list[Outcome]:
    """The completed trials that no other beats in accuracy and in a cost at once, cheapest first."""
    known = [o for o in outcomes if o.status == "completed" and getattr(o, cost) is not None]
    front: list[Outcome] = []
    for outcome in sorted(known, key=lambda o: (getattr(o, cost), -(o.accuracy or 0))):
        if not front or (outcome.accuracy or 0) > (front[-1].accuracy or 0):
            front.append(outcome)
    return front


def show(name: str, value: float) -> str:
    """A figure with its unit."""
    if name == "accuracy":
        return f"{100 * value:.2f} %"
    if name not in COSTS:
        return f"{value:.4f}"
    unit, decimals = COSTS[name]
    return f"{_in_units(name, value):,.{decimals}f} {unit}"


def _in_units(name: str, value: float) -> float:
    """Counts in millions; all else is in its unit already."""
    return value / 1e6 if COSTS.get(name, ("",))[0] == "M" else value


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
