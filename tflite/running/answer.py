"""What a network says of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..files.trust import NOTHING_SAID, Trust


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture.

    Attributes:
        probabilities: float32 [classes]; logits where the export answers those.
        class_names: Names of the classes.
        thresholds: What the probability of each class exceeds where it is found; None: the likeliest class is.
        unfamiliar: How far the picture is from all that the network knows, 0 at the mean of a class, above 1 beyond
            the limit; None where the network does not tell.
        trust: What is known of the probabilities.
    """

    probabilities: np.ndarray
    class_names: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None
    unfamiliar: float | None = None
    trust: Trust = NOTHING_SAID

    @property
    def label(self) -> str:
        """Name of the likeliest class."""
        return self.class_names[int(self.probabilities.argmax())]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that are found, likeliest first: of several labels a picture maybe none."""
        if self.thresholds is None:
            return (self.label,)
        found = self.probabilities > np.array(self.thresholds, np.float32)
        order = np.argsort(-self.probabilities, kind="stable")
        return tuple(self.class_names[index] for index in order if found[index])

    @property
    def known(self) -> bool | None:
        """Whether the picture is like those that the network knows; None where it does not tell."""
        return None if self.unfamiliar is None else self.unfamiliar <= 1

    def candidates(self, coverage: float = 0.95) -> tuple[str, ...]:
        """Names of the classes among which the right one is with that chance, likeliest first; maybe none.

        Args:
            coverage: A level that the network has a threshold for: 0.9, 0.95 or 0.99.

        Raises:
            ExportError: It has none for that level.
        """
        least = np.float32(self.trust.threshold(coverage))
        order = np.argsort(-self.probabilities, kind="stable")
        return tuple(self.class_names[index] for index in order if self.probabilities[index] >= least)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes, name and probability, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]
