"""Reading a network as blocks: its table, its multiply-adds, its feature pyramid.

All of it follows from one rule of naming (see `keras_inception.naming`): the layer that ends a unit carries the
unit's name, and its parts carry it as a prefix. Nothing is stored with a model, so that a model loaded from a file
reads like a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_inception.layers import channel_axis
from keras_inception.naming import PREDICTIONS, blocks_of
from keras_inception.showing import html_table

BLOCK_HEADINGS = ("block", "output", "weights", "multiply-adds")


@dataclass(frozen=True)
class BlockRow:
    """One row of a network's table.

    Attributes:
        name: Name of the block.
        output_shape: Shape of its output for one image, without the batch axis.
        weights: Kernel weights of its convolutions and dense layers, biases and batch norms not counted, as the
            papers count.
        parameters: All its trainable weights.
        multiply_adds: Multiply-adds of its convolutions and dense layers for one image; None where the image size
            is unknown.
        layers: Names of its layers, in order.
    """

    name: str
    output_shape: tuple[int | None, ...]
    weights: int
    parameters: int
    multiply_adds: int | None
    layers: tuple[str, ...]


class BlockTable(list[BlockRow]):
    """The rows of a network's table; a notebook shows them as one."""

    def cells(self) -> list[tuple[str, str, str, str]]:
        """What is shown of each block, and their sums: name, shape of the output, weights, multiply-adds."""
        rows = [
            (
                row.name,
                "x".join("?" if side is None else str(side) for side in row.output_shape),
                f"{row.weights:,}" if row.weights else "",
                f"{row.multiply_adds / 1e6:,.2f} M" if row.multiply_adds else "",
            )
            for row in self
        ]
        weights, costs = sum(row.weights for row in self), sum(row.multiply_adds or 0 for row in self)
        kernels = ("kernels", "", f"{weights:,}", f"{costs / 1e6:,.2f} M")
        return [*rows, kernels, ("all trainable", "", f"{sum(row.parameters for row in self):,}", "")]

    def _repr_html_(self) -> str:
        return html_table(self.cells(), BLOCK_HEADINGS, bold=(len(self), len(self) + 1))


def blocks(model: keras.Model) -> dict[str, list[layers.Layer]]:
    """Groups the layers of a model into blocks, in the order in which the blocks end."""
    groups: dict[str, list[layers.Layer]] = {}
    for layer, block in zip(model.layers, _block_names(model).values(), strict=True):
        groups.setdefault(block, []).append(layer)
    position = {layer.name: index for index, layer in enumerate(model.layers)}
    return dict(sorted(groups.items(), key=lambda item: position[item[0]]))


def _block_names(model: keras.Model) -> dict[str, str]:
    """Name of the block by name of the layer."""
    readers: dict[str, list[str]] = {layer.name: [] for layer in model.layers}
    for layer in model.layers:
        for parent in parents(layer):
            if parent.name in readers:
                readers[parent.name].append(layer.name)
    return blocks_of(readers)


def block_table(model: keras.Model) -> BlockTable:
    """Reads a network as the table that its paper prints: a row a block.

    Args:
        model: A network of this package, built or loaded.

    Returns:
        The rows, from input to outputs.
    """
    rows = BlockTable()
    for name, members in blocks(model).items():
        costs = [_multiply_adds(layer) for layer in members]
        rows.append(
            BlockRow(
                name=name,
                output_shape=tuple(model.get_layer(name).output.shape[1:]),
                weights=sum(math.prod(kernel.shape) for layer in members for kernel in kernels(layer)),
                parameters=sum(math.prod(w.shape) for layer in members for w in layer.trainable_weights),
                multiply_adds=None if None in costs else sum(cost for cost in costs if cost),
                layers=tuple(layer.name for layer in members),
            )
        )
    return rows


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of all convolutions and dense layers of a model for one image.

    Raises:
        ValueError: The image size of the model is unknown.
    """
    cost = _multiply_adds(model)
    if cost is None:
        raise ValueError(
            f"Multiply-adds need a model with a known image size. Received: input shape {model.input_shape[1:]}."
        )
    return cost


def leaves(layer: layers.Layer) -> Iterator[layers.Layer]:
    """The layer, or those inside it where it is a model."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            yield from leaves(inner)
    else:
        yield layer


