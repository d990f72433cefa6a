"""How near a file's answers are to the network's, and whether that is near enough: asked of every file in one way.

Of a softmax the first class counts. Where each answer is a decision of its own, as with sigmoids, or with the single
logit of a network of one output, a picture's classes are those beyond the threshold, and files must find the same ones;
where none is, the first class counts again: files of a network that finds nothing would agree on whatever they are.
Where every class has a threshold of its own, each decision about a picture and a class counts by itself, and mean
average precision tells the ranking beside them: of many classes that are seldom there, most decisions are easy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_inception import preprocess_input

from ..errors import ExportError, quiet
from ..network.deploying import Output, deploy, predictions
from ..network.graph import maker
from ..running.timing import compiled
from .limits import Limits

_BATCH = 64


@dataclass(frozen=True)
class Likeness:
    """What a file's answers have in common with those of the float32 twin; `Row` explains each."""

    difference: float
    agreement: float | None = None
    top5_agreement: float | None = None
    accuracy: float | None = None
    mean_average_precision: float | None = None
    cosine: float | None = None
    smallest_cosine: float | None = None


class Yardstick:
    """What files are held against: the answers of a network's float32 twin to real images.

    Args:
        model: The network that was exported.
        images: uint8 [n, h, w, c].
        labels: Class indices [n] (0 or 1 for one output), for sigmoids also zeros and ones [n, classes], or None.
        limits: What a file may differ by.
        classes: How many classes the files tell apart.
        preprocessing: Of a network without one inside, its name.
        output: What the files answer.
        thresholds: What the probability of each class exceeds where it is found; None: one half, of sigmoids.

    Attributes:
        given: The network as it is, as a function of pixels.
        own: What its answers have in common with those of its twin.
        twin: The twin.

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
        output: Output,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        self.images, self.labels, self.limits = images, labels, limits
        self.twin = network = deploy(model, preprocessing=preprocessing, output=output)
        if network.output_shape[-1] != classes:
            raise ExportError(
                f"The model must have the export's {classes} classes. Received: {network.output_shape[-1]}."
            )
        self._threshold: Any = _threshold(network)
        self.by_label = thresholds is not None
        if thresholds is not None:
            self._threshold = np.array(thresholds, np.float32)
        if labels is not None:
            _check_labels(labels, classes, decisions=self._threshold is not None)
        twin = compiled(network)
        # A model as it is answers probabilities; of logits there is no more to compare than its twin's.
        self.given = twin if output == "logits" else as_it_is(model, preprocessing)
        with quiet():
            self.reference = answers_of(twin, images)
        if self.by_label:
            self._there = self._labels_there(labels)
        self.own = self.likeness(self.given)

    def likeness(self, call: Callable[[np.ndarray], Any]) -> Likeness:
        """Compares a file, as a function of pixels, with the twin."""
        with quiet():
            answer = answers_of(call, self.images)
        return self.compare(answer)

    def compare(self, answer: np.ndarray, which: Any = slice(None)) -> Likeness:
        """Compares a file's answers to some of the images with the twin's."""
        reference = self.reference[which]
        if self.by_label:
            return self._likeness_by_label(answer, which)
        labels = None if self.labels is None else self.labels[which]
        first, expected = answer.argmax(1), reference.argmax(1)
        five = np.argsort(-answer, axis=1, kind="stable")[:, :5]
        agrees, holds = first == expected, (five == expected[:, None]).any(1)
        right = first == labels if labels is not None and labels.ndim == 1 else None
        if self._threshold is not None:
            found, sought = answer > self._threshold, reference > self._threshold
            agrees = (found == sought).all(1) & (agrees | sought.any(1))
            if answer.shape[1] == 1:  # one decision, which five guesses always hold
                holds = agrees
                right = None if labels is None else found[:, 0] == labels
            elif right is None and labels is not None:
                right = (found == labels).all(1)
        return Likeness(
            difference=float(np.abs(answer - reference).max()),
            agreement=float(agrees.mean()),
            top5_agreement=float(holds.mean()),
            accuracy=None if right is None else float(right.mean()),
        )

    def flips(self, answer: np.ndarray, other: np.ndarray) -> int:
        """On how many images two files' first classes differ; of a single output, its decisions."""
        if answer.shape[1] > 1:
            return int((answer.argmax(1) != other.argmax(1)).sum())
        return int(((answer > self._threshold) != (other > self._threshold)).sum())

    def _likeness_by_label(self, answer: np.ndarray, which: Any) -> Likeness:
        reference, there = self.reference[which], self._there[which]
        found, sought = answer > self._threshold, reference > self._threshold
        five = np.argsort(-answer, axis=1, kind="stable")[:, :5]
        return Likeness(
            difference=float(np.abs(answer - reference).max()),
            agreement=float((found == sought).mean()),
            top5_agreement=float((five == reference.argmax(1)[:, None]).any(1).mean()),
            accuracy=None if self.labels is None else float((found == there).mean()),
            mean_average_precision=mean_average_precision(answer, there),
        )

    def _labels_there(self, labels: np.ndarray | None) -> np.ndarray:
        """Which labels each image has: bool [n, classes]; those that the twin finds where none are known."""
        if labels is None:
            return self.reference > self._threshold
        classes = self.reference.shape[1]
        if labels.ndim == 1 and classes > 1:
            return np.eye(classes, dtype=bool)[labels.astype(int)]
        there: np.ndarray = labels.reshape(-1, classes) > 0
        return there

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
        agreement = limits.agreement_of(mode, by_label=self.by_label)
        if agreement is not None and not (found.agreement or 0) >= agreement:
            what = "decisions, a label of an image each" if self.by_label else "images"
            sentences.append(f"{who} must agree on {agreement:.1%} of the {what}. Received: {found.agreement:.2%}.")
        if self.by_label and limits.precision_loss is not None:
            loss = (self.own.mean_average_precision or 0) - (found.mean_average_precision or 0)
            if not loss <= limits.precision_loss:
                rule = f"{who} must lose {limits.precision_loss:.1%} mean average precision at most"
                sentences.append(f"{rule}. Received: {loss:.2%}.")
        if limits.accuracy_loss is not None and found.accuracy is not None and self.own.accuracy is not None:
            loss = self.own.accuracy - found.accuracy
            if loss > limits.accuracy_loss:
                sentences.append(f"{who} must lose {limits.accuracy_loss:.1%} accuracy at most. Received: {loss:.2%}.")
        return sentences


