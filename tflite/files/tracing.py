"""A deployed network as a traced function: pixels in, predictions out, by the names that every file has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from .modes import MODES

SIGNATURE = "serving_default"
INPUT = "images"
OUTPUT = "predictions"


def constant_weights(twin: keras.Model) -> Callable[[Any], Any]:
    """The network as a function that, when traced, holds its weights as constants."""
    import tensorflow as tf

    trainable = [np.asarray(variable) for variable in twin.trainable_variables]
    others = [np.asarray(variable) for variable in twin.non_trainable_variables]

    def call(images: Any) -> Any:
        constants = [tf.constant(value) for value in trainable], [tf.constant(value) for value in others]
        answer, _ = twin.stateless_call(*constants, images, training=False)
        return answer

    return call


def trace(twin: keras.Model, mode: str, batch: int | None) -> Any:
    """Traces the twin with its weights as constants: the form that the converter folds best.

    Args:
        twin: A model that `deploy` returned.
        mode: The TFLite mode, which decides how the pixels enter.
        batch: Batch size; None: any.

    Returns:
        A concrete function from `images` to `predictions`.
    """
    import tensorflow as tf

    network = constant_weights(twin)
    pixel_type = tf.float32 if MODES[mode].pixels_by_converter else tf.uint8

    def serve(images: Any) -> dict[str, Any]:
        return {OUTPUT: network(tf.cast(images, tf.float32))}

    spec = tf.TensorSpec((batch, *image_shape(twin)), pixel_type, name=INPUT)
    return tf.function(serve, input_signature=[spec], autograph=False).get_concrete_function()


def image_shape(twin: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels that a model takes; raises `ExportError` unless they are fixed."""
    shape = tuple(twin.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ExportError(f"The model must take images of one size, input_shape=(h, w, c). Received: {shape}.")
    return shape
