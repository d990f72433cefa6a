"""How near a file's answers are to the network's, and whether that is near enough: asked of every file in one way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_inception import preprocess_input

from ..errors import ExportError, quiet
from ..network.deploying import deploy, predictions
from ..running.timing import compiled
from .limits import Limits

_BATCH = 64


@dataclass(frozen=True)
class Likeness:
    """What a file's answers have in common with those of the float32 twin; `Row` explains each."""

    difference: float
    agreement: float
    top5_agreement: float
    accuracy: float | None


class Yardstick:
    """What files are held against: the answers of a network's float32 twin to real images.

    Args:
        model: The network that was exported.
        images: uint8 [n, h, w, c].
        labels: Class indices [n], or None.
        limits: What a file may differ by.
        classes: How many classes the files tell apart.
        preprocessing: Of a network without one inside, its name.
        output: What the files answer.

    Attributes:
        given: The network as it is, as a function of pixels.
        own: What its answers have in common with those of its twin.

    Raises:
        ExportError: The network or the labels are of another number of classes.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        labels: np.ndarray | None,
        limits: Limits,
        *,
        classes: int,
        preprocessing: str | None,
        output: Literal["probabilities", "logits"],
    ) -> None:
        self.images, self.labels, self.limits = images, labels, limits
        network = deploy(model, preprocessing=preprocessing, output=output)
        if network.output_shape[-1] != classes:
            raise ExportError(
                f"The model must have the export's {classes} classes. Received: {network.output_shape[-1]}."
            )
        if labels is not None and not (labels.min() >= 0 and labels.max() < classes):
            raise ExportError(
                f"Labels must be class indices below {classes}. Received: {labels.min()} to {labels.max()}."
            )
        twin = compiled(network)
        # A model as it is answers probabilities; of logits there is no more to compare than its twin's.
        self.given = twin if output == "logits" else _as_it_is(model, preprocessing)
        with quiet():
            self.reference = self._answers(twin)
        self.own = self.likeness(self.given)

    def likeness(self, call: Callable[[np.ndarray], Any]) -> Likeness:
        """Compares a file, as a function of pixels, with the twin."""
        with quiet():
            answer = self._answers(call)
        first, expected = answer.argmax(1), self.reference.argmax(1)
        five = np.argsort(-answer, axis=1, kind="stable")[:, :5]
        return Likeness(
            difference=float(np.abs(answer - self.reference).max()),
            agreement=float((first == expected).mean()),
            top5_agreement=float((five == expected[:, None]).any(1).mean()),
            accuracy=None if self.labels is None else float((first == self.labels).mean()),
        )

    def failures(self, found: Likeness, mode: str, *, who: str = "", precision: str = "") -> list[str]:
        """A sentence for every limit that a file passes.

        Args:
            found: What was measured of it.
            mode: Its mode, or `"keras"`.
            who: Its name.
            precision: Of a Keras model, its compute dtype.
        """
        limits, sentences = self.limits, []
        limit = limits.difference_of(mode, precision)
        # Written so that a NaN fails.
        if limit is not None and not found.difference <= limit:
            sentences.append(f"{who} must differ by {limit:g} at most. Received: {found.difference:.3g}.")
        if limits.agreement is not None and not found.agreement >= limits.agreement:
            sentences.append(
                f"{who} must agree on {limits.agreement:.1%} of the images. Received: {found.agreement:.2%}."
            )
        if limits.accuracy_loss is not None and found.accuracy is not None and self.own.accuracy is not None:
            loss = self.own.accuracy - found.accuracy
            if loss > limits.accuracy_loss:
                sentences.append(f"{who} must lose {limits.accuracy_loss:.1%} accuracy at most. Received: {loss:.2%}.")
        return sentences

    def _answers(self, call: Callable[[np.ndarray], Any]) -> np.ndarray:
        starts = range(0, len(self.images), _BATCH)
        return np.concatenate([call(self.images[start : start + _BATCH]) for start in starts])


def precision_of(model: keras.Model) -> str:
    """The dtype that the model's layers compute in: a 16-bit one where any layer does."""
    kinds = {str(getattr(layer, "compute_dtype", "float32")) for layer in model.layers}
    return next((kind for kind in ("float16", "bfloat16") if kind in kinds), "float32")


def _as_it_is(model: keras.Model, preprocessing: str | None) -> Callable[[np.ndarray], np.ndarray]:
    """The Keras model itself as a function of pixels, whatever it was trained in."""
    function = compiled(model)

    def call(images: np.ndarray) -> np.ndarray:
        raw = images if preprocessing is None else preprocess_input(images, preprocessing)
        return np.asarray(predictions(function(raw)), "float32")

    return call
