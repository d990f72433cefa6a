"""What an evaluation finds: accuracy, calibration, what is confused with what, and which images are missed."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_inception.showing import html_table

from ..data.several import BAR
from .labels import ClassFigures, LabelFigures, label_figures

CALIBRATION_BINS = 15
WEAKEST = 5  # classes that are told


@dataclass(frozen=True)
class Miss:
    """A misclassified image: of several labels, one of which some is missed or found where it is not."""

    index: int
    """Its place in the evaluated split."""
    name: str
    """Its path, or its number in the data set."""
    label: str
    """What it shows; several labels with bars between."""
    predicted: str
    """What the network takes it for, likewise."""
    confidence: float
    """The probability that the network gives its mistake; of several, the worst one's."""


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
    """Mean cross-entropy, without label smoothing; of several labels an image, the sum over the classes."""
    accuracy: float
    """Share of images that are recognised; of several labels an image, of the decisions at the thresholds, a class of
    an image each, that are right."""
    top5: float | None
    """Share of images whose class is among the five likeliest; None with five classes or fewer."""
    per_class: dict[str, float | None]
    """Accuracy of each class, of several labels an image its recall; None where the data has no image of it."""
    confusion: list[list[int]]
    """Images by true class (row) and predicted class (column); empty where an image may have several labels."""
    misclassified: list[Miss]
    """Every miss, the most confident first."""
    calibration: Calibration
    """Of several labels an image: of each label's probability, against how often it is there."""
    crops: int = 1
    """Views of each image whose probabilities were averaged."""
    runs: list[str] = field(default_factory=list)
    """Run folders whose probabilities were averaged; empty for one network alone."""
    without: list[str] = field(default_factory=list)
    """What was asked to be left out."""
    with_all_images: Figures | None = None
    """The same with the images that were left out; None where none were."""
    labels: LabelFigures | None = None
    """Average precision, F1 and thresholds by class where an image may have several labels, else None."""

    def lines(self) -> list[tuple[str, str]]:
        """The figures in words, each with its label, and the classes that are missed most."""
        labels, everything = self.labels, self.with_all_images
        lines: list[tuple[str, str | None]] = [
            ("images", f"{self.images:,} ({self.data})"),
            ("networks", str(len(self.runs)) if self.runs else None),
            ("crops", str(self.crops) if self.crops > 1 else None),
            ("mAP", _percent(labels.mean_average_precision) if labels else None),
            ("F1", _percent(labels.mean_f1) if labels else None),
            ("decisions right" if labels else "accuracy", _percent(self.accuracy)),
            ("top-5 accuracy", _percent(self.top5)),
            ("loss", f"{self.loss:.4f}"),
            ("calibration error", _percent(self.calibration.error)),
            ("some label wrong" if labels else "misclassified", f"{len(self.misclassified):,}"),
        ]
        if everything:
            lines.append((f"accuracy of all {everything.images:,}", _percent(everything.accuracy)))
            lines.append((f"top-5 of all {everything.images:,}", _percent(everything.top5)))
        shares = self.per_class
        if labels:
            shares = {name: of_class.average_precision for name, of_class in labels.by_class.items()}
        known = sorted((share, name) for name, share in shares.items() if share is not None)
        weak = [
            (f"class {name}" + (", AP" if labels else ""), f"{100 * share:.1f} %")
            for share, name in known[:WEAKEST]
            if share < 1
        ]
        return [(label, figure) for label, figure in [*lines, *weak] if figure is not None]

    def _repr_html_(self) -> str:
        return html_table(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Evaluation":
        """Reads what `to_dict` returned."""
        everything, labels = values["with_all_images"], values.get("labels")
        if labels:
            by_class = {name: ClassFigures(**of_class) for name, of_class in labels["by_class"].items()}
            labels = LabelFigures(**{**labels, "by_class": by_class})
        read = {
            "labels": labels,
            "misclassified": [Miss(**miss) for miss in values["misclassified"]],
            "calibration": Calibration(**values["calibration"]),
            "with_all_images": everything and Figures(**everything),
        }
        return cls(**{**values, **read})


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"


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
        calibration=calibration(probabilities, labels),
    )


def summarise_labels(
    probabilities: np.ndarray,
    targets: np.ndarray,
    names: list[str],
    class_names: list[str],
    data: str,
    thresholds: np.ndarray,
) -> Evaluation:
    """Turns probabilities and zeros and ones [n, classes] into an evaluation of decisions at thresholds [classes]."""
    found, sought = probabilities > thresholds, targets > 0
    figures = label_figures(probabilities, sought, class_names, thresholds)
    wrong = np.where(found, probabilities, 1 - probabilities) * (found != sought)

    def told(labels: np.ndarray) -> str:
        return BAR.join(class_names[i] for i in np.flatnonzero(labels))

    misses = [
        Miss(int(i), names[i], told(sought[i]), told(found[i]), float(wrong[i].max()))
        for i in np.flatnonzero((found != sought).any(axis=1))
    ]
    return Evaluation(
        data=data,
        **dataclasses.asdict(_figures(probabilities, targets, thresholds)),
        per_class={name: of_class.recall for name, of_class in figures.by_class.items()},
        confusion=[],
        misclassified=sorted(misses, key=lambda miss: -miss.confidence),
        calibration=calibration(probabilities, targets),
        labels=figures,
    )


def _figures(probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray | None = None) -> Figures:
    count, classes = probabilities.shape
    if thresholds is not None:
        likely = np.clip(np.where(labels > 0, probabilities, 1 - probabilities), 1e-12, 1)
        return Figures(
            images=count,
            loss=float(-np.log(likely).sum(axis=1).mean()),
            accuracy=float(((probabilities > thresholds) == (labels > 0)).mean()),
            top5=None,
        )
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


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """How far probabilities [n, classes] can be believed, for classes [n] or zeros and ones [n, classes]."""
    if labels.ndim == 2:
        return _binned(probabilities.ravel(), labels.ravel() > 0)
    return _binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def _binned(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins: list[dict[str, float | int]] = []
    error = 0.0
    for number in np.unique(place):
        inside = place == number
        mean, share = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append({"images": int(inside.sum()), "confidence": mean, "accuracy": share})
        error += inside.mean() * abs(mean - share)
    return Calibration(float(error), bins)
