"""How far the answers of an exported network can be trusted: what its files say of that, and export.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ExportError


@dataclass(frozen=True)
class Trust:
    """What is known of a network's probabilities, of one label an image, and of its limit for strangers.

    Attributes:
        coverage: By the share of images whose class shall be among the candidates, the probability that a candidate
            has at least, as `keras_inception.training.coverage_thresholds` finds them; None: too few images told it.
        score_threshold: A level of `coverage` whose threshold TFLite metadata give as the least score of each class,
            which mediapipe's ImageClassifier applies; None: they give none.
        temperature: What the logits were divided by in calibration: the proof tells the calibration error without it,
            too.
        keep: Share of the known images that are not beyond the limit; None: the files do not answer `unfamiliar`.
            `export` fills it in.

    Raises:
        ExportError: A level or threshold is no share, `score_threshold` no level with a threshold, or the temperature
            not above 0.
    """

    coverage: Mapping[float, float | None] = field(default_factory=dict)
    score_threshold: float | None = None
    temperature: float = 1.0
    keep: float | None = None

    def __post_init__(self) -> None:
        told = [value for value in self.coverage.values() if value is not None]
        if not all(0 < level < 1 for level in self.coverage) or not all(0 <= value <= 1 for value in told):
            raise ExportError(
                f"Coverage is a share between 0 and 1, its threshold a probability. Received: {dict(self.coverage)}."
            )
        if self.score_threshold is not None:
            self.threshold(self.score_threshold)
        if not 0 < self.temperature < float("inf"):
            raise ExportError(f"A temperature is a number above 0. Received: {self.temperature}.")

    def threshold(self, level: float) -> float:
        """The probability that a candidate has at least.

        Raises:
            ExportError: The level is none of `coverage`, or one that too few images told.
        """
        value = self.coverage.get(level)
        if value is None:
            levels = ", ".join(f"{known:g}" for known, told in self.coverage.items() if told is not None)
            what = "which too few images told" if level in self.coverage else "which is none of them"
            raise ExportError(
                f"A level of coverage must be one with a threshold ({levels or 'there is none'}). "
                f"Received: {level:g}, {what}."
            )
        return value

    def scores(self, classes: int) -> tuple[float, ...] | None:
        """What the score of each class exceeds by the score threshold; None without one.

        It is the number below the threshold: a candidate has at least the threshold.
        """
        if self.score_threshold is None:
            return None
        below = np.nextafter(np.float32(self.threshold(self.score_threshold)), np.float32(0))
        return (float(below),) * classes

    def to_json(self) -> dict[str, Any]:
        """The values as JSON has them."""
        told = {f"{level:g}": threshold for level, threshold in self.coverage.items()}
        return {
            "coverage": told,
            "score_threshold": self.score_threshold,
            "temperature": self.temperature,
            "unfamiliar_keeps": self.keep,
        }

    @classmethod
    def from_json(cls, values: Any) -> Trust:
        """Reads what `to_json` returned; raises one of several errors where it is something else."""
        coverage = {float(level): _share(threshold) for level, threshold in values["coverage"].items()}
        shares = _share(values["score_threshold"]), float(values["temperature"]), _share(values["unfamiliar_keeps"])
        return cls(coverage, *shares)


NOTHING_SAID = Trust()


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise ValueError
    return float(value)
