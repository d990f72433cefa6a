"""What training minimises: a loss of each head with its weight, and the metrics beside it."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

import keras_inception as ki

from ..config import MAIN_HEAD, TrainConfig
from .losses import CROSS_ENTROPY, Accuracy, CrossEntropy, HeadLoss, MeanAveragePrecision

MEAN_AVERAGE_PRECISION = "mean_average_precision"


@dataclass(frozen=True)
class Objective:
    """A loss of every head, weighted; logs are named `<head>_loss` and `<head>_accuracy`, beside `loss`.

    `predictions_cross_entropy` is the mean over images without penalties, by which the best epoch is chosen.
    """

    weights: dict[str, float]
    """Loss weight of each output by its name; `predictions` has 1."""
    classes: int
    label_smoothing: float
    loss: str = CROSS_ENTROPY
    """`cross_entropy` where an image has one label; `binary` or `asymmetric` where it may have several."""
    taught: bool = False
    """Whether training targets are [batch, 2 * classes]: the labels', then a teacher's answers."""
    teacher_weight: float = 0.0
    """Share of the teacher in each head's loss."""
    temperature: float = 1.0

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return self.loss != CROSS_ENTROPY

    def targets(self, labels: Any) -> Any:
        """Turns labels [batch] into the compiled model's targets: one-hot, by head where there are several."""
        return self.for_heads(ops.one_hot(labels, self.classes, dtype="float32"))

    def batches(self, batches: Any) -> Any:
        """Maps a tf.data set of (pixels, labels or targets, and maybe weights) to what the compiled model takes."""

        @tf.autograph.experimental.do_not_convert
        def for_model(pixels: Any, targets: Any, *weights: Any) -> tuple[Any, ...]:
            # TensorFlow's own one_hot: tf.data runs its graph whatever Keras's backend is.
            one_hot = tf.one_hot(targets, self.classes) if targets.dtype.is_integer else targets
            return pixels, *map(self.for_heads, (one_hot, *weights))

        return batches.map(for_model)

    def for_heads(self, values: Any) -> Any:
        """Gives every head the same targets or sample weights, by name where there are several."""
        return dict.fromkeys(self.weights, values) if len(self.weights) > 1 else values

    def compile_arguments(self) -> dict[str, Any]:
        """Losses, loss weights and metrics as keyword arguments of `keras.Model.compile`."""
        if len(self.weights) == 1:
            # Keras prefixes logs with the output's name only where there are several outputs.
            # The loss holds the L2 penalty of the weights as well.
            return {"loss": self._loss(MAIN_HEAD), "metrics": self._metrics(f"{MAIN_HEAD}_", of_main_head=True)}
        by_head = {head: self._metrics("", of_main_head=head == MAIN_HEAD) for head in self.weights}
        losses = {head: self._loss(head) for head in self.weights}
        return {"loss": losses, "loss_weights": dict(self.weights), "metrics": by_head}

    @property
    def _plain(self) -> bool:
        """Whether all that is compiled can be Keras's own, so that a saved model loads without this package."""
        return not self.several and not self.taught

    def _loss(self, head: str) -> keras.losses.Loss:
        if self._plain:
            return keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing, name=head)
        return HeadLoss(self.loss, self.label_smoothing, self.teacher_weight, self.temperature, name=head)

    def _metrics(self, prefix: str, *, of_main_head: bool) -> list[keras.metrics.Metric]:
        name = f"{prefix}accuracy"
        metrics = [keras.metrics.CategoricalAccuracy(name=name) if self._plain else Accuracy(self.several, name=name)]
        if of_main_head:
            # The mean over images: in Keras's `<head>_loss` a smaller last batch weighs like a full one on TensorFlow.
            name, smoothing = f"{prefix}cross_entropy", self.label_smoothing
            plain = keras.metrics.CategoricalCrossentropy
            metrics.append(
                plain(name=name, label_smoothing=smoothing)
                if self._plain
                else CrossEntropy(self.several, smoothing, name=name)
            )
        if of_main_head and self.several:
            metrics.append(MeanAveragePrecision(self.classes, f"{prefix}{MEAN_AVERAGE_PRECISION}"))
        return metrics


def make_objective(config: TrainConfig, classes: int, several: bool = False) -> Objective:
    """Makes the objective of a run: the auxiliary heads weigh what their paper gives them, unless it says otherwise.

    Args:
        config: the run's configuration.
        classes: how many classes there are.
        several: whether an image may have several labels.

    Raises:
        ValueError: where the loss is of the other kind of labels.
    """
    settings = config.objective
    weights, given = {MAIN_HEAD: 1.0}, settings.aux_weight
    if config.model.aux_heads:
        own = ki.get_entry(config.model.name).aux_heads
        weights.update(own if given is None else dict.fromkeys(own, given))
    return Objective(
        weights,
        classes,
        settings.label_smoothing,
        _loss_for(settings.loss, several),
        bool(settings.teacher),
        settings.teacher_weight,
        settings.temperature,
    )


def _loss_for(asked: str, several: bool) -> str:
    loss = ("binary" if several else CROSS_ENTROPY) if asked == "auto" else asked
    if several and loss == CROSS_ENTROPY:
        raise ValueError(
            f"objective.loss must be auto, binary or asymmetric where images have several labels. Received: {loss}"
        )
    if not several and loss != CROSS_ENTROPY:
        raise ValueError(f"objective.loss must be auto or cross_entropy where images have one label. Received: {loss}")
    return loss
