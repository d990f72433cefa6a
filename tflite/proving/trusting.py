"""How far answers can be trusted: what an export may say of that, and what is measured of it on real images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import keras
import numpy as np

from ..errors import ExportError, quiet
from ..files.tracing import OUTPUT, UNFAMILIAR, answering
from ..files.trust import Trust
from ..network.deploying import EMBEDDING
from ..network.familiarity import Familiarity, check_features, with_features
from .limits import Limits, Trusted
from .measuring import has_decisions

Answers: TypeAlias = Callable[[np.ndarray], Mapping[str, Any]]
_BATCH = 64
_BINS = 15


class TrustTest:
    """Real images that show what of its promises a file keeps.

    Args:
        trust: What the export says of its answers.
        familiarity: What its files tell strangers by, or None.
        twin: The network's float32 twin.
        images: uint8 [n, h, w, c].
        labels: Class indices [n], or others, or None.
        strangers: Images of nothing that the network knows, uint8 [m, h, w, c], or None.

    Attributes:
        reference: What the twin answers to pixels, all of it.
    """

    def __init__(
        self,
        trust: Trust,
        familiarity: Familiarity | None,
        twin: keras.Model,
        images: np.ndarray,
        labels: np.ndarray | None,
        strangers: np.ndarray | None,
    ) -> None:
        self._trust, self._known = trust, len(images)
        self._labels = None if labels is None or labels.ndim != 1 else labels.astype(int)
        self._images = images if strangers is None else np.concatenate([images, strangers])
        self.reference = _compiled(twin, familiarity)
        self._distances = None if familiarity is None else self._answers(self.reference)[UNFAMILIAR]

    def measure(self, answers: Answers) -> Trusted | None:
        """What was measured of a function of pixels to all that a file answers; None where it promises nothing."""
        with quiet():
            found = self._answers(answers)
        measured = self._of_probabilities(found[OUTPUT][: self._known])
        if self._distances is not None and UNFAMILIAR in found:
            measured |= self._of_distances(found[UNFAMILIAR], self._distances)
        return Trusted(**measured) if measured else None

    def _of_probabilities(self, probabilities: np.ndarray) -> dict[str, Any]:
        if self._labels is None or not self._trust.coverage:
            return {}
        right = probabilities[np.arange(len(probabilities)), self._labels]
        told = {level: np.float32(least) for level, least in self._trust.coverage.items() if least is not None}
        uncalibrated = None
        if self._trust.temperature != 1:
            powers = np.power(probabilities.astype("float64"), self._trust.temperature)
            uncalibrated = calibration_error(powers / powers.sum(axis=1, keepdims=True), self._labels)
        return {
            "coverage": {f"{level:g}": float((right >= least).mean()) for level, least in told.items()},
            "calibration_error": calibration_error(probabilities, self._labels),
            "uncalibrated_error": uncalibrated,
        }

    def _of_distances(self, distances: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
        friends, others = distances[: self._known], distances[self._known :]
        return {
            "difference": float(np.abs(distances - expected).max()),
            "agreement": float(((distances > 1) == (expected > 1)).mean()),
            "turned_away": float((friends > 1).mean()),
            "let_in": float((others <= 1).mean()) if len(others) else None,
        }

    def _answers(self, answers: Answers) -> dict[str, np.ndarray]:
        starts = range(0, len(self._images), _BATCH)
        parts = [answers(self._images[start : start + _BATCH]) for start in starts]
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def failures(found: Trusted | None, limits: Limits, *, who: str) -> list[str]:
    """A sentence for every limit that a file passes in telling strangers."""
    if found is None or found.agreement is None or limits.known_agreement is None:
        return []
    if found.agreement >= limits.known_agreement:
        return []
    rule = f"{who} must agree on {limits.known_agreement:.1%} of the images who is a stranger"
    return [f"{rule}. Received: {found.agreement:.2%}."]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The distance of confidence and accuracy, over bins of confidence and weighted by their images.

    Guo et al., 2017, https://arxiv.org/abs/1706.04599.

    Args:
        probabilities: [n, classes].
        labels: [n].
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def trust_for(twin: keras.Model, output: str, trust: Trust | None, familiarity: Familiarity | None) -> Trust:
    """What the files of an export say of their answers; see `export`.

    Raises:
        ExportError: The network answers no probabilities of one label, or its features are of another number.
    """
    if output == EMBEDDING and (trust is not None or familiarity is not None):
        raise ExportError("An embedding names no class that could be trusted. Received: trust or familiarity for one.")
    if trust is not None and trust.coverage and (output != "probabilities" or has_decisions(twin)):
        what = "a network that ends in sigmoids" if output == "probabilities" else output
        raise ExportError(f"Coverage is of probabilities of one label an image. Received: {what}.")
    if familiarity is not None:
        check_features(familiarity, twin)
    return replace(trust or Trust(), keep=None if familiarity is None else familiarity.keep)


def _compiled(twin: keras.Model, familiarity: Familiarity | None) -> Answers:
    import tensorflow as tf

    network = twin if familiarity is None else with_features(twin)
    function = tf.function(answering(lambda pixels: network(pixels, training=False), familiarity), autograph=False)
    return lambda images: {name: answer.numpy() for name, answer in function(tf.constant(images)).items()}
