"""Conformal thresholds: how likely a class must be to stay a candidate, so that the right one is often enough there.

Split conformal prediction, the probability of the right class as score: "Least Ambiguous Set-Valued Classifiers with
Bounded Error Levels", Sadinle, Lei and Wasserman, 2019, https://arxiv.org/abs/1609.00451. A picture's candidates are
all classes whose probability is at least the threshold. Nothing is assumed of the network; of the images, that they are
drawn as those to come.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

LEVELS = (0.9, 0.95, 0.99)


def coverage_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, levels: Sequence[float] = LEVELS
) -> dict[float, float | None]:
    """The thresholds at which the right class is among the candidates for given shares of images to come.

    Of n images the threshold is the k-th smallest probability of the right class, k = floor((n + 1) (1 - level)); that
    is the ceil((n + 1) level) / n quantile of one minus it. The promise is one on average over draws of the n images:
    on a draw, coverage differs by about sqrt(level (1 - level) / n).

    Args:
        probabilities: Of images that the network was not trained on, [n, classes].
        labels: Their classes, [n].
        levels: Shares of images, between 0 and 1.

    Returns:
        By level the threshold; None where n is too small to tell one: 90 % takes 9 images, 95 % 19 and 99 % 99.

    Raises:
        ValueError: where there is not a class index for each image, or a level is no share.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            "Coverage is told from probabilities [n, classes] and classes [n]. "
            f"Received: {probabilities.shape} and {labels.shape}"
        )
    if wrong := [level for level in levels if not 0 < level < 1]:
        raise ValueError(f"A level of coverage is a share between 0 and 1. Received: {wrong[0]}")
    count = len(labels)
    of_the_right = np.sort(probabilities[np.arange(count), labels.astype(int)])
    # 100 * (1 - 0.99) is below 1 in floating point.
    ranks = {level: int((count + 1) * (1 - Fraction(str(level)))) for level in levels}
    return {level: float(of_the_right[rank - 1]) if rank else None for level, rank in ranks.items()}
