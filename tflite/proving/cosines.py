"""How near a file's embeddings are to the network's: by the cosine of each image's two vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_inception import embedding

from ..errors import ExportError, quiet
from ..network.deploying import EMBEDDING, Output, deploy
from ..running.timing import compiled
from .limits import Limits
from .measuring import Likeness, Yardstick, answers_of, as_it_is


class CosineYardstick:
    """What files that answer an embedding are held against: the vectors of a network's float32 twin of real images.

    Args:
        model: The network that was exported.
        images: uint8 [n, h, w, c].
        limits: What a file may differ by.
        features: Length of the files' vectors.
        preprocessing: Of a network without one inside, its name.

    Attributes:
        given: The network's embedding as it is, as a function of pixels.
        own: What its vectors have in common with those of its twin.

    Raises:
        ExportError: The network's vectors have another length.
    """

    def __init__(
        self, model: keras.Model, images: np.ndarray, limits: Limits, *, features: int, preprocessing: str | None
    ) -> None:
        self.images, self.limits = images, limits
        twin = deploy(model, preprocessing=preprocessing, output=EMBEDDING)
        if twin.output_shape[-1] != features:
            raise ExportError(
                f"The model must have the export's {features} features. Received: {twin.output_shape[-1]}."
            )
        self.given = as_it_is(embedding(model), preprocessing)
        with quiet():
            self.reference = _of_unit_length(answers_of(compiled(twin), images))
        self.own = self.likeness(self.given)

    def likeness(self, call: Callable[[np.ndarray], Any]) -> Likeness:
        """Compares a file, as a function of pixels, with the twin; only where its vectors point counts."""
        with quiet():
            answers = answers_of(call, self.images)
        return self.compare(answers)

    def compare(self, answer: np.ndarray, which: Any = slice(None)) -> Likeness:
        """Compares a file's answers to some of the images with the twin's."""
        vectors, reference = _of_unit_length(answer), self.reference[which]
        cosines = (vectors * reference).sum(axis=1, dtype=np.float64)
        return Likeness(
            difference=float(np.abs(vectors - reference).max()),
            cosine=float(cosines.mean()),
            smallest_cosine=float(cosines.min()),
        )

    def failures(self, found: Likeness, mode: str, *, who: str = "", precision: str = "") -> list[str]:
        """A sentence for every limit that a file passes; see `Yardstick.failures`."""
        sentences = []
        limit = self.limits.difference_of(mode, precision)
        # Written so that a NaN fails.
        if limit is not None and not found.difference <= limit:
            sentences.append(f"{who} must differ by {limit:g} at most. Received: {found.difference:.3g}.")
        cosine = self.limits.cosine_of(mode)
        if cosine is not None and not (found.smallest_cosine or 0) >= cosine:
            sentences.append(
                f"{who} must answer every image within a cosine of {cosine:g}. Received: {found.smallest_cosine:.6g}."
            )
        return sentences


AnyYardstick: TypeAlias = Yardstick | CosineYardstick


def yardstick_for(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray | None,
    limits: Limits,
    *,
    answers: int,
    preprocessing: str | None,
    output: Output,
    thresholds: Sequence[float] | None = None,
) -> AnyYardstick:
    """What files are held against, by what they answer; `answers` is how many numbers that are."""
    if output == EMBEDDING:
        return CosineYardstick(model, images, limits, features=answers, preprocessing=preprocessing)
    return Yardstick(
        model,
        images,
        labels,
        limits,
        classes=answers,
        preprocessing=preprocessing,
        output=output,
        thresholds=thresholds,
    )


def _of_unit_length(vectors: np.ndarray) -> np.ndarray:
    """The vectors divided by their lengths; those without one as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)
