"""What an evaluation finds: accuracy, calibration, what is confused with what, and which images are missed."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Miss:
    """A misclassified image."""

    index: int
    """Its place in the evaluated split."""
    name: str
    """Its path, or its number in the data set."""
    label: str
    """What it shows."""
    predicted: str
    """What the network takes it for."""
    confidence: float
    """The probability that the network gives its mistake."""


@dataclass(frozen=True)
class Calibration:
    """Whether the network is right as often as it says it is."""

    error: float
    """Expected calibration error: the mean distance of confidence and accuracy over bins of equal width, weighted by
    their images (https://arxiv.org/abs/1706.04599)."""
    bins: list[dict[str, float | int]]
    """Images, mean confidence and accuracy of each bin that holds any, from unsure to sure."""


@dataclass(frozen=True)
class Figures:
    """The figures in short, for images that were partly left out."""

    images: int
    loss: float
    accuracy: float
    top5: float | None


@dataclass(frozen=True)
class Evaluation:
    """How well a network, or several together, does on a set of images."""

    data: str
    """What was evaluated: the name of a split, or a data specification."""
    images: int
    loss: float
    """Mean cross-entropy, without label smoothing."""
    accuracy: float
    top5: float | None
    """Share of images whose class is among the five likeliest; None with five classes or fewer."""
    per_class: dict[str, float | None]
    """Accuracy of each class; None where the data has no image of it."""
    confusion: list[list[int]]
    """Images by true class (row) and predicted class (column)."""
    misclassified: list[Miss]
    """Every miss, the most confident first."""
    calibration: Calibration
    crops: int = 1
    """Views of each image whose probabilities were averaged."""
    runs: list[str] = field(default_factory=list)
    """Run folders whose probabilities were averaged; empty for one network alone."""
    without: list[str] = field(default_factory=list)
    """What was asked to be left out."""
    with_all_images: Figures | None = None
    """The same with the images that were left out; None where none were."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Evaluation":
        """Reads what `to_dict` returned."""
        everything = values["with_all_images"]
        read = {
            "misclassified": [Miss(**miss) for miss in values["misclassified"]],
            "calibration": Calibration(**values["calibration"]),
            "with_all_images": everything and Figures(**everything),
        }
        return cls(**{**values, **read})


def summarise(
    probabilities: np.ndarray, labels: np.ndarray, names: list[str], class_names: list[str], data: str
) -> Evaluation:
    """Turns probabilities [n, classes] and labels [n] into an evaluation."""
    classes = len(class_names)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    totals = confusion.sum(axis=1)
    per_class = {name: float(confusion[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(class_names)}
    misses = [
        Miss(int(i), names[i], class_names[labels[i]], class_names[predicted[i]], float(probabilities[i, predicted[i]]))
        for i in np.flatnonzero(predicted != labels)
    ]
    return Evaluation(
        data=data,
        **dataclasses.asdict(_figures(probabilities, labels)),
        per_class=per_class,
        confusion=confusion.tolist(),
        misclassified=sorted(misses, key=lambda miss: -miss.confidence),
        calibration=_calibration(probabilities, labels),
    )


def _figures(probabilities: np.ndarray, labels: np.ndarray) -> Figures:
    count, classes = probabilities.shape
    top5 = None
    if classes > 5:
        likeliest = np.argpartition(probabilities, -5, axis=1)[:, -5:]
        top5 = float((likeliest == labels[:, None]).any(axis=1).mean())
    return Figures(
        images=count,
        loss=float(-np.log(np.maximum(probabilities[np.arange(count), labels], 1e-12)).mean()),
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        top5=top5,
    )


def _calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins: list[dict[str, float | int]] = []
    error = 0.0
    for number in np.unique(place):
        inside = place == number
        mean, share = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append({"images": int(inside.sum()), "confidence": mean, "accuracy": share})
        error += inside.mean() * abs(mean - share)
    return Calibration(float(error), bins)
