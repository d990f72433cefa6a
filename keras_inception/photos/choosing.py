"""Which trunk is taken: the most accurate that keeps the limits, with the reason in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_inception.photos.trunks import Trunk

UNDER, OVER = ("latency_ms", "size_mb"), ("accuracy",)


@dataclass(frozen=True)
class Costs:
    """What an int8 file costs."""

    latency_ms: float
    """Median for one picture on this machine."""
    size_mb: float
    """Millions of bytes."""


@dataclass(frozen=True)
class Candidate:
    """A trunk with what it brings and costs.

    Attributes:
        trunk: The trunk.
        accuracy: Of a linear head on its features, each picture left out in turn.
        pictures: How many pictures that accuracy is of.
        held_out: The same head's accuracy on the test pictures; None where they were not shown to it.
        costs: Of its int8 file; None where it was not measured.
        reason: Why it was given up early; empty where it was not.
    """

    trunk: Trunk
    accuracy: float
    pictures: int
    held_out: float | None = None
    costs: Costs | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """The trunk's."""
        return self.trunk.name


def check_limits(limits: Mapping[str, Any], known: Sequence[str], option: str) -> dict[str, float]:
    """Returns limits by name as numbers.

    Raises:
        ValueError: One is unknown or no positive number.
    """
    for name, value in limits.items():
        if name not in known:
            raise ValueError(f"{option} takes {', '.join(f'{each}=NUMBER' for each in known)}. Received: {name}")
        if isinstance(value, bool | str) or not value > 0:
            raise ValueError(f"{option} {name} must be a number of more than 0. Received: {value}")
    return {name: float(value) for name, value in limits.items()}


def check_name(named: str | None, trunks: Sequence[Trunk]) -> None:
    """Checks the name of the trunk to take.

    Raises:
        ValueError: None has it.
    """
    names = [trunk.name for trunk in trunks]
    if named is not None and named not in names:
        raise ValueError(f"--choose names one of {', '.join(names)}. Received: {named}")


def choose(
    candidates: Sequence[Candidate],
    *,
    under: Mapping[str, float],
    over: Mapping[str, float],
    named: str | None = None,
) -> tuple[Candidate, str]:
    """Chooses a candidate.

    Args:
        candidates: What there is; those given up early, or whose costs were not measured, are taken by name alone.
        under: Largest `latency_ms` and `size_mb`.
        over: Smallest `accuracy`: then the smallest file that reaches it, and the quickest of those, is taken.
        named: The name of the one to take, whatever it costs; `check_name` has seen it.

    Returns:
        The candidate, and why it was taken.

    Raises:
        ValueError: None keeps the limits.
    """
    if named is not None:
        return next(candidate for candidate in candidates if candidate.name == named), "because it was asked for"
    measured = {candidate: candidate.costs for candidate in candidates if candidate.costs and not candidate.reason}
    limits = " and ".join(f"{name} {value:g}" for name, value in under.items())

    def excess(candidate: Candidate) -> float:
        return max(getattr(measured[candidate], name) / value for name, value in under.items())

    within = [candidate for candidate in measured if not under or excess(candidate) <= 1]
    if not within:
        nearest = min(measured, key=excess)
        costs = " and ".join(f"{name} {getattr(measured[nearest], name):.3g}" for name in under)
        raise ValueError(f"No trunk keeps --under {limits}. Received: the nearest is {nearest.name} with {costs}")
    best = max(within, key=lambda candidate: (candidate.accuracy, -measured[candidate].latency_ms))
    among = f" of those under {limits}" if under else ""
    if "accuracy" not in over:
        return best, f"its features are the most accurate{among}"
    good = [candidate for candidate in within if candidate.accuracy >= over["accuracy"]]
    if not good:
        raise ValueError(
            f"No trunk's features reach --over accuracy {over['accuracy']:g}{among}. "
            f"Received: the nearest is {best.name} with {best.accuracy:.3f}"
        )
    chosen = min(good, key=lambda candidate: (round(measured[candidate].size_mb, 1), measured[candidate].latency_ms))
    return chosen, f"the smallest and quickest{among} whose features reach {over['accuracy']:.1%}"
