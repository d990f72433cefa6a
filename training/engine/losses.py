"""What a head's answers cost, image by image, and how good they are.

Where each label of an image is a question of its own, the answers are probabilities [batch, classes] that need not add
up to 1. An image costs the sum over its classes then, so that a class's logit is moved as a softmax's would be, and a
recipe's learning rate holds.

Targets lie in 0..1. What a teacher says may stand behind them, [batch, 2 * classes]: metrics go by the labels alone.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

CROSS_ENTROPY = "cross_entropy"
GAMMA_NEGATIVE, GAMMA_POSITIVE, MARGIN = 4.0, 1.0, 0.05
_LEAST = 1e-7


def binary(targets: Any, probabilities: Any, smoothing: float = 0.0) -> Any:
    """Cross-entropy of every label, summed over the classes: [batch]."""
    return ops.sum(ops.binary_crossentropy(_smoothed(targets, smoothing), probabilities), axis=-1)


def asymmetric(targets: Any, probabilities: Any, smoothing: float = 0.0) -> Any:
    """Asymmetric loss (https://arxiv.org/abs/2009.14119), summed over the classes: [batch].

    Cross-entropy in which a label that is there weighs (1 - p) ** 1 and one that is not p ** 4, after `MARGIN` was
    taken off its probability p: the many easy absent labels of an image do not drown the few that are there.
    """
    targets = _smoothed(targets, smoothing)
    kept = ops.clip(probabilities, _LEAST, 1.0)
    shifted = ops.maximum(probabilities - MARGIN, 0.0)
    there = targets * ops.power(1 - kept, GAMMA_POSITIVE) * ops.log(kept)
    absent = (1 - targets) * ops.power(shifted, GAMMA_NEGATIVE) * ops.log(1 - shifted)
    return -ops.sum(there + absent, axis=-1)


def categorical(targets: Any, probabilities: Any, smoothing: float = 0.0) -> Any:
    """Cross-entropy of a softmax: [batch]."""
    return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=smoothing)


LOSSES: dict[str, Callable[[Any, Any, float], Any]] = {
    CROSS_ENTROPY: categorical, "binary": binary, "asymmetric": asymmetric,
}  # fmt: skip


def distillation(answers: Any, probabilities: Any, temperature: float, *, several: bool = False) -> Any:
    """The divergence of a student from its teacher at a temperature, image by image.

    Kullback-Leibler's, of the classes' probabilities after their logits were divided by the temperature, times the
    temperature squared, which keeps its gradients as large as those of the labels
    (https://arxiv.org/abs/1503.02531, section 2). Where an image may have several labels, each is a choice of two.

    Args:
        answers: the teacher's probabilities [batch, classes].
        probabilities: the student's.
        temperature: more than 0.
        several: whether an image may have several labels.

    Returns:
        The divergences [batch], summed over the classes.
    """

    def softened(values: Any) -> Any:
        values = ops.clip(values, _LEAST, 1.0)
        if several:  # [batch, classes, 2]
            values = ops.stack([values, ops.clip(1 - values, _LEAST, 1.0)], axis=-1)
        return ops.log_softmax(ops.log(values) / temperature, axis=-1)

    teacher, student = softened(answers), softened(probabilities)
    divergence = ops.exp(teacher) * (teacher - student)
    return temperature**2 * ops.sum(divergence, axis=(-2, -1) if several else -1)


def labels_in(targets: Any, probabilities: Any) -> Any:
    """The targets without what a teacher says."""
    return targets[:, : probabilities.shape[-1]]


# What follows is saved with a compiled model, as by Keras Tuner, and has to be found again when that is loaded.
_saved = keras.saving.register_keras_serializable("keras_inception")


@_saved
class HeadLoss(keras.losses.Loss):
    """One of `LOSSES`, of the labels, and the divergence from a teacher where targets hold its answers.

    Args:
        kind: a name in `LOSSES`.
        label_smoothing: share of the targets' mass that is spread.
        teacher_weight: share of the teacher in the loss.
        temperature: at which student and teacher are compared.
    """

    def __init__(
        self,
        kind: str,
        label_smoothing: float = 0.0,
        teacher_weight: float = 0.0,
        temperature: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind, self.label_smoothing = kind, label_smoothing
        self.teacher_weight, self.temperature = teacher_weight, temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image [batch]; validation has no teacher."""
        labels = labels_in(y_true, y_pred)
        of_labels = LOSSES[self.kind](labels, y_pred, self.label_smoothing)
        answers = y_true[:, y_pred.shape[-1] :]
        if not answers.shape[-1]:
            return of_labels
        of_teacher = distillation(answers, y_pred, self.temperature, several=self.kind != CROSS_ENTROPY)
        return (1 - self.teacher_weight) * of_labels + self.teacher_weight * of_teacher

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = ("kind", "label_smoothing", "teacher_weight", "temperature")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@_saved
class Accuracy(keras.metrics.Mean):
    """The share of images that are right; of several labels, of decisions at one half, a class of an image each."""

    def __init__(self, several: bool, **options: Any) -> None:
        super().__init__(**options)
        self.several = several

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Takes in a batch."""
        labels = labels_in(y_true, y_pred)
        if self.several:
            right = ops.mean(ops.cast(ops.equal(labels > 0.5, y_pred > 0.5), "float32"), axis=-1)
        else:
            right = keras.metrics.categorical_accuracy(labels, y_pred)
        return super().update_state(right, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "several": self.several}


@_saved
class CrossEntropy(keras.metrics.Mean):
    """The mean over images of `categorical`, or `binary` of several labels, of smoothed targets."""

    def __init__(self, several: bool, label_smoothing: float, **options: Any) -> None:
        super().__init__(**options)
        self.several, self.label_smoothing = several, label_smoothing

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Takes in a batch."""
        loss = binary if self.several else categorical
        return super().update_state(loss(labels_in(y_true, y_pred), y_pred, self.label_smoothing), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "several": self.several, "label_smoothing": self.label_smoothing}


@_saved
class MeanAveragePrecision(keras.metrics.AUC):
    """The mean over classes of the area below precision by recall, at 200 thresholds; a class without images counts 0.

    The evaluation computes the exact one.
    """

    def __init__(self, classes: int, name: str) -> None:
        super().__init__(curve="PR", multi_label=True, num_labels=classes, name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes in a batch, whose targets may be mixed: AUC wants zeros and ones."""
        super().update_state(labels_in(y_true, y_pred) > 0.5, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"classes": self.num_labels, "name": self.name}


def _smoothed(targets: Any, share: float) -> Any:
    """Targets moved towards 1/2, by half of the share each."""
    return targets * (1 - share) + share / 2
