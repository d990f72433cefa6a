"""Optimizers, their learning-rate schedules, and which weights decay."""

import math
from typing import Any

import keras
from keras import ops

import keras_inception as ki

from ..config import MAIN_HEAD, OptimizerConfig, ScheduleConfig, TrainConfig


@keras.saving.register_keras_serializable(package="keras_inception")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly from 0 and then follows another schedule, counted from the end of the rise.

    Args:
        after: the schedule that follows; a number stays constant.
        steps: length of the rise in optimizer steps; its last step reaches the peak.
        peak: learning rate at its end.
    """

    def __init__(self, after: Any, steps: int, peak: float) -> None:
        super().__init__()
        self.after, self.steps, self.peak = after, steps, peak

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        step = ops.cast(step, "float32")
        rising = self.peak * (step + 1) / self.steps
        later = self.after(ops.maximum(step - self.steps, 0.0)) if callable(self.after) else self.after
        return ops.where(step < self.steps, rising, later)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, for Keras's serialisation."""
        after = keras.saving.serialize_keras_object(self.after) if callable(self.after) else self.after
        return {"after": after, "steps": self.steps, "peak": self.peak}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """Makes the schedule that `get_config` described."""
        after = config.pop("after")
        if isinstance(after, dict):
            after = keras.saving.deserialize_keras_object(after)
        return cls(after, **config)


def make_schedule(settings: ScheduleConfig, peak: float, steps_per_epoch: int, epochs: int) -> Any:
    """Makes the learning rate of a run, by optimizer step: a Keras schedule, or a number where it never moves."""
    warmup = round(settings.warmup_epochs * steps_per_epoch)
    schedules = keras.optimizers.schedules
    after: Any = peak
    if settings.name == "cosine":
        after = schedules.CosineDecay(peak, max(1, epochs * steps_per_epoch - warmup), alpha=settings.final_share)
    elif settings.name == "linear":
        fall = max(1, epochs * steps_per_epoch - warmup)
        after = schedules.PolynomialDecay(peak, fall, end_learning_rate=settings.final_share * peak)
    elif settings.name == "exponential":
        steps = max(1, math.ceil(settings.decay_epochs * steps_per_epoch))
        after = schedules.ExponentialDecay(peak, steps, settings.decay_rate, staircase=True)
    return WarmUp(after, warmup, peak) if warmup else after


class LayerwiseRates:
    """An optimizer whose learning rate is scaled weight by weight, and with it decoupled weight decay.

    The update is scaled, not the gradient: what divides by an average of its size, as RMSprop and Adam do, would undo
    that. Clipping and every average of gradients see what they would without.
    """

    shares: dict[int, float]
    """By the id of each weight, its share of the learning rate."""

    def build(self: Any, variables: list[keras.Variable]) -> None:
        """Makes the optimizer's variables."""
        super().build(variables)  # type: ignore[misc]
        self._share_of = tuple(self.shares[id(variable)] for variable in variables)

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Lets a weight decay and then take its step, both at its own rate."""
        rate = ops.cast(learning_rate, variable.dtype) * self._share_of[self._get_variable_index(variable)]
        if self.weight_decay and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * (self.weight_decay * rate))
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Leaves to `update_step` what Keras does for all weights at one rate."""


class LayerwiseSGD(LayerwiseRates, keras.optimizers.SGD):
    """SGD, each weight at its own rate."""


class LayerwiseRMSprop(LayerwiseRates, keras.optimizers.RMSprop):
    """RMSprop, each weight at its own rate."""


class LayerwiseAdamW(LayerwiseRates, keras.optimizers.AdamW):
    """AdamW, each weight at its own rate."""


def rate_shares(model: keras.Model, layer_decay: float) -> dict[int, float]:
    """By the id of each weight, `layer_decay` to the power of its block's distance from the classifiers.

    Blocks are those of `keras-inception summary` that have weights, frozen or not. The last one before the classifier
    is at distance 1; auxiliary classifiers are as new as the main one, and at 0 with it.
    """
    heads = set(model.output) if isinstance(model.output, dict) else {MAIN_HEAD}
    rows = [
        (row.name, [w for name in row.layers for w in model.get_layer(name).weights]) for row in ki.block_table(model)
    ]
    distance, shares = 0, {}
    for name, weights in reversed(rows):
        distance += bool(weights) and name not in heads
        share = 1.0 if name in heads else layer_decay**distance
        shares.update({id(weight): share for weight in weights})
    return shares


def make_optimizer(config: TrainConfig, model: keras.Model, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Makes a run's optimizer.

    Weight decay by `l2` is part of the loss (see `weight_decay.add_penalty`) and not seen here. Under mixed_float16
    the loss is scaled, dynamically: doubled every 2,000 good steps, halved at an overflow, whose step is left out.

    Keras's RMSprop divides by sqrt(average + epsilon), as TensorFlow's did when the Inception networks were trained
    with epsilon 1.0, unlike PyTorch's sqrt(average) + epsilon. TensorFlow's average of squared gradients began at 1,
    Keras's begins at 0: with epsilon 1.0 the first steps are up to sqrt(2) times as long.
    """
    settings = config.optimizer
    common: dict[str, Any] = {
        "learning_rate": make_schedule(config.schedule, settings.learning_rate, steps_per_epoch, config.epochs),
        "weight_decay": settings.weight_decay or None if settings.decay == "decoupled" else None,
        "global_clipnorm": settings.clip_norm,
        "gradient_accumulation_steps": settings.accumulate_steps if settings.accumulate_steps > 1 else None,
    }
    layerwise = settings.layer_decay < 1
    optimizer: Any
    if settings.name == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        kind = LayerwiseSGD if layerwise else keras.optimizers.SGD
        optimizer = kind(momentum=settings.momentum, nesterov=nesterov, **common)
    elif settings.name == "rmsprop":
        epsilon = 1.0 if settings.epsilon is None else settings.epsilon
        kind = LayerwiseRMSprop if layerwise else keras.optimizers.RMSprop
        optimizer = kind(rho=settings.rho, momentum=settings.momentum, epsilon=epsilon, **common)
    else:
        common["weight_decay"] = common["weight_decay"] or 0.0  # AdamW refuses None
        kind = LayerwiseAdamW if layerwise else keras.optimizers.AdamW
        optimizer = kind(epsilon=1e-7 if settings.epsilon is None else settings.epsilon, **common)
    if layerwise:
        optimizer.shares = rate_shares(model, settings.layer_decay)
    if optimizer.weight_decay:
        decaying = {id(variable) for variable in decayed(model, settings)}
        optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if id(v) not in decaying])
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.precision == "mixed_float16" else optimizer


def decayed(model: keras.Model, settings: OptimizerConfig) -> list[keras.Variable]:
    """The trainable weights that decay."""
    if settings.decay_spares == "nothing":
        return list(model.trainable_variables)
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) > 1]
    if settings.decay_spares == "vectors":
        return vectors
    depthwise = {
        id(layer.depthwise_kernel if isinstance(layer, keras.layers.SeparableConv2D) else layer.kernel)
        for layer in model.layers
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.SeparableConv2D)
    }
    return [variable for variable in vectors if id(variable) not in depthwise]


def add_penalty(model: keras.Model, settings: OptimizerConfig) -> None:
    """Adds half of `weight_decay` times the squared weights to the loss, where the configuration decays by `l2`.

    The penalty belongs to this model in memory: it is not saved with it.
    """
    if settings.decay == "l2" and settings.weight_decay:
        penalty = keras.regularizers.L2(settings.weight_decay / 2)
        for variable in decayed(model, settings):
            variable.regularizer = penalty
