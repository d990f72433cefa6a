"""A deployed network as a traced function: pixels in, predictions out, by the names that every file has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from ..network.deploying import EMBEDDING
from .modes import MODES

SIGNATURE = "serving_default"
INPUT = "images"
OUTPUT = "predictions"
OUTPUTS = {"probabilities": OUTPUT, "logits": OUTPUT, EMBEDDING: EMBEDDING}
"""What a file calls its answer, by its kind."""
ANSWERS = " or ".join(map(repr, dict.fromkeys(OUTPUTS.values())))


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


def trace(twin: keras.Model, mode: str, batch: int | None, output: str = OUTPUT) -> Any:
    """Traces the twin with its weights as constants: the form that the converter folds best.

    Args:
        twin: A model that `deploy` returned.
        mode: The TFLite mode, which decides how the pixels enter.
        batch: Batch size; None: any.
        output: What the answer is called.

    Returns:
        A concrete function from `images` to the answer.
    """
    import tensorflow as tf

    network = constant_weights(twin)
    pixel_type = tf.float32 if MODES[mode].pixels_by_converter else tf.uint8

    def serve(images: Any) -> dict[str, Any]:
        return {output: network(tf.cast(images, tf.float32))}

    spec = tf.TensorSpec((batch, *image_shape(twin)), pixel_type, name=INPUT)
    return tf.function(serve, input_signature=[spec], autograph=False).get_concrete_function()


def image_shape(twin: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels that a model takes; raises `ExportError` unless they are fixed."""
    shape = tuple(twin.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ExportError(f"The model must take images of one size, input_shape=(h, w, c). Received: {shape}.")
    return shape


def output_named(names: Collection[str]) -> str | None:
    """The answer of an exported file among the names of its outputs."""
    return next((name for name in dict.fromkeys(OUTPUTS.values()) if name in names), None)
