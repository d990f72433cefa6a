"""What a network knows inside: the outputs of its blocks and layers, and the vector that its classifier reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
from keras import activations, layers

from keras_inception.graph import blocks
from keras_inception.naming import PREDICTIONS, head_of

_CLASSIFYING = (activations.softmax, activations.sigmoid, activations.hard_sigmoid)
# What may stand between a classifier's weights and the answer, or between the pool and these.
_PASSED = (layers.Activation, layers.Dropout, layers.Flatten, layers.Identity, layers.ReLU, layers.Reshape)


def features(model: keras.Model, names: str | Iterable[str]) -> keras.Model:
    """Turns a network into one that answers the outputs of its end points.

    Args:
        model: A functional or Sequential model: one of this package, of another, or with models inside, whose end
            points are found as well.
        names: End points: names of blocks, as `block_table` and the command's `summary` list them, or of any layers.
            A block's output is that of the layer of its name. A single name stands for its output alone.

    Returns:
        A model of the same input and weights whose output is the dictionary `{"mixed_6e": ..., "global_pool": ...}` in
        the order of the names; for a single name, the tensor itself. What lies in an inner model is computed by
        a call of its own, beside the one that the outer end points follow from.

    Raises:
        ValueError: The model is no such model, there are no names, or one of them is none of its end points: the
            nearest ones are named.

    Example:
        >>> maps = ki.features(model, ["mixed_6e", "global_pool"])(images)
        >>> maps["mixed_6e"].shape
    """
    alone = isinstance(names, str)
    wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    if not wanted:
        raise ValueError("Features are of one end point at least. Received: no names.")
    graph = _functional(model)
    found = _outputs(graph, wanted)
    for name in wanted:
        if name not in found:
            _refuse_unknown(graph, name)
    outputs = found[wanted[0]] if alone else {name: found[name] for name in wanted}
    return keras.Model(graph.input, outputs, name=f"{model.name}_features")


def embedding(model: keras.Model) -> keras.Model:
    """Turns a network into one that answers the vector which its classifier reads: pooled features, or a bottleneck.

    The classifier is the last dense layer, or the last convolution where that sees a single pixel (MobileNet of
    keras.applications) or is pooled before the softmax (SqueezeNet). A network without one answers its own output, maps
    pooled by their average.

    Args:
        model: A functional or Sequential model with one output, or several of which the main one is named
            `"predictions"`; the classifier may lie in an inner model.

    Returns:
        A model of the same input and weights with the output [n, features], not normalised.

    Raises:
        ValueError: The model is no such model, has several outputs and no main one, or an end of another kind.
    """
    graph = _functional(model)
    output = _main_output(graph)
    read = _read_by_classifier(output) if len(output.shape) == 2 else None
    return keras.Model(graph.input, _vectors(graph, output if read is None else read), name=f"{model.name}_embedding")


def _functional(model: Any) -> Any:
    """The functional model that a model is or, like a Sequential, has."""
    graph = _inner(model)
    if graph is None:
        raise ValueError(
            f"The model must be a functional Keras model, or a Sequential one that is built. Received: {model!r}."
        )
    return graph


def _inner(operation: Any) -> Any:
    """The functional model that an operation of another one is; None for others."""
    graph = getattr(operation, "_functional", None) or operation
    return graph if isinstance(graph, keras.Model) and hasattr(graph, "operations") else None


def _nodes(graph: Any) -> Iterator[Any]:
    """The calls that a functional model consists of, the last first; a shared layer has more calls than these."""
    by_depth = graph._nodes_by_depth  # Keras offers no public way to ask for them
    return (node for depth in sorted(by_depth) for node in by_depth[depth])


def _node(tensor: Any) -> Any:
    """The call that made a symbolic tensor."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _outputs(graph: Any, names: list[str]) -> dict[str, Any]:
    """What end points answer by name, as far as they are there; those of an inner model in one call of it."""
    found: dict[str, Any] = {}
    for node in _nodes(graph):
        if node.operation.name in names:
            outputs = node.output_tensors
            found.setdefault(node.operation.name, outputs[0] if len(outputs) == 1 else list(outputs))
    for node in _nodes(graph):
        inner = _inner(node.operation)
        inside = {} if inner is None else _outputs(inner, [name for name in names if name not in found])
        if inside:
            found |= keras.Model(inner.inputs, inside, name=f"{inner.name}_features")(node.input_tensors)
    return found


