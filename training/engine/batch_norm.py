"""Batch norm as one kernel, where networks are trained on TensorFlow.

Keras 3.15 computes it operation by operation, under mixed precision in float32. Here layers stay Keras's: only while a
step is traced does their `call` say what to compute, so that whatever is saved, evaluated or exported never knows.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

FUSED_DTYPES = ("float32", "bfloat16", "float16")


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
        outputs, mean, variance = normalise(inputs, layer.gamma, layer.beta, layer.epsilon)
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
        return outputs

    return call


def normalise(inputs: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Normalises a batch by its own statistics, which are computed in float32.

    Args:
        inputs: [batch, height, width, channels], of a dtype in `FUSED_DTYPES`.
        gamma: scale [channels], None for ones.
        beta: offset [channels], None for zeros.
        epsilon: added to the variance.

    Returns:
        The outputs like the inputs; mean and biased variance, float32 [channels].
    """
    import tensorflow as tf

    channels = inputs.shape[-1]
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.ones(channels) if gamma is None else tf.convert_to_tensor(gamma),
        offset=tf.zeros(channels) if beta is None else tf.convert_to_tensor(beta),
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // channels, "float32")
    # Of one value the kernel's variance is not defined and Keras's is 0.
    return outputs, mean, tf.math.multiply_no_nan(unbiased, (count - 1) / count)
