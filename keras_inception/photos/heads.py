"""What a linear classifier reaches on a trunk's features, told without training one by steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PENALTIES = np.logspace(-2, 2, 13)  # relative to the mean eigenvalue
_LEAST = 1e-12  # of the largest eigenvalue: less is rounding


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A ridge classifier, and what it reaches on pictures that it was not fitted on.

    Attributes:
        hits: Whether each picture's class is found by the head that was fitted on all others, bool [n].
        kernel: [features, classes].
        bias: [classes].
        mean: Of the features, which are taken off first.
        scale: What they are divided by then.
    """

    hits: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @property
    def accuracy(self) -> float:
        """The share of hits."""
        return float(self.hits.mean())

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The classes of other pictures, [n]."""
        scores = (features - self.mean) / self.scale @ self.kernel + self.bias
        return np.argmax(scores, axis=1)


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int) -> LinearHead:
    """Fits a linear classifier by least squares with a penalty, and tells its leave-one-out accuracy.

    What a ridge regression answers for a picture when it was fitted on all others follows exactly from the one fit on
    all, by the picture's leverage (https://en.wikipedia.org/wiki/PRESS_statistic), so that leaving out each of a
    thousand costs no more than one fit. Mean and scale of the features are those of all pictures throughout. The
    penalty is the one with the smallest squared error of those answers.

    Args:
        features: [n, features].
        labels: Class indices [n].
        classes: How many classes there are.
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1  # a feature that never moves says nothing
    inputs = (features - mean) / scale
    targets = np.eye(classes)[labels]
    bias = targets.mean(axis=0)
    count = len(inputs)
    if count <= inputs.shape[1]:
        values, left = np.linalg.eigh(inputs @ inputs.T)
    else:
        values, right = np.linalg.eigh(inputs.T @ inputs)
        left = inputs @ right / np.sqrt(np.maximum(values, _LEAST * values[-1]))
    values = np.maximum(values, _LEAST * values[-1])
    projected = left.T @ (targets - bias)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for penalty in _PENALTIES * values.mean():
        kept = values / (values + penalty)
        fitted = left @ (kept[:, None] * projected)
        leverage = (left**2) @ kept + 1 / count  # of the bias as well
        errors = (targets - bias - fitted) / (1 - leverage)[:, None]
        error = float((errors**2).mean())
        if best is None or error < best[0]:
            kernel = inputs.T @ (left @ (projected / (values + penalty)[:, None]))
            best = error, np.argmax(targets - errors, axis=1) == labels, kernel
    assert best is not None
    return LinearHead(best[1], best[2], bias, mean, scale)


def clearly_better(hits: np.ndarray, than: np.ndarray) -> bool:
    """Whether hits on the same pictures are more than others by over three standard errors of the difference."""
    first, second = int((hits & ~than).sum()), int((than & ~hits).sum())
    return first - second > 3 * np.sqrt(first + second)
