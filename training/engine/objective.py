"""What training minimises: named losses with their weights, and the metrics beside them."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

import keras_inception as ki

from ..config import MAIN_HEAD, TrainConfig


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of every head, weighted; logs are named `<head>_loss` and `<head>_accuracy`, beside `loss`.

    `predictions_cross_entropy` is the mean over images without penalties, by which the best epoch is chosen.
    """

    weights: dict[str, float]
    """Loss weight of each output by its name; `predictions` has 1."""
    classes: int
    label_smoothing: float
    teacher_weight: float = 0.0
    """Share of a teacher in each head's loss, where targets are [batch, 2 * classes]: the labels', then its answers."""
    temperature: float = 1.0

    def targets(self, labels: Any) -> Any:
        """Turns labels [batch] into the compiled model's targets: one-hot, by head where there are several."""
        return self.for_heads(ops.one_hot(labels, self.classes, dtype="float32"))

    def batches(self, batches: Any) -> Any:
        """Maps a tf.data set of (pixels, labels or targets, and maybe weights) to what the compiled model takes."""

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
        losses = dict.fromkeys(self.weights, self._loss)
        if len(self.weights) == 1:
            # Keras prefixes logs with the output's name only where there are several outputs.
            # The loss holds the L2 penalty of the weights as well.
            metrics = [
                self._accuracy(f"{MAIN_HEAD}_accuracy"),
                self._exact(f"{MAIN_HEAD}_cross_entropy"),
            ]
            return {"loss": losses[MAIN_HEAD], "metrics": metrics}
        by_head: dict[str, list[Any]] = {head: [self._accuracy("accuracy")] for head in self.weights}
        by_head[MAIN_HEAD].append(self._exact("cross_entropy"))
        return {"loss": losses, "loss_weights": dict(self.weights), "metrics": by_head}

    def _loss(self, targets: Any, outputs: Any) -> Any:
        """The loss of each image [batch]; validation has no teacher."""
        of_labels = self._cross_entropy(targets, outputs)
        if targets.shape[-1] == self.classes:
            return of_labels
        share, answers = self.teacher_weight, targets[:, self.classes :]
        return (1 - share) * of_labels + share * distillation_loss(answers, outputs, self.temperature)

    def _cross_entropy(self, targets: Any, outputs: Any) -> Any:
        labels = targets[:, : self.classes]
        return keras.losses.categorical_crossentropy(labels, outputs, label_smoothing=self.label_smoothing)

    def _accuracy(self, name: str) -> keras.metrics.Metric:
        def of_labels(targets: Any, outputs: Any) -> Any:
            return keras.metrics.categorical_accuracy(targets[:, : self.classes], outputs)

        return keras.metrics.MeanMetricWrapper(of_labels, name=name)

    def _exact(self, name: str) -> keras.metrics.Metric:
        """The mean over images: in Keras's `<head>_loss` a smaller last batch weighs like a full one on TensorFlow."""
        return keras.metrics.MeanMetricWrapper(self._cross_entropy, name=name)


def distillation_loss(answers: Any, outputs: Any, temperature: float) -> Any:
    """The divergence of a student from its teacher at a temperature, image by image.

    Kullback-Leibler's, of the classes' probabilities after their logits were divided by the temperature, times the
    temperature squared, which keeps its gradients as large as those of the labels
    (https://arxiv.org/abs/1503.02531, section 2).

    Args:
        answers: the teacher's probabilities [batch, classes].
        outputs: the student's.
        temperature: more than 0.

    Returns:
        The divergences [batch].
    """
    least = keras.config.epsilon()

    def softened(probabilities: Any) -> Any:
        return ops.log_softmax(ops.log(ops.clip(probabilities, least, 1.0)) / temperature, axis=-1)

    teacher, student = softened(answers), softened(outputs)
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def make_objective(config: TrainConfig, classes: int) -> Objective:
    """Makes the objective of a run: the auxiliary heads weigh what their paper gives them, unless it says otherwise."""
    weights, given = {MAIN_HEAD: 1.0}, config.objective.aux_weight
    if config.model.aux_heads:
        own = ki.get_entry(config.model.name).aux_heads
        weights.update(own if given is None else dict.fromkeys(own, given))
    settings = config.objective
    share = settings.teacher_weight if settings.teacher else 0.0
    return Objective(weights, classes, settings.label_smoothing, share, settings.temperature)
