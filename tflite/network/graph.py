"""Keras's graphs: what an operation's output is read by, and copies that keep their weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_inception.integers import IntegerPixels

from ..errors import ExportError, first_line


def nodes(model: keras.Model) -> list[Any]:
    """The calls that a functional model consists of, in the order in which they can be made.

    A layer that other models use as well has more calls than these.
    """
    graph = getattr(model, "_functional", None) or model  # of a Sequential, the model that it has inside
    depths = graph._nodes_by_depth  # Keras offers no public way to ask for them
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth]]


def readers(model: keras.Model) -> dict[str, list[Any]]:
    """The operations that read each operation's output, by its name; one that reads it twice is there twice."""
    found: dict[str, list[Any]] = defaultdict(list)
    for node in nodes(model):
        for parent in node.parent_nodes:
            found[parent.operation.name].append(node.operation)
    return found


def maker(tensor: Any) -> tuple[Any, Any]:
    """The operation that made a symbolic tensor, and the first tensor that it made it from."""
    history = tensor._keras_history  # Keras offers no public way to ask for it
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors[0]


def scales_pixels(model: keras.Model) -> bool:
    """Whether a model of one input scales what it is given before any weights see it.

    Of the layers behind weights nothing follows: InceptionResNet scales its residuals with the same kind of layer.
    """
    reading, seen = readers(model), set()
    waiting = [model.inputs[0]._keras_history.operation]
    while waiting:
        for operation in reading[waiting.pop().name]:
            if isinstance(operation, keras.layers.Rescaling | keras.layers.Normalization | IntegerPixels):
                return True
            if operation.name not in seen and not getattr(operation, "weights", None):
                seen.add(operation.name)
                waiting.append(operation)
    return False


def copied(
    model: keras.Model,
    *,
    clone: Callable[[Any], Any] | None = None,
    call: Callable[..., Any] | None = None,
    weights: Mapping[str, list[np.ndarray]] | None = None,
) -> keras.Model:
    """Returns a frozen float32 copy of a functional model, weights included.

    Args:
        model: The model; it is not changed.
        clone: Makes the copy of a layer or an operation; None: `recreated`.
        call: Makes the call of a copy, given it and its arguments; None: plainly.
        weights: By a layer's name, what it gets in place of the original's weights; nothing where the list is empty.
    """
    copy = keras.models.clone_model(model, clone_function=clone or recreated, call_function=call)
    for layer in model.layers:
        arrays = (weights or {}).get(layer.name, layer.get_weights())
        if arrays:
            copy.get_layer(layer.name).set_weights(arrays)
    copy.trainable = False
    return copy


def recreated(layer: Any, **changes: Any) -> Any:
    """A layer or operation built anew from its configuration, in float32 and without its weights.

    Raises:
        ExportError: It has no configuration, or cannot be built from it.
    """
    try:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=recreated)
        config = layer.get_config() | changes
        if isinstance(layer, keras.layers.Layer):
            config["dtype"] = "float32"
        return type(layer).from_config(config)
    except ExportError:
        raise
    except Exception as error:  # whatever the layer's own code raises
        raise ExportError(
            "A layer must be one that its configuration rebuilds. "
            f"Received: {layer.name!r}, a {type(layer).__name__} ({first_line(error)})."
        ) from error


def compiled(function: Callable[[Any], Any]) -> Callable[[np.ndarray], list[Any]]:
    """A function of a batch for Keras's backend, compiled; its answer comes flat, in the backend's arrays.

    Args:
        function: Calls Keras models and operations on a float32 batch.
    """
    if keras.backend.backend() == "jax":
        import jax

        call, given = jax.jit(function), np.asarray
    else:
        import tensorflow as tf

        call, given = tf.function(function, autograph=False), tf.constant
    return lambda batch: keras.tree.flatten(call(given(batch.astype("float32"))))
