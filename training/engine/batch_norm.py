"""Batch norm as one kernel, where networks are trained on TensorFlow.

Keras 3.15 computes it operation by operation, under mixed precision in float32. Here layers stay Keras's: only while a
step is traced does their `call` say what to compute, so that whatever is saved, evaluated or exported never knows.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

FUSED_DTYPES = ("float32", "bfloat16", "float16")
# oneDNN's quick kernels are for whole registers of so many channels.
_REGISTER = 16


@contextmanager
def fused_batch_norms(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Batch norms among the layers are computed by one kernel meanwhile, wherever that gives what Keras's own do."""
    fused = [layer for layer in layers if can_be_fused(layer)]
    for layer in fused:
        layer.call = _fused_call(layer)
    try:
        yield
    finally:
        for layer in fused:
            del layer.call


def can_be_fused(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a batch norm of images, channels last, with statistics of its own device and in float32.

    Subclasses may compute something else, and frozen ones compute no statistics.
    """
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.trainable
        and not layer.synchronized
        and not layer.renorm
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.compute_dtype in FUSED_DTYPES
        and layer.variable_dtype == "float32"
    )


def _fused_call(layer: Any) -> Callable[..., Any]:
    keras_call = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or mask is not None:
            return keras_call(inputs, training=training, mask=mask)
        outputs, mean, variance = normalise(
            inputs, layer.gamma, layer.beta, layer.epsilon, whole_registers=wants_whole_registers(layer.compute_dtype)
        )
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
        return outputs

    return call


def wants_whole_registers(dtype: str) -> bool:
    """Whether it pays to fill oneDNN's registers with channels of zeros; `benchmarks/operators.py` measures it."""
    import tensorflow as tf

    return dtype == "bfloat16" and not tf.config.list_physical_devices("GPU")


def normalise(
    inputs: Any, gamma: Any, beta: Any, epsilon: float, *, whole_registers: bool = False
) -> tuple[Any, Any, Any]:
    """Normalises a batch by its own statistics, which are computed in float32.

    Args:
        inputs: [batch, height, width, channels], of a dtype in `FUSED_DTYPES`.
        gamma: scale [channels], None for ones.
        beta: offset [channels], None for zeros.
        epsilon: added to the variance.
        whole_registers: add channels of zeros to a multiple of 16, and take them away again.

    Returns:
        The outputs like the inputs; mean and biased variance, float32 [channels].
    """
    import tensorflow as tf

    channels = inputs.shape[-1]
    count = tf.cast(tf.size(inputs) // channels, "float32")
    missing = -channels % _REGISTER if whole_registers else 0
    scale = tf.ones(channels) if gamma is None else tf.convert_to_tensor(gamma)
    offset = tf.zeros(channels) if beta is None else tf.convert_to_tensor(beta)
    if missing:
        inputs = tf.pad(inputs, [[0, 0], [0, 0], [0, 0], [0, missing]])
        scale, offset = (tf.pad(values, [[0, missing]]) for values in (scale, offset))
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    )
    if missing:
        outputs = tf.slice(outputs, [0, 0, 0, 0], [-1, -1, -1, channels])  # whose gradient is quicker than an index's
        mean, unbiased = mean[:channels], unbiased[:channels]
    # Of one value the kernel's variance is not defined and Keras's is 0.
    return outputs, mean, tf.math.multiply_no_nan(unbiased, (count - 1) / count)