def answers_of(call: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    """What a file, as a function of pixels, answers to images, a few at a time."""
    return np.concatenate([call(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)])


def mean_average_precision(scores: np.ndarray, there: np.ndarray) -> float:
    """The mean over classes of the mean precision over the images that have it, each at the score that finds it.

    Args:
        scores: [n, classes].
        there: Which labels each image has, bool [n, classes]; classes that none has are left out.
    """
    precisions = []
    for of_class, labels in zip(scores.T, there.T, strict=True):
        if labels.any():
            values, place = np.unique(-of_class, return_inverse=True)  # equal scores find their images together
            found = np.cumsum(np.bincount(place, minlength=len(values)))
            hits = np.bincount(place, weights=labels, minlength=len(values))
            precisions.append(float((np.cumsum(hits) / found * hits).sum() / labels.sum()))
    return float(np.mean(precisions)) if precisions else 0.0


def has_decisions(network: keras.Model) -> bool:
    """Whether a network ends in sigmoids: each class is a decision of its own."""
    return _threshold(network) == 0.5


def _threshold(network: keras.Model) -> float | None:
    """What an answer of a network exceeds where the class is found; None where the largest answer is the class."""
    last, before = maker(network.outputs[0])
    while isinstance(last, keras.layers.Identity) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.linear
    ):
        last, before = maker(before)
    activation = getattr(last, "activation", None)
    if activation in (keras.activations.sigmoid, keras.activations.hard_sigmoid) or type(last).__name__ == "Sigmoid":
        return 0.5
    if network.output_shape[-1] > 1:
        return None
    if activation is keras.activations.softmax or isinstance(last, keras.layers.Softmax):
        raise ExportError(
            "A network of one output must end in a sigmoid or a logit: nothing can be proven of a softmax there, which "
            f"answers 1 whatever it sees. Received: {network.name} with {last.name!r}."
        )
    return 0.0


def _check_labels(labels: np.ndarray, classes: int, *, decisions: bool) -> None:
    if labels.ndim == 2 and not (decisions and classes == labels.shape[1] and np.isin(labels, (0, 1)).all()):
        what = f"zeros and ones for each of the {classes} classes, or class indices" if decisions else "class indices"
        raise ExportError(
            f"Labels must be {what}. Received: an array {labels.shape} from {labels.min():g} to {labels.max():g}."
        )
    most = 2 if classes == 1 else classes
    if labels.ndim == 1 and not (labels.min() >= 0 and labels.max() < most):
        raise ExportError(f"Labels must be class indices below {most}. Received: {labels.min()} to {labels.max()}.")


def precision_of(model: keras.Model) -> str:
    """The dtype that the model's layers compute in: a 16-bit one where any layer does."""
    kinds = {str(getattr(layer, "compute_dtype", "float32")) for layer in model.layers}
    return next((kind for kind in ("float16", "bfloat16") if kind in kinds), "float32")


def as_it_is(model: keras.Model, preprocessing: str | None) -> Callable[[np.ndarray], np.ndarray]:
    """The Keras model itself as a function of pixels, whatever it was trained in."""
    function = compiled(model)

    def call(images: np.ndarray) -> np.ndarray:
        raw = images if preprocessing is None else preprocess_input(images, preprocessing)
        return np.asarray(predictions(model, function(raw)), "float32")

    return call
