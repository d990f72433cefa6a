"""A weight's update as one kernel, where networks are trained on TensorFlow.

Keras 3.15 composes an update of seven and more operations a weight, and computes the schedule's learning rate once more
for each weight that decays. As with batch norms, the optimizer stays Keras's: only while a step is traced do two of its
methods say what to compute.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Rule:
    """How a kernel updates weights.

    Attributes:
        kernel: Of `tf.raw_ops`.
        slots: By the kernel's name for it, what the optimizer keeps of each weight.
        arguments: What all weights share, less the learning rate.
    """

    kernel: Callable[..., Any]
    slots: dict[str, Sequence[Any]]
    arguments: dict[str, Any]


@contextmanager
def fused_updates(optimizer: Any) -> Iterator[None]:
    """Weights are updated by one kernel each meanwhile, where TensorFlow has the optimizer's; on one device."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # below a loss scale
    make_rule = _rule_of(optimizer)
    if make_rule is None:
        yield
        return

    def update(gradients: list[Any], variables: list[Any], learning_rate: Any) -> None:
        import tensorflow as tf

        rule = make_rule(optimizer)
        rate = tf.cast(learning_rate, tf.float32)
        for gradient, variable in zip(gradients, variables, strict=True):
            index = optimizer._get_variable_index(variable)
            slots = {name: kept[index].value.handle for name, kept in rule.slots.items()}
            rule.kernel(var=variable.value.handle, lr=rate, grad=gradient, **slots, **rule.arguments)

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


def _rule_of(optimizer: Any) -> Callable[[Any], Rule] | None:
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


def _sgd(optimizer: Any) -> Rule:
    import tensorflow as tf

    arguments = {"momentum": optimizer.momentum, "use_nesterov": optimizer.nesterov}
    return Rule(tf.raw_ops.ResourceApplyKerasMomentum, {"accum": optimizer.momentums}, arguments)


def _rmsprop(optimizer: Any) -> Rule:
    import tensorflow as tf

    slots = {"ms": optimizer._velocities, "mom": optimizer._momentums}
    arguments = {"rho": optimizer.rho, "momentum": optimizer.momentum, "epsilon": optimizer.epsilon}
    return Rule(tf.raw_ops.ResourceApplyRMSProp, slots, arguments)


def _adamw(optimizer: Any) -> Rule:
    import tensorflow as tf

    step = tf.cast(optimizer.iterations + 1, tf.float32)
    arguments: dict[str, Any] = {"epsilon": optimizer.epsilon}
    for name, beta in (("beta1", optimizer.beta_1), ("beta2", optimizer.beta_2)):
        arguments |= {name: beta, f"{name}_power": tf.pow(tf.constant(beta, tf.float32), step)}
    return Rule(tf.raw_ops.ResourceApplyAdam, {"m": optimizer._momentums, "v": optimizer._velocities}, arguments)
