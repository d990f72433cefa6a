"""What of a network becomes integers, which of its tensors share a range, and what is fused with what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_inception.integers import IntegerPixels

from .equalization import DisjointSets
from .graph import nodes

_ACTIVATIONS = {
    keras.activations.linear: "linear",
    keras.activations.relu: "relu",
    keras.activations.relu6: "relu6",
}
KINDS = {
    keras.layers.Conv2D: "plain",
    keras.layers.DepthwiseConv2D: "depthwise",
    keras.layers.Dense: "dense",
}
_SHUFFLE = "keras_inception>ChannelShuffle"
_NOTHING = (keras.layers.Identity, keras.layers.Dropout)  # in inference, and in an integer file
# What answers numbers that it reads: all that meets in one has one range.
_KEEPING = (
    keras.layers.Concatenate,
    keras.layers.Cropping2D,
    keras.layers.Flatten,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Permute,
    keras.layers.Reshape,
    keras.layers.ZeroPadding2D,
)


@dataclass
class Plan:
    """What of a twin is simulated, and how.

    Attributes:
        calls: Its calls in their order, without those that do nothing in an integer file, or nothing by themselves.
        same: By the identity of a tensor that such a call answers, what it reads.
        scaled: By the identity of a tensor, the one in the twin whose values it has.
        fused: By the identity of a tensor, the activation that alone reads it, as a name and as the tensor it answers.
        sets: Of tensors that have one range, by their identities.
        kernels: By a layer's name, its weights where they take up what is around it.
        offset: Of the pixels, where the first layers take them as integers.
        outputs: The twin's.
        unit: What a step of the pixels is worth.
    """

    calls: list[Any]
    same: dict[int, Any]
    scaled: dict[int, Any]
    fused: dict[int, tuple[str, Any]]
    sets: DisjointSets
    kernels: dict[str, list[np.ndarray]]
    offset: int | None
    outputs: list[Any]
    unit: float = IntegerPixels.UNIT

    def source(self, tensor: Any) -> Any:
        """What a tensor is, behind calls that do nothing."""
        return self.same.get(id(tensor), tensor)

    def inputs(self, node: Any) -> list[Any]:
        """What a call reads."""
        return [self.source(tensor) for tensor in node.input_tensors]

    def result(self, node: Any) -> Any:
        """What a call answers, behind the activation that is fused with it."""
        tensor = node.output_tensors[0]
        return self.fused[id(tensor)][1] if id(tensor) in self.fused else tensor

    def of(self, tensor: Any) -> Hashable:
        """The set of a tensor."""
        return self.sets.of(id(tensor))


def planned(twin: keras.Model) -> Plan:
    """How a twin is simulated.

    Args:
        twin: A model that `deploy` returned with folded batch norms, without separable convolutions and average pools.
    """
    plan = Plan([], {}, {}, {}, DisjointSets(), {}, None, [])
    every = [node for node in nodes(twin) if type(node.operation) is not keras.layers.InputLayer]
    for node in every:
        if type(node.operation) in _NOTHING:
            plan.same[id(node.output_tensors[0])] = plan.source(node.input_tensors[0])
    plan.outputs = [plan.source(tensor) for tensor in twin.outputs]
    reading: dict[int, list[Any]] = defaultdict(list)
    for node in every:
        if type(node.operation) not in _NOTHING:
            for tensor in plan.inputs(node):
                reading[id(tensor)].append(node)
    swallowed = _take_scales(plan, every, reading) + _take_pixels(plan, twin, reading)
    for node in every:
        readers, answer = reading[id(node.output_tensors[0])], node.output_tensors[0]
        if type(node.operation) in (*KINDS, keras.layers.Add) and len(readers) == 1 and answer not in plan.outputs:
            name = activation_of(readers[0].operation)
            if name is not None and own_activation(node.operation) == "linear":
                plan.fused[id(answer)] = name, readers[0].output_tensors[0]
                swallowed.append(readers[0])
    plan.calls = [n for n in every if type(n.operation) not in _NOTHING and n not in swallowed]
    for node in plan.calls:
        if keeps(node.operation):
            plan.sets.join(map(id, [*plan.inputs(node), *node.output_tensors]))
    return plan


def _take_scales(plan: Plan, every: list[Any], reading: dict[int, list[Any]]) -> list[Any]:
    """Lets convolutions take up the factors of what alone reads them, such as those of scaled residuals."""
    taken = []
    for node in every:
        layer = node.operation
        if type(layer) is not keras.layers.Rescaling or np.any(layer.offset) or np.ndim(layer.scale):
            continue
        tensor = plan.source(node.input_tensors[0])
        maker = tensor._keras_history.operation
        alone = type(maker) in KINDS and len(reading[id(tensor)]) == 1 and own_activation(maker) == "linear"
        if alone:
            plan.kernels[maker.name] = [array * np.float32(layer.scale) for array in maker.get_weights()]
            plan.same[id(node.output_tensors[0])] = tensor
            plan.scaled[id(tensor)] = node.output_tensors[0]
            reading[id(tensor)] = reading[id(node.output_tensors[0])]
            taken.append(node)
    return taken


def _take_pixels(plan: Plan, twin: keras.Model, reading: dict[int, list[Any]]) -> list[Any]:
    """Lets the first convolutions take up the scale of the pixels, so that an integer file reads all levels of them.

    Padding is a whole pixel value then. Where that is far from what the network pads with, the pixels become floats
    first, as they do where others than convolutions read them.
    """
    pixels = twin.inputs[0]
    first, *others = reading[id(pixels)]
    if others or type(first.operation) is not keras.layers.Rescaling:
        plan.offset, plan.unit = 0, 1.0
        return []
    scale, shift = (
        np.broadcast_to(np.asarray(values, "float64"), pixels.shape[-1])
        for values in (first.operation.scale, first.operation.offset)
    )
    zeros = -shift / scale  # the pixels that become 0
    offset = int(np.clip(np.rint(zeros.mean()), 0, 255))
    readers = [node.operation for node in reading[id(first.output_tensors[0])]]
    if first.output_tensors[0] in plan.outputs or not all(_takes_pixels(layer, zeros - offset) for layer in readers):
        return []
    for layer in readers:
        kernel, *bias = layer.get_weights()
        kernel = kernel * scale[:, None]  # its input channels are the last axis but one
        moved, kernel = kernel * (offset - zeros)[:, None], kernel / IntegerPixels.UNIT
        total = moved.sum((0, 1) if type(layer) is keras.layers.DepthwiseConv2D else (0, 1, 2)).reshape(-1)
        plan.kernels[layer.name] = [kernel, sum(bias) + total]
    plan.offset = offset
    plan.same[id(first.output_tensors[0])] = pixels
    return [first]


def _takes_pixels(layer: Any, off: np.ndarray) -> bool:
    """Whether a layer can read pixels whose zero is off by some levels in each channel."""
    known = type(layer) is keras.layers.DepthwiseConv2D or (type(layer) is keras.layers.Conv2D and layer.groups == 1)
    return known and (layer.padding == "valid" or np.abs(off).max() <= 0.5)


def activation_of(operation: Any) -> str | None:
    """The name of an operation that is an activation which integer kernels fuse with what is before it."""
    if type(operation) is keras.layers.Activation:
        name = _ACTIVATIONS.get(operation.activation)
        return None if name == "linear" else name
    if type(operation) is keras.layers.ReLU and not operation.negative_slope and not operation.threshold:
        return {None: "relu", 6: "relu6"}.get(operation.max_value)
    return None


def own_activation(operation: Any) -> str | None:
    """The name of the activation inside a layer; None for one that integer kernels do not fuse."""
    return _ACTIVATIONS.get(getattr(operation, "activation", keras.activations.linear))


def keeps(operation: Any) -> bool:
    """Whether an operation answers numbers that it reads, so that they keep their range."""
    return type(operation) in _KEEPING or keras.saving.get_registered_name(type(operation)) == _SHUFFLE
