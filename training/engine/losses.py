"""What a head's answers cost, and how good they are, where each label of an image is a question of its own.

The answers are probabilities [batch, classes] that need not add up to 1, the targets lie in 0..1. An image costs the
sum over its classes, so that a class's logit is moved as a softmax's would be, and a recipe's learning rate holds.
"""

# ruff: noqa: D102 (Keras documents what it calls)

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

GAMMA_NEGATIVE, GAMMA_POSITIVE, MARGIN = 4.0, 1.0, 0.05
_LEAST = 1e-7


def binary(targets: Any, probabilities: Any) -> Any:
    """Cross-entropy of every label, summed over the classes: [batch]."""
    return ops.sum(ops.binary_crossentropy(targets, probabilities), axis=-1)


def asymmetric(targets: Any, probabilities: Any) -> Any:
    """Asymmetric loss (https://arxiv.org/abs/2009.14119), summed over the classes: [batch].

    Cross-entropy in which a label that is there weighs (1 - p) ** 1 and one that is not p ** 4, after `MARGIN` was
    taken off its probability p: the many easy absent labels of an image do not drown the few that are there.
    """
    kept = ops.clip(probabilities, _LEAST, 1.0)
    shifted = ops.maximum(probabilities - MARGIN, 0.0)
    there = targets * ops.power(1 - kept, GAMMA_POSITIVE) * ops.log(kept)
    absent = (1 - targets) * ops.power(shifted, GAMMA_NEGATIVE) * ops.log(1 - shifted)
    return -ops.sum(there + absent, axis=-1)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {"binary": binary, "asymmetric": asymmetric}


def smoothed(targets: Any, share: float) -> Any:
    """Targets moved towards 1/2, by half of the share each."""
    return targets * (1 - share) + share / 2


class LabelLoss(keras.losses.Loss):
    """One of `LOSSES` as a loss of Keras, of smoothed targets."""

    def __init__(self, kind: str, label_smoothing: float, name: str) -> None:
        super().__init__(name=name)
        self.kind, self.label_smoothing = kind, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return LOSSES[self.kind](smoothed(y_true, self.label_smoothing), y_pred)


def label_accuracy(name: str) -> keras.metrics.Metric:
    """The share of the decisions, a class each, that are right at a threshold of one half."""

    def right(targets: Any, probabilities: Any) -> Any:
        return ops.mean(ops.cast(ops.equal(targets > 0.5, probabilities > 0.5), "float32"), axis=-1)

    return keras.metrics.MeanMetricWrapper(right, name=name)


def label_cross_entropy(name: str, label_smoothing: float) -> keras.metrics.Metric:
    """The mean over images of `binary`, of smoothed targets."""
    return keras.metrics.MeanMetricWrapper(lambda y, p: binary(smoothed(y, label_smoothing), p), name=name)


class MeanAveragePrecision(keras.metrics.AUC):
    """The mean over classes of the area below precision by recall, at 200 thresholds; a class without images counts 0.

    The evaluation computes the exact one.
    """

    def __init__(self, classes: int, name: str) -> None:
        super().__init__(curve="PR", multi_label=True, num_labels=classes, name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true > 0.5, y_pred, sample_weight)  # mixed targets are no zeros and ones
