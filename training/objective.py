"""What training minimises: named losses with their weights, and the metrics beside them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

import keras_inception as ki
from keras_inception.training.config import ModelConfig, TrainConfig
from keras_inception.training.weight_decay import add_penalty

MAIN_HEAD = "predictions"


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of every head, weighted; logs are named `<head>_loss` and `<head>_accuracy`, beside `loss`.

    With several heads `predictions_cross_entropy` is the mean over images, by which the best epoch is chosen.
    """

    weights: dict[str, float]
    """Loss weight of each output by its name; `predictions` has 1."""
    classes: int
    label_smoothing: float

    def targets(self, labels: Any) -> Any:
        """Turns labels [batch] into the compiled model's targets: one-hot, by head where there are several."""
        return self.for_heads(ops.one_hot(labels, self.classes, dtype="float32"))

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
            metrics = [keras.metrics.CategoricalAccuracy(name=f"{MAIN_HEAD}_accuracy")]
            return {"loss": losses[MAIN_HEAD], "metrics": metrics}
        by_head: dict[str, list[Any]] = {
            head: [keras.metrics.CategoricalAccuracy(name="accuracy")] for head in self.weights
        }
        # In Keras's `<head>_loss` each batch weighs the same on TensorFlow, a smaller last one as well.
        exact = keras.metrics.CategoricalCrossentropy(name="cross_entropy", label_smoothing=self.label_smoothing)
        by_head[MAIN_HEAD].append(exact)
        return {"loss": losses, "loss_weights": dict(self.weights), "metrics": by_head}


def make_objective(config: TrainConfig, classes: int) -> Objective:
    """Makes the objective of a run: the auxiliary heads weigh what their paper gives them, unless it says otherwise."""
    weights, given = {MAIN_HEAD: 1.0}, config.objective.aux_weight
    if config.model.aux_heads:
        own = ki.get_entry(config.model.name).aux_heads
        weights.update(own if given is None else dict.fromkeys(own, given))
    return Objective(weights, classes, config.objective.label_smoothing)


def build_model(config: TrainConfig, classes: int) -> keras.Model:
    """Builds a run's network, taking raw pixels in 0..255, under its dtype policy; the global one stays as it was.

    Where it starts from weights, their preprocessing and numerics are built in, and the classifiers are new.

    Raises:
        FileNotFoundError: where the weights are meant to be a file and there is none.
        ValueError: for an unknown network, block or weight set, or an option or size that the network does not take.
    """
    settings = config.model
    arguments: dict[str, Any] = {
        "classes": classes,
        "input_shape": (settings.image_size, settings.image_size, settings.channels),
        "include_preprocessing": True,
        **settings.options,
    }
    if settings.alpha != 1:
        arguments["alpha"] = settings.alpha
    if settings.aux_heads:
        arguments["aux_heads"] = True
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        model = _create(settings, arguments)
    except TypeError as error:
        given = ", ".join(sorted({*settings.options, "alpha", "aux_heads"} & set(arguments)))
        raise ValueError(f"{settings.name} must take the options it is given. Received: {given} ({error})") from error
    finally:
        keras.config.set_dtype_policy(before)
    if settings.batch_norm_momentum is not None:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = settings.batch_norm_momentum
    batch_norm = settings.batch_norm
    if batch_norm == "auto":
        batch_norm = "frozen" if settings.weights else "trainable"
    ki.unfreeze(model, settings.unfreeze_from or None, batch_norm)
    add_penalty(model, config.optimizer)
    return model


def _create(settings: ModelConfig, arguments: dict[str, Any]) -> keras.Model:
    if not settings.weights:
        model: keras.Model = ki.create_model(settings.name, weights=None, **arguments)
        return model
    from keras_inception import weights

    if Path(settings.weights).is_absolute() and not Path(settings.weights).exists():
        raise FileNotFoundError(f"A file of weights must exist. Received: {settings.weights}")
    model, _ = weights.build(
        settings.weights,
        network=settings.name,
        trunk_only=True,
        accept_license=settings.accept_license,
        **arguments,
    )
    return model
