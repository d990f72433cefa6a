"""The pictures on which a file says another thing than the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SHOWN = 12
"""Pictures a file, at most."""


class Heard:
    """A file as a function of pixels, whose answers stay at hand, so that none is asked for twice."""

    def __init__(self, call: Callable[[np.ndarray], Any]) -> None:
        self._call, self._heard = call, list[np.ndarray]()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Asks the file, and remembers."""
        answer = np.asarray(self._call(images))
        self._heard.append(answer)
        return answer

    @property
    def answers(self) -> np.ndarray:
        """All that was answered, in order: [n, classes]."""
        return np.concatenate(self._heard)


@dataclass(frozen=True, eq=False)
class Differing:
    """A picture on which a file and the network differ.

    Attributes:
        index: Among the proof's images.
        pixels: uint8 [height, width, channels].
        by_network: Classes that the network finds, each with its probability.
        by_file: Those that the file finds.
        labels: The right classes; None where they are not known.
    """

    index: int
    pixels: np.ndarray
    by_network: tuple[tuple[int, float], ...]
    by_file: tuple[tuple[int, float], ...]
    labels: tuple[int, ...] | None


def differing(
    reference: np.ndarray,
    answers: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray | None,
    thresholds: Sequence[float] | None,
) -> tuple[int, list[Differing]]:
    """Finds the pictures whose classes are others, those first whose answers are furthest apart.

    Args:
        reference: What the network answers, [n, classes].
        answers: What a file answers.
        images: uint8 [n, height, width, channels].
        labels: Class indices [n], or zeros and ones [n, classes]; None: unknown.
        thresholds: What the probability of each class exceeds where it is found; None: the likeliest class is.

    Returns:
        How many there are, and `SHOWN` of them at most.
    """
    found, sought = _found(answers, thresholds), _found(reference, thresholds)
    others = np.flatnonzero((found != sought).any(axis=1))
    apart = np.abs(answers - reference)[others].max(axis=1) if len(others) else np.zeros(0)
    shown = others[np.argsort(-apart, kind="stable")][:SHOWN]
    rows = [
        Differing(
            int(index),
            images[index],
            _told(reference[index], sought[index]),
            _told(answers[index], found[index]),
            None if labels is None else _classes(labels[index]),
        )
        for index in shown
    ]
    return len(others), rows


def _found(answers: np.ndarray, thresholds: Sequence[float] | None) -> np.ndarray:
    """Which classes are found: bool [n, classes]."""
    if thresholds is not None:
        return np.asarray(answers > np.array(thresholds, np.float32))
    return np.asarray(np.arange(answers.shape[1]) == answers.argmax(axis=1)[:, None])


def _told(answer: np.ndarray, found: np.ndarray) -> tuple[tuple[int, float], ...]:
    return tuple((int(index), float(answer[index])) for index in np.flatnonzero(found))


def _classes(label: np.ndarray) -> tuple[int, ...]:
    return (int(label),) if np.ndim(label) == 0 else tuple(int(index) for index in np.flatnonzero(label))
