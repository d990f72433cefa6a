"""Parallel branches made cheaper, exactly: 1x1 convolutions side by side become one, pools move behind them.

Both work on a twin whose batch normalisations are folded. Results change by rounding alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np


@dataclass
class _Group:
    """1x1 convolutions that read one tensor and share an activation."""

    convolutions: list[Any]
    activation: Any
    merged: Any = None
    parts: list[Any] = field(default_factory=list)

    def part(self, layer: Any, x: Any) -> Any:
        """What `layer` would answer to `x`: a slice of the one convolution, made when it is first asked for."""
        names = [convolution.name for convolution in self.convolutions]
        if self.merged is None:
            widths = [convolution.filters for convolution in self.convolutions]
            self.merged = keras.layers.Conv2D(
                sum(widths), 1, activation=self.activation, name=f"{names[0]}_and_siblings", dtype="float32"
            )
            self.parts = keras.ops.split(self.merged(x), np.cumsum(widths)[:-1].tolist(), axis=-1)
        return self.parts[names.index(layer.name)]

    def take_weights(self) -> None:
        kernels, biases = zip(*(convolution.get_weights() for convolution in self.convolutions), strict=True)
        self.merged.set_weights([np.concatenate(kernels, axis=-1), np.concatenate(biases)])


def merge_branches(twin: keras.Model) -> keras.Model:
    """Returns a model that computes the same in fewer and smaller operations.

    - 1x1 convolutions that read the same tensor and have the same activation become one, whose output is split.
    - An average pool of stride 1 before a 1x1 convolution moves behind it, where it averages fewer channels. Both are
      linear and Keras's pool leaves padding out of its averages, so that they commute, bias included.

    The first saves reading the input several times, the second most of the pool. It pays in dynamic-range files, whose
    activations are quantised anew for every convolution; docs/performance.md has the figures. An integer file should
    not have its pools moved: the sum before the activation has a wider range than the one after it, and its eight bits
    become coarser.

    Args:
        twin: A model that `deploy` returned with folded batch normalisations.
    """
    readers = _readers(twin)
    pool_of = {
        convolution.name: pool.name
        for pool in twin.layers
        if _is_local_average(pool) and (convolution := _only(readers, pool)) is not None and _is_pointwise(convolution)
    }
    groups, silenced = _groups(twin, readers, set(pool_of))
    group_of = {convolution.name: group for group in groups for convolution in group.convolutions}
    pools: dict[str, Any] = {}

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name in pool_of.values():
            pools[layer.name] = layer
            return inputs[0]
        if layer.name in pool_of:
            return pools[pool_of[layer.name]](layer(*inputs, **options))
        if layer.name in group_of:
            return group_of[layer.name].part(layer, inputs[0])
        return inputs[0] if layer.name in silenced else layer(*inputs, **options)

    model = keras.models.clone_model(twin, clone_function=_clone, call_function=call)
    for layer in twin.layers:
        if layer.weights and layer.name not in group_of:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    for group in groups:
        group.take_weights()
    model.trainable = False
    return model


def convolve_pools(twin: keras.Model) -> keras.Model:
    """Returns a model whose average pools are depthwise convolutions with equal weights, which compute the same.

    LiteRT's fast integer kernels (XNNPACK's) have depthwise convolutions and no average pool; an int8 file falls back
    for every pool otherwise. A pool leaves padding out of its averages: where it pads, the convolution's answer is
    scaled by the share of the window that lies inside.

    Args:
        twin: A model that `deploy` returned.
    """

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if type(layer) is not keras.layers.AveragePooling2D or None in inputs[0].shape[1:]:
            return layer(*inputs, **options)
        equal = keras.initializers.Constant(1 / np.prod(layer.pool_size))
        arguments: dict[str, Any] = {"strides": layer.strides, "padding": layer.padding, "use_bias": False}
        convolution = keras.layers.DepthwiseConv2D(
            layer.pool_size, depthwise_initializer=equal, dtype="float32", name=layer.name, **arguments
        )
        answer = convolution(inputs[0])
        inside = keras.layers.DepthwiseConv2D(layer.pool_size, depthwise_initializer=equal, **arguments)
        share = np.asarray(inside(np.ones((1, *inputs[0].shape[1:3], 1), "float32")))
        return answer if share.min() > 1 - 1e-5 else answer * keras.ops.convert_to_tensor(1 / share)

    model = keras.models.clone_model(twin, clone_function=_clone, call_function=call)
    for layer in twin.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    model.trainable = False
    return model


def _clone(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _readers(model: keras.Model) -> dict[str, list[Any]]:
    """The operations that read each operation's output."""
    readers: dict[str, list[Any]] = defaultdict(list)
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                readers[parent.operation.name].append(operation)
    return readers


def _only(readers: dict[str, list[Any]], operation: Any) -> Any | None:
    found = readers[operation.name]
    return found[0] if len(found) == 1 else None


def _groups(model: keras.Model, readers: dict[str, list[Any]], taken: set[str]) -> tuple[list[_Group], set[str]]:
    """The convolutions to merge, and the names of the activation layers that the merged ones make superfluous."""
    siblings: dict[tuple[str, str], list[tuple[Any, Any]]] = defaultdict(list)
    for layer in model.layers:
        if _is_pointwise(layer) and layer.use_bias and layer.name not in taken:
            after = _activation_after(layer, readers)
            if after is not None:
                source = layer._inbound_nodes[0].parent_nodes[0].operation.name
                siblings[source, keras.activations.serialize(after.activation)].append((layer, after))
    chosen = [pairs for pairs in siblings.values() if len(pairs) > 1]
    groups = [_Group([convolution for convolution, _ in pairs], pairs[0][1].activation) for pairs in chosen]
    return groups, {after.name for pairs in chosen for convolution, after in pairs if after is not convolution}


def _activation_after(layer: Any, readers: dict[str, list[Any]]) -> Any | None:
    """The layer that applies the activation of a convolution: itself, or the only one that reads it."""
    # Only activations of one element at a time: a softmax over the merged channels would be another.
    if layer.activation is not keras.activations.linear:
        return layer if layer.activation in _ELEMENTWISE else None
    reader = _only(readers, layer)
    while isinstance(reader, keras.layers.Identity):  # where its batch normalisation was
        reader = _only(readers, reader)
    return reader if isinstance(reader, keras.layers.Activation) and reader.activation in _ELEMENTWISE else None


_ELEMENTWISE = (keras.activations.relu, keras.activations.relu6)


def _is_pointwise(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.kernel_size == layer.strides == layer.dilation_rate == (1, 1)
        and layer.groups == 1
        and len(layer._inbound_nodes) == 1
    )


def _is_local_average(layer: Any) -> bool:
    # Where a pool counts its padding, as PyTorch's does, ours are a padding layer and a "valid" pool: the bias would be
    # averaged with zeros at the borders.
    return (
        type(layer) is keras.layers.AveragePooling2D
        and tuple(layer.strides) == (1, 1)
        and layer.padding == "same"
        and len(layer._inbound_nodes) == 1
    )
