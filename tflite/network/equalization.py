"""Channels of one tensor brought to like ranges, so that one scale and eight bits serve all of them.

An int8 file stores a tensor of activations with a single scale, and the channel with the widest range sets it: one that
is a tenth as wide has a tenth of the steps. Between two convolutions nothing but their product counts: what the first
multiplies a channel by, the second can divide it by, through anything between them that a factor passes. That is the
cross-layer equalisation of Nagel, van Baalen, Blankevoort and Welling (https://arxiv.org/abs/1906.04721), with ranges
taken from images in place of weights, and through additions as well: all that meets in a residual stream shares its
factors. Weights keep a scale for each output channel, so that factors of a writer cost nothing.

A factor does not pass ReLU6, whose ceiling would move. Scaling narrow channels up below it, as far as a margin for
unseen images leaves room, brought MobileNetV2's answers no more than 1 % closer, and is left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import keras
import numpy as np
from keras import ops

from .graph import compiled, copied, nodes
from .rounding import IMAGES

_BATCH = 8
_NARROWEST = 1 / 32  # of the widest channel: one that calibration images leave silent is not magnified without bound
_ACTIVATIONS = (keras.activations.linear, keras.activations.relu)
# A positive factor of a channel before any of these is one after it.
_STORING = (
    keras.layers.Add,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.ZeroPadding2D,
)
_PASSING = (*_STORING, keras.layers.Dropout, keras.layers.Identity)


def equalize_channels(twin: keras.Model, images: np.ndarray) -> keras.Model:
    """Returns a copy of a twin that computes the same, through tensors whose channels have like ranges.

    Args:
        twin: A model that `deploy` returned with folded batch norms.
        images: Calibration images, uint8 [n, h, w, c].
    """
    streams = _streams(twin)
    equalized = copied(twin)
    for stream, widest in zip(streams, _ranges(twin, streams, images[:IMAGES]), strict=True):
        factors = widest.max(initial=1e-12) / np.maximum(widest, _NARROWEST * widest.max(initial=1e-12))
        for layer in stream.writers:
            _multiply(equalized.get_layer(layer.name), factors, "outputs")
        for layer in stream.readers:
            _multiply(equalized.get_layer(layer.name), 1 / factors, "inputs")
    return equalized


def scaled_layers(twin: keras.Model) -> set[str]:
    """Names of the layers whose answers `equalize_channels` multiplies by factors of channels, of at least 1."""
    return {name for stream in _streams(twin) for name in stream.layers}


@dataclass
class _Stream:
    """Tensors whose channels can only be scaled together.

    Attributes:
        writers: Layers whose output channels are the stream's.
        readers: Layers whose input channels are.
        stored: The tensors of the stream that an integer file stores, by identity: what any operation reads except an
            activation, which the converter fuses with the layer before it.
        layers: Names of all operations that answer one of the stream's tensors.
    """

    writers: list[Any] = field(default_factory=list)
    readers: list[Any] = field(default_factory=list)
    stored: dict[int, Any] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)


class DisjointSets:
    """Disjoint sets that grow together."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def of(self, item: Hashable) -> Hashable:
        """What stands for the set of an item."""
        while (parent := self._parents.setdefault(item, item)) != item:
            item = parent
        return item

    def join(self, items: Iterable[Hashable]) -> None:
        """Makes one set of those of some items."""
        first, *others = items
        for other in others:
            self._parents[self.of(other)] = self.of(first)


def _streams(twin: keras.Model) -> list[_Stream]:
    """The streams of a network that can be scaled: written and read by weights, and by nothing that a factor upsets."""
    calls = [(node.operation, node) for node in nodes(twin)]
    sets, closed = DisjointSets(), [*twin.inputs, *twin.outputs]
    for operation, node in calls:
        if _passes(operation):
            sets.join(map(id, [*node.input_tensors, *node.output_tensors]))
        elif not _is_scaled(operation, node):
            closed += [*node.input_tensors, *node.output_tensors]
        elif operation.activation not in _ACTIVATIONS:
            closed += node.output_tensors
    streams: dict[Hashable, _Stream] = {}
    for operation, node in calls:
        scaled = _is_scaled(operation, node)
        if scaled or type(operation) in _STORING:
            stream = streams.setdefault(sets.of(id(node.input_tensors[0])), _Stream())
            stream.stored |= {id(tensor): tensor for tensor in node.input_tensors}
        if scaled:
            stream.readers.append(operation)
            streams.setdefault(sets.of(id(node.output_tensors[0])), _Stream()).writers.append(operation)
    for operation, node in calls:
        if (of_answer := streams.get(sets.of(id(node.output_tensors[0])))) is not None:
            of_answer.layers.append(operation.name)
    for tensor in closed:
        streams.pop(sets.of(id(tensor)), None)
    return [stream for stream in streams.values() if stream.writers and stream.readers]


def _passes(operation: Any) -> bool:
    if type(operation) is keras.layers.ReLU:
        return operation.max_value is None and operation.threshold == 0
    if type(operation) is keras.layers.Activation:
        return operation.activation in _ACTIVATIONS
    return type(operation) in _PASSING


def _is_scaled(operation: Any, node: Any) -> bool:
    """Whether factors of its channels can be taken into the operation's weights."""
    if len(operation._inbound_nodes) != 1:
        return False
    if type(operation) is keras.layers.Dense:
        return len(node.input_tensors[0].shape) == 2
    if type(operation) is keras.layers.Conv2D:
        return operation.groups == 1
    return type(operation) is keras.layers.DepthwiseConv2D


def _ranges(twin: keras.Model, streams: list[_Stream], images: np.ndarray) -> list[np.ndarray]:
    """The largest magnitude in each channel of each stream, [channels]."""
    if not streams:
        return []
    reading = keras.Model(twin.inputs[0], [tensor for stream in streams for tensor in stream.stored.values()])

    def largest(batch: Any) -> list[Any]:
        stored = keras.tree.flatten(reading(batch, training=False))  # of one output, Keras answers no list
        maxima = (ops.max(ops.abs(x), axis=tuple(range(len(x.shape) - 1))) for x in stored)
        return [ops.max(ops.stack(list(islice(maxima, len(stream.stored)))), axis=0) for stream in streams]

    of_batch = compiled(largest)
    found = [of_batch(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    return [np.max(some, axis=0).astype("float64") for some in zip(*found, strict=True)]


def _multiply(layer: Any, factors: np.ndarray, side: str) -> None:
    """Multiplies the weights of a layer's input channels, or those of its output channels with their biases."""
    kernel, *bias = layer.get_weights()
    if side == "inputs":
        weights = [kernel * factors[:, None], *bias]  # a depthwise kernel, too, has its input channels last but one
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        weights = [kernel * factors.reshape(kernel.shape[2:]), *(array * factors for array in bias)]
    else:
        weights = [kernel * factors, *(array * factors for array in bias)]
    layer.set_weights([array.astype("float32") for array in weights])