def kernels(layer: layers.Layer) -> list[Any]:
    """The kernels of a convolution or dense layer, or of those inside a model; empty for other layers."""
    if isinstance(layer, keras.Model):
        return [kernel for leaf in leaves(layer) for kernel in kernels(leaf)]
    named = ("depthwise_kernel", "pointwise_kernel") if isinstance(layer, layers.SeparableConv2D) else ("kernel",)
    return [getattr(layer, name) for name in named if hasattr(layer, name)]


def _multiply_adds(layer: layers.Layer) -> int | None:
    """Multiply-adds of a layer, or of those inside a model, for one image; None where an output size is unknown."""
    if isinstance(layer, keras.Model):
        costs = [_multiply_adds(leaf) for leaf in leaves(layer)]
        return None if None in costs else sum(cost for cost in costs if cost)
    weights = sum(math.prod(kernel.shape) for kernel in kernels(layer))
    if not weights:
        return 0
    shape = layer.output.shape[1:]
    spatial = shape[1:] if channel_axis() == 1 else shape[:-1]
    return None if None in spatial else weights * math.prod(spatial)


def feature_pyramid(model: keras.Model) -> keras.Model:
    """Turns a network into a detection backbone: the last block of each stride as a named output.

    Args:
        model: A network of this package, built or loaded, with its top or without, or a model with one inside.

    Returns:
        A model of the same input and weights whose output is the dictionary `{"P1": ..., "P2": ..., ...}`, where
        `P3` is the last feature map of stride `2 ** 3`. A level that a network skips is left out.

    Raises:
        ValueError: The model has no strided feature maps.
    """
    if isinstance(model, keras.Sequential):  # which has no `input` and `output` before it is called
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    block_names = _block_names(model)
    levels = {}
    for layer, stride in _strided_features(model):
        if layer.name == block_names[layer.name] and stride > 1 and math.log2(stride).is_integer():
            levels[f"P{int(math.log2(stride))}"] = layer.output
    inner = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if not levels and inner is not None:
        levels = feature_pyramid(inner)(_read(inner)[-1])
    if not levels:
        raise ValueError(f"A feature pyramid needs a network with strided feature maps. Received: {model.name!r}.")
    return keras.Model(model.input, levels, name=f"{model.name}_pyramid")


def _strided_features(model: keras.Model) -> Iterator[tuple[layers.Layer, int]]:
    """The layers with feature maps on the way to the network's features, each with its stride, from input on."""
    strides: dict[str, int] = {}
    trunk = _trunk(model)
    for layer in model.layers:
        if layer.name not in trunk:
            continue
        incoming = [strides[parent.name] for parent in parents(layer) if parent.name in strides]
        own = getattr(layer, "strides", 1)
        stride = max(incoming, default=1) * (max(own) if isinstance(own, tuple | list) else own)
        if len(layer.output.shape) == 4:
            strides[layer.name] = stride
            yield layer, stride


def _trunk(model: keras.Model) -> set[str]:
    """Names of the layers that the network's main output depends on: auxiliary heads left out."""
    outputs = model.output
    mains = outputs[PREDICTIONS] if isinstance(outputs, dict) and PREDICTIONS in outputs else outputs
    waiting, seen = [main._keras_history.operation for main in keras.tree.flatten(mains)], set()
    while waiting:
        layer = waiting.pop()
        if layer.name not in seen:
            seen.add(layer.name)
            waiting.extend(parents(layer))
    return seen


def parents(layer: Any) -> list[Any]:
    """The layers whose outputs a layer, or a model that is a layer of another, reads."""
    return [tensor._keras_history.operation for tensor in _read(layer)]


def _read(layer: Any) -> list[Any]:
    """The symbolic tensors that a layer, or a model that is a layer of another, reads."""
    if isinstance(layer, keras.Model):  # its `input` is its own
        return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return [] if isinstance(layer, layers.InputLayer) else keras.tree.flatten(layer.input)
