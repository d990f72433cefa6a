"""How well labels are told where an image may have several: average precision, and F1 at a threshold a class."""

from dataclasses import dataclass

import numpy as np

NO_THRESHOLD = 0.5
_DIGITS = 6


@dataclass(frozen=True)
class ClassFigures:
    """How well one label is told; shares are None where the data has no image of it."""

    images: int
    """Images that have it."""
    average_precision: float | None
    """Mean precision over the images that have it, each at the probability that finds it."""
    threshold: float
    """The label is found where its probability is larger; chosen on validation images."""
    f1: float | None
    """At the threshold, as the next two."""
    precision: float | None
    """Share of the images with the label among those where it is found; None where it is found nowhere."""
    recall: float | None


@dataclass(frozen=True)
class LabelFigures:
    """How well labels are told, in the mean of the classes that the data has images of, and class by class."""

    mean_average_precision: float
    mean_f1: float
    by_class: dict[str, ClassFigures]


def label_figures(
    probabilities: np.ndarray, targets: np.ndarray, class_names: list[str], thresholds: np.ndarray
) -> LabelFigures:
    """Figures of probabilities [n, classes] for labels that are there or not, bool [n, classes]."""
    from sklearn.metrics import average_precision_score

    by_class = {}
    for i, name in enumerate(class_names):
        scores, there = probabilities[:, i], targets[:, i]
        found = scores > thresholds[i]
        hits, images = int((found & there).sum()), int(there.sum())
        by_class[name] = ClassFigures(
            images=images,
            average_precision=float(average_precision_score(there, scores)) if images else None,
            threshold=float(thresholds[i]),
            f1=2 * hits / (images + int(found.sum())) if images else None,
            precision=hits / int(found.sum()) if images and found.any() else None,
            recall=hits / images if images else None,
        )
    return LabelFigures(
        mean_average_precision=_mean([of_class.average_precision for of_class in by_class.values()]),
        mean_f1=_mean([of_class.f1 for of_class in by_class.values()]),
        by_class=by_class,
    )


def choose_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The thresholds [classes] at which F1 is largest on images that none was chosen on before.

    Each lies half way between two probabilities that occur, so that a small change of either decides nothing; of equal
    F1 the highest is taken. A class that no image has gets one half.

    Args:
        probabilities: [n, classes].
        targets: zeros and ones [n, classes].
    """
    chosen = [_threshold(scores, there > 0) for scores, there in zip(probabilities.T, targets.T, strict=True)]
    return np.array(chosen).round(_DIGITS)


def _threshold(scores: np.ndarray, there: np.ndarray) -> float:
    if not there.any():
        return NO_THRESHOLD
    values, first = np.unique(-scores, return_index=False, return_inverse=True)
    hits = np.cumsum(np.bincount(first, weights=there, minlength=len(values)))
    found = np.cumsum(np.bincount(first, minlength=len(values)))
    best = int((2 * hits / (found + there.sum())).argmax())
    lower = -values[best + 1] if best + 1 < len(values) else 0.0
    return float((-values[best] + lower) / 2)


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0
