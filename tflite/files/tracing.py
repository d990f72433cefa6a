"""A deployed network as a traced function: pixels in, predictions out, by the names that every file has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np

from keras_inception.integers import is_simulation

from ..network.deploying import EMBEDDING, image_shape
from ..network.familiarity import Familiarity
from .annotating import annotated
from .modes import MODES

SIGNATURE = "serving_default"
INPUT = "images"
OUTPUT = "predictions"
OUTPUTS = {"probabilities": OUTPUT, "logits": OUTPUT, EMBEDDING: EMBEDDING}
"""What a file calls its answer, by its kind."""
ANSWERS = " or ".join(map(repr, dict.fromkeys(OUTPUTS.values())))
UNFAMILIAR = "unfamiliar"
FEATURES = "features"  # of a TFLite file that is not finished: what `unfamiliar` is computed from


def constant_weights(twin: keras.Model) -> Callable[[Any], Any]:
    """The network as a function that, when traced, holds its weights as constants.

    A simulation keeps its variables: TensorFlow folds factors into constants where it can, and rounds otherwise then.
    """
    import tensorflow as tf

    if is_simulation(twin):
        return lambda images: twin(images, training=False)
    trainable = [np.asarray(variable) for variable in twin.trainable_variables]
    others = [np.asarray(variable) for variable in twin.non_trainable_variables]

    def call(images: Any) -> Any:
        constants = [tf.constant(value) for value in trainable], [tf.constant(value) for value in others]
        answer, _ = twin.stateless_call(*constants, images, training=False)
        return answer

    return call


def answering(
    network: Callable[[Any], Any], familiarity: Familiarity | None, output: str = OUTPUT
) -> Callable[[Any], dict[str, Any]]:
    """A network as a function of pixels that names what it answers.

    Args:
        network: From float32 pixels to its answer, or, with a familiarity, to that and features.
        familiarity: What tells strangers by those features.
        output: What the answer is called.
    """
    import tensorflow as tf

    def serve(images: Any) -> dict[str, Any]:
        answer = network(tf.cast(images, tf.float32))
        if familiarity is None:
            return {output: answer}
        predictions, features = answer
        return {output: predictions, UNFAMILIAR: familiarity.unfamiliar(features)}

    return serve


def trace(twin: keras.Model, mode: str, batch: int | None, output: str = OUTPUT) -> Any:
    """Traces the twin with its weights as constants: the form that the converter folds best.

    Args:
        twin: A model that `deploy` returned, or one with its features as a second output; in mode int8 a simulation,
            too, whose ranges are then traced.
        mode: The TFLite mode, which decides how the pixels enter.
        batch: Batch size; None: any.
        output: What the answer is called.

    Returns:
        A concrete function from `images` to the answer, and to `features` where the twin answers them.
    """
    import tensorflow as tf

    in_integers = is_simulation(twin)
    network = annotated(twin) if in_integers else constant_weights(twin)
    pixel_type = tf.float32 if MODES[mode].pixels_by_converter and not in_integers else tf.uint8

    def serve(images: Any) -> dict[str, Any]:
        answers = tf.nest.flatten(network(tf.cast(images, tf.float32)))
        return dict(zip((output, FEATURES), answers, strict=False))

    spec = tf.TensorSpec((batch, *image_shape(twin)), pixel_type, name=INPUT)
    return tf.function(serve, input_signature=[spec], autograph=False).get_concrete_function()


def trace_unfamiliar(familiarity: Familiarity, batch: int | None) -> Any:
    """Traces what follows the features: a concrete function from `features` to `unfamiliar`."""
    import tensorflow as tf

    spec = tf.TensorSpec((batch, len(familiarity.centre)), tf.float32, name=FEATURES)
    function = tf.function(
        lambda features: {UNFAMILIAR: familiarity.unfamiliar(features)}, input_signature=[spec], autograph=False
    )
    return function.get_concrete_function()


def output_named(names: Collection[str]) -> str | None:
    """The answer of an exported file among the names of its outputs."""
    return next((name for name in dict.fromkeys(OUTPUTS.values()) if name in names), None)