def _refuse_unknown(graph: Any, name: str) -> None:
    known = list(dict.fromkeys(_known(graph)))
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    near = f"; near it are {', '.join(close)}" if close else ""
    shown = ", ".join(list(blocks(graph))[-8:])
    raise ValueError(
        f"An end point must be the name of a block or a layer, such as {shown}. "
        f"Received: {name!r} of {graph.name}{near}."
    )


def _known(graph: Any) -> Iterator[str]:
    """Names of all end points, blocks first."""
    yield from blocks(graph)
    for operation in graph.operations:
        inner = _inner(operation)
        yield from [operation.name] if inner is None else _known(inner)


def _main_output(graph: Any) -> Any:
    outputs = graph.output
    if isinstance(outputs, dict) and PREDICTIONS in outputs:
        return outputs[PREDICTIONS]
    tensors = keras.tree.flatten(outputs)
    named = [tensor for tensor in tensors if _node(tensor).operation.name == PREDICTIONS]
    if len(tensors) > 1 and len(named) != 1:
        names = ", ".join(map(str, graph.output_names))
        raise ValueError(f"One of several outputs must be named {PREDICTIONS!r}. Received: {names} of {graph.name}.")
    return named[0] if named else tensors[0]


def _read_by_classifier(tensor: Any, *, classifies: bool = False) -> Any:
    """What the classifier that ends in a tensor reads, vectors or maps; None where nothing looks like a classifier.

    Args:
        tensor: Of the model, its answer at first.
        classifies: Whether what follows the tensor tells classes.
    """
    while True:
        node = _node(tensor)
        operation, inner = node.operation, _inner(node.operation)
        if inner is not None:
            read = _read_by_classifier(inner.outputs[tensor._keras_history.tensor_index], classifies=classifies)
            return None if read is None else keras.Model(inner.inputs, read)(node.input_tensors)
        kind, activation = type(operation).__name__, getattr(operation, "activation", None)
        classifies |= activation in _CLASSIFYING or kind in ("Softmax", "Sigmoid")
        if isinstance(operation, layers.Dense):
            is_answer = classifies or activation in (None, activations.linear)
            return node.input_tensors[0] if is_answer and head_of(operation.name) != "embedding" else None
        if isinstance(operation, layers.Conv2D) and (classifies or _sees_one_pixel(operation, node)):
            return node.input_tensors[0]
        if not (isinstance(operation, _PASSED) or kind in ("Softmax", "Sigmoid") or (classifies and _pools(operation))):
            break
        tensor = node.input_tensors[0]
    if classifies:
        raise ValueError(
            "A classifier must be a dense layer or a convolution, with nothing but pools and activations behind it. "
            f"Received: classes of {type(operation).__name__} {operation.name!r}."
        )
    return None


def _sees_one_pixel(convolution: layers.Conv2D, node: Any) -> bool:
    height, width = _spatial(node.input_tensors[0].shape, convolution.data_format)
    return (height, width) == (1, 1)


def _pools(operation: Any) -> bool:
    return isinstance(operation, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D)


def _spatial(shape: Any, data_format: str) -> tuple[int | None, int | None]:
    height, width = shape[2:] if data_format == "channels_first" else shape[1:3]
    return height, width


def _vectors(graph: Any, tensor: Any) -> Any:
    """Maps pooled by their average; vectors as they are."""
    if len(tensor.shape) == 4:
        return layers.GlobalAveragePooling2D(data_format=_data_format(graph))(tensor)
    if len(tensor.shape) != 2:
        raise ValueError(
            f"An embedding must come from vectors [n, features] or maps. Received: shape {tuple(tensor.shape)} in "
            f"{graph.name}."
        )
    return tensor


def _data_format(graph: Any) -> str:
    """Which one the layers of a model have that have one."""
    known = (getattr(layer, "data_format", None) for layer in graph._flatten_layers(include_self=False))
    return next(filter(None, known), keras.config.image_data_format())
