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
        losses = {
            head: keras.losses.CategoricalCrossentropy(label_smoothing=self.label_smoothing, name=head)
            for head in self.weights
        }
        if len(self.weights) == 1:
            # Keras prefixes logs with the output's name only where there are several outputs.
            # The loss holds the L2 penalty of the weights as well.
            metrics = [
                keras.metrics.CategoricalAccuracy(name=f"{MAIN_HEAD}_accuracy"),
                self._exact(f"{MAIN_HEAD}_cross_entropy"),
            ]
            return {"loss": losses[MAIN_HEAD], "metrics": metrics}
        by_head: dict[str, list[Any]] = {
            head: [keras.metrics.CategoricalAccuracy(name="accuracy")] for head in self.weights
        }
        by_head[MAIN_HEAD].append(self._exact("cross_entropy"))
        return {"loss": losses, "loss_weights": dict(self.weights), "metrics": by_head}

    def _exact(self, name: str) -> keras.metrics.Metric:
        """The mean over images: in Keras's `<head>_loss` a smaller last batch weighs like a full one on TensorFlow."""
        return keras.metrics.CategoricalCrossentropy(name=name, label_smoothing=self.label_smoothing)


def make_objective(config: TrainConfig, classes: int) -> Objective:
    """Makes the objective of a run: the auxiliary heads weigh what their paper gives them, unless it says otherwise."""
    weights, given = {MAIN_HEAD: 1.0}, config.objective.aux_weight
    if config.model.aux_heads:
        own = ki.get_entry(config.model.name).aux_heads
        weights.update(own if given is None else dict.fromkeys(own, given))
    return Objective(weights, classes, config.objective.label_smoothing)
