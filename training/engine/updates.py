"""A weight's update as one kernel, where networks are trained on TensorFlow.

Keras 3.15 composes an update of seven and more operations a weight, and computes the schedule's learning rate once more
for each weight that decays. As with batch norms, the optimizer stays Keras's: only while a step is traced do two of its
methods say what to compute.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

Update = Callable[[int, Any, Any], None]
"""Updates the weight of an index, its variable, by a gradient."""


@contextmanager
def fused_updates(optimizer: Any) -> Iterator[None]:
    """Weights are updated by one kernel each meanwhile, where TensorFlow has the optimizer's; on one device."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # below a loss scale
    rule = _rule_of(optimizer)
    if rule is None:
        yield
        return

    def update(gradients: list[Any], variables: list[Any], learning_rate: Any) -> None:
        import tensorflow as tf

        apply = rule(optimizer, tf.cast(learning_rate, tf.float32))
        for gradient, variable in zip(gradients, variables, strict=True):
            apply(optimizer._get_variable_index(variable), variable.value.handle, gradient)

    def decay(variables: list[Any]) -> None:
        if optimizer.weight_decay:
            share = optimizer.weight_decay * optimizer.learning_rate
            for variable in filter(optimizer._use_weight_decay, variables):
                variable.assign_sub(variable * share)

    optimizer._backend_update_step, optimizer._apply_weight_decay = update, decay
    try:
        yield
    finally:
        del optimizer._backend_update_step, optimizer._apply_weight_decay


def _rule_of(optimizer: Any) -> Callable[[Any, Any], Update] | None:
    """The kernel of an optimizer; subclasses may compute something else, and there is none without momentum."""
    if any(variable.dtype != "float32" for variable in optimizer.variables[2:]):  # after iterations and learning rate
        return None
    if type(optimizer) is keras.optimizers.SGD and optimizer.momentum:
        return _sgd
    if type(optimizer) is keras.optimizers.RMSprop and optimizer.momentum and not optimizer.centered:
        return _rmsprop
    if type(optimizer) is keras.optimizers.AdamW and not optimizer.amsgrad:
        return _adamw
    return None


def _sgd(optimizer: Any, rate: Any) -> Update:
    import tensorflow as tf

    def update(index: int, weight: Any, gradient: Any) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weight,
            accum=optimizer.momentums[index].value.handle,
            lr=rate,
            grad=gradient,
            momentum=optimizer.momentum,
            use_nesterov=optimizer.nesterov,
        )

    return update


def _rmsprop(optimizer: Any, rate: Any) -> Update:
    import tensorflow as tf

    def update(index: int, weight: Any, gradient: Any) -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=weight,
            ms=optimizer._velocities[index].value.handle,
            mom=optimizer._momentums[index].value.handle,
            lr=rate,
            rho=optimizer.rho,
            momentum=optimizer.momentum,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return update


def _adamw(optimizer: Any, rate: Any) -> Update:
    import tensorflow as tf

    step = tf.cast(optimizer.iterations + 1, tf.float32)
    powers = [tf.pow(tf.constant(beta, tf.float32), step) for beta in (optimizer.beta_1, optimizer.beta_2)]

    def update(index: int, weight: Any, gradient: Any) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=weight,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return update
