"""The model that `fit` trains: a network's own layers, with what training adds to a step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from ..config import TrainConfig
from .batch_norm import fused_batch_norms
from .convolutions import quick_convolutions
from .objective import Objective
from .optimizer import make_optimizer
from .updates import fused_updates


class MovingAverage:
    """A moving average of all weights, the statistics of batch norms among them.

    After each update, average += (1 - m) (weight - average) with m = min(momentum, (1 + n) / (10 + n)) after n updates,
    as in `tf.train.ExponentialMovingAverage` with which the Inception networks were trained: a plain average would
    remember the random weights for 1 / (1 - momentum) updates. Keras's own `use_ema` leaves the statistics out.

    The averages are variables of the optimizer, so that they are saved, placed and passed along with the others.

    Args:
        optimizer: whose variables the averages become; not yet built.
        model: whose weights are averaged.
        momentum: the largest m.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, model: keras.Model, momentum: float) -> None:
        self.optimizer, self.momentum, self.exchanged = optimizer, momentum, False
        self.pairs = []
        for weight in model.weights:
            average = optimizer.add_variable(
                weight.shape, dtype=weight.dtype, aggregation="only_first_replica", name="moving_average"
            )
            average.assign(ops.copy(weight))  # a copy: JAX takes both variables' memory as its own
            self.pairs.append((weight, average))

    def update(self, updates_before: Any) -> None:
        """Takes in the weights of a step, unless it left them as they were: accumulating, or with overflown gradients.

        Args:
            updates_before: `optimizer.iterations` before the step.
        """
        updates = self.optimizer.iterations
        count = ops.cast(updates, "float32")
        momentum = ops.minimum(self.momentum, (1 + count) / (10 + count))
        share = ops.where(ops.equal(updates, updates_before), 0.0, 1 - momentum)
        for weight, average in self.pairs:
            average.assign(average + ops.cast(share, average.dtype) * (weight - average))

    def exchange(self) -> None:
        """Puts the averages into the weights' place, or both back into their own."""
        for weight, average in self.pairs:
            value = ops.copy(weight)
            weight.assign(average)
            average.assign(value)
        self.exchanged = not self.exchanged

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages are the network's weights meanwhile."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()


class Trainer(keras.Model):
    """A network in training. It has the network's layers, so the network learns and is what gets saved.

    Args:
        network: a functional model.
    """

    average: MovingAverage | None = None

    def __init__(self, network: keras.Model) -> None:
        super().__init__(network.input, network.output, name=network.name)

    def train_step(self, *arguments: Any) -> Any:
        """A step of Keras's, then one of the moving average: (data) on TensorFlow, (state, data) on JAX."""
        if keras.backend.backend() == "jax":
            return super().train_step(*arguments) if self.average is None else self._stateless_train_step(*arguments)
        if keras.backend.backend() != "tensorflow" or self.jit_compile or self._distribute_strategy is not None:
            return self._stateful_train_step(*arguments)  # XLA fuses by itself; devices share what a step computes
        layers = list(self._flatten_layers(include_self=False))
        with fused_batch_norms(layers), quick_convolutions(layers), fused_updates(self.optimizer):
            return self._stateful_train_step(*arguments)

    def _stateful_train_step(self, data: Any) -> Any:
        if self.average is None:
            return super().train_step(data)
        before = self.optimizer.iterations + 0  # a value: the variable itself moves on
        logs = super().train_step(data)
        self.average.update(before)
        return logs

    def _stateless_train_step(self, state: Any, data: Any) -> Any:
        assert self.average is not None
        with keras.StatelessScope(state_mapping=list(zip(self.optimizer.variables, state[2], strict=True))):
            before = self.optimizer.iterations + 0
        logs, (trainable, other, optimizer, metrics) = super().train_step(state, data)
        variables = (*self.trainable_variables, *self.non_trainable_variables, *self.optimizer.variables)
        mapping = list(zip(variables, (*trainable, *other, *optimizer), strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            self.average.update(before)
        return logs, (trainable, other, [scope.get_current_value(v) for v in self.optimizer.variables], metrics)

    def sync(self) -> None:
        """Puts what the last step computed into the variables, beside which Keras keeps it on JAX while it fits."""
        if keras.backend.backend() == "jax":
            self.jax_state_sync()

    @property
    def state(self) -> dict[str, list[Any]]:
        """All variables that a step reads or writes, in groups; what a checkpoint holds of the model."""
        return {
            "network": self.variables, "optimizer": self.optimizer.variables, "metrics": self.metrics_variables,
        }  # fmt: skip


def make_trainer(
    config: TrainConfig,
    network: keras.Model,
    objective: Objective,
    steps_per_epoch: int,
    kind: Callable[[keras.Model], Any] = Trainer,
) -> Trainer:
    """Compiles a network for training as the configuration says; `steps_per_epoch` sets the pace of the schedule."""
    trainer: Trainer = kind(network)
    optimizer = make_optimizer(config, network, steps_per_epoch)
    if config.optimizer.ema_momentum is not None:
        trainer.average = MovingAverage(optimizer, network, config.optimizer.ema_momentum)
    on_jax = keras.backend.backend() == "jax"
    trainer.compile(
        optimizer=optimizer,
        jit_compile=config.jit_compile or on_jax,  # a step on JAX that is not compiled takes seconds
        steps_per_execution=steps_per_execution(config, steps_per_epoch),
        auto_scale_loss=False,  # make_optimizer has seen to it
        **objective.compile_arguments(),
    )
    # Else the first step would make the variables of optimizer and metrics: a checkpoint could not be read into them
    # before, and on TensorFlow the step would be traced a second time without.
    optimizer.build(trainer.trainable_variables)
    targets = objective.targets(ops.zeros(1, "int32"))
    answers = keras.tree.map_structure(lambda output: ops.zeros((1, *output.shape[1:])), network.output)
    penalised = [(variable, ops.convert_to_tensor(variable)) for variable in trainer.trainable_variables]
    with keras.StatelessScope(state_mapping=penalised):
        trainer.compute_metrics(None, targets, answers)
        trainer.compute_loss(None, targets, answers)
    return trainer


def steps_per_execution(config: TrainConfig, steps_per_epoch: int) -> int:
    """The largest divisor of an epoch's steps that the configuration allows: with others Keras reads beyond its end."""
    wanted = min(config.steps_per_execution, steps_per_epoch)
    return next(steps for steps in range(wanted, 0, -1) if steps_per_epoch % steps == 0)
