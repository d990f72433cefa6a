"""From the tensors of a foreign file to the weights of a model: by name, with every tensor of both sides accounted for.

A converter is data: which module of the source each layer of ours is, and in which layout the source keeps its
tensors. Matching is strict. A tensor that no rule names, a weight that no tensor fills, a shape, a kind of number or a
value that cannot be right: each is refused before anything of the model has changed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from keras_inception.weights.errors import WeightsError

Array: TypeAlias = Any
Transform: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file, not yet read.

    Attributes:
        shape: Its shape.
        dtype: Name of its number type, such as `"float32"`.
        read: Reads it.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]


Tensors: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Slot:
    """A weight of a model.

    Attributes:
        layer: Name of its layer; the two kernels of a separable convolution count as layers of their own,
            `NAME.depthwise` and `NAME.pointwise`.
        kind: `"conv"`, `"depthwise"`, `"pointwise"`, `"dense"` or `"batch_norm"`.
        name: `"kernel"`, `"bias"`, `"gamma"`, `"beta"`, `"moving_mean"` or `"moving_variance"`.
        position: Its index among the weights of its layer, in Keras's order.
        variable: The Keras variable.
    """

    layer: str
    kind: str
    name: str
    position: int
    variable: Any

    @property
    def path(self) -> str:
        """Name of the weight: its layer's and Keras's own."""
        return f"{self.layer.partition('.')[0]}/{self.variable.name}"

    @property
    def is_head(self) -> bool:
        """Whether the weight belongs to a classifier, whose width is the number of classes."""
        return self.layer.endswith("_logits")


@dataclass(frozen=True)
class Layout:
    """How a family of files names and lays out the tensors of one module.

    Attributes:
        name: Its name, for messages.
        suffixes: From a slot to what may follow the name of its module, the likeliest first.
        kernels: By kind of layer, from the file's kernel to Keras's.
        view: Regularises the file's names: chooses averaged weights, numbers layers by rank, joins groups.
        ignored: Matches names that hold no weights: counters and optimizer slots.
        background_class: Files may hold one class more than the model, a background class at index 0.
    """

    name: str
    suffixes: Callable[[Slot], tuple[str, ...]]
    kernels: Mapping[str, Transform] = field(default_factory=dict)
    view: Callable[[Tensors], Tensors] = dict
    ignored: re.Pattern[str] = re.compile(r"(?!)")
    background_class: bool = False


@dataclass(frozen=True)
class Converter:
    """A way from one source's files into one of our networks.

    Attributes:
        name: Source and network, such as `"slim/inception_v3"`.
        layout: The layout of the source.
        modules: Name of the source's module by name of our layer.
        transforms: From the file's kernel to Keras's, by name of our layer, where the layout's rule does not hold.
        constants: Matches modules that the source stores and that hold nothing trained.
    """

    name: str
    layout: Layout
    modules: Mapping[str, str]
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    constants: re.Pattern[str] = re.compile(r"(?!)")


@dataclass(frozen=True)
class Step:
    """One weight of the model and the tensor that fills it."""

    slot: Slot
    source: str
    tensor: Tensor
    transform: Transform


def expand(pattern: str) -> list[str]:
    """Expands braces as a shell does: `"a{1..3}_{x,y}"` is a1_x, a1_y, a2_x, a2_y, a3_x, a3_y."""
    parts = re.split(r"(\{[^{}]*\})", pattern)
    choices = [_choices(part[1:-1]) if part.startswith("{") else [part] for part in parts]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choices(text: str) -> list[str]:
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    return [str(n) for n in range(int(numbers[1]), int(numbers[2]) + 1)] if numbers else text.split(",")


def expand_pairs(table: Mapping[str, str]) -> dict[str, str]:
    """Expands the braces of a table of ours to theirs, pair by pair."""
    pairs: dict[str, str] = {}
    for ours, theirs in table.items():
        pairs.update(zip(expand(ours), expand(theirs), strict=True))
    return pairs


def with_parts(units: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """From units to layers: `parts` maps `"conv"` and `"bn"` to what the source calls them, `*` being its unit."""
    return {
        f"{ours}_{part}": template.replace("*", theirs)
        for ours, theirs in units.items()
        for part, template in parts.items()
    }


def slots(model: Any, skip: Collection[str] = ()) -> list[Slot]:
    """The weights of a model in the order of its layers, those of the layers in `skip` left out.

    Raises:
        WeightsError: A layer has weights of a kind that no network here has.
    """
    return [slot for layer in model.layers if layer.name not in skip for slot in _layer_slots(layer)]


def _layer_slots(layer: Any) -> Iterator[Slot]:
    kind = _KINDS.get(type(layer).__name__)
    if not layer.weights:
        return
    if kind is None:
        raise WeightsError(f"Weights load into layers of {', '.join(_KINDS)}. Received: {type(layer).__name__}.")
    for position, variable in enumerate(layer.weights):
        name = variable.name
        if kind == "separable" and name.endswith("_kernel"):
            part = name.removesuffix("_kernel")
            yield Slot(f"{layer.name}.{part}", part, "kernel", position, variable)
        else:
            yield Slot(layer.name, "conv" if kind == "separable" else kind, name, position, variable)


_KINDS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "SeparableConv2D": "separable",
    "Dense": "dense",
    "BatchNormalization": "batch_norm",
}


def plan(
    model_slots: Iterable[Slot], tensors: Tensors, converter: Converter, *, trunk_only: bool = False
) -> list[Step]:
    """Pairs the weights of a model with the tensors of a file, reading none of them.

    Args:
        model_slots: The weights to fill.
        tensors: The file's tensors by name.
        converter: The rules.
        trunk_only: Leave the classifiers as they are.

    Returns:
        The pairs, in the order of the model's weights.

    Raises:
        WeightsError: A tensor is missing, unknown, or has another shape or kind of number than the model's weight.
    """
    layout = converter.layout
    tensors = layout.view(tensors)
    wanted = [slot for slot in model_slots if not (trunk_only and is_classifier(slot.layer))]
    steps, missing = [], []
    for slot in wanted:
        module = converter.modules.get(slot.layer)
        names = [] if module is None else [module + suffix for suffix in layout.suffixes(slot)]
        source = next((name for name in names if name in tensors), None)
        if source is None:
            missing.append((slot, names))
            continue
        transform = _transform(slot, tensors[source], converter)
        _check_shape(slot, source, tensors[source], transform)
        steps.append(Step(slot, source, tensors[source], transform))
    if missing:
        raise WeightsError(_missing_sentence(missing, converter))
    used = {step.source for step in steps}
    strangers = [name for name in tensors if name not in used and not _is_idle(name, wanted, converter)]
    if strangers:
        raise WeightsError(_strangers_sentence(strangers, converter))
    return steps


def read(steps: Iterable[Step]) -> list[tuple[Slot, Array]]:
    """Reads the tensors and lays them out as the model's weights.

    Raises:
        WeightsError: A value is not a finite number.
    """
    values = []
    for step in steps:
        value = np.asarray(step.transform(step.tensor.read()), dtype="float32")
        if not np.isfinite(value).all():
            raise WeightsError(
                f"Weights must be finite numbers. Received: NaN or infinity in {step.source!r}, for {step.slot.path!r}."
            )
        values.append((step.slot, value))
    return values


def assign(values: list[tuple[Slot, Array]]) -> None:
    """Puts the values into the model's variables; the list is used up, so that each is held only once."""
    values.reverse()
    while values:
        slot, value = values.pop()
        slot.variable.assign(value)


def coverage(model_slots: Iterable[Slot], tensors: Tensors, converter: Converter) -> int:
    """How many weights of the model the converter finds in the file: what tells one source from another."""
    names = converter.layout.view(tensors)
    return sum(
        any(converter.modules[slot.layer] + suffix in names for suffix in converter.layout.suffixes(slot))
        for slot in model_slots
        if slot.layer in converter.modules
    )


def _transform(slot: Slot, tensor: Tensor, converter: Converter) -> Transform:
    if slot.name == "kernel":
        transform = converter.transforms.get(slot.layer) or converter.layout.kernels.get(slot.kind, _same)
    else:
        transform = _same
    classes = slot.variable.shape[-1]
    if slot.is_head and converter.layout.background_class and classes + 1 in tensor.shape:
        return lambda array: transform(array)[..., 1:]
    return transform


def _same(array: Array) -> Array:
    return array


def _check_shape(slot: Slot, source: str, tensor: Tensor, transform: Transform) -> None:
    if not re.fullmatch(r"b?float\d+(_\w+)?", tensor.dtype):
        raise WeightsError(
            f"Weights are floating-point numbers. Received: {source!r}, for {slot.path!r}, holds {tensor.dtype}."
        )
    expected = tuple(slot.variable.shape)
    slack = 2  # a background class can at most double a head of one class
    shape: tuple[int, ...] | None = None
    if math.prod(tensor.shape) <= slack * math.prod(expected):
        try:
            shape = transform(np.empty(tensor.shape, "int8")).shape
        except (ValueError, IndexError):
            shape = None
    if shape != expected:
        raise WeightsError(
            f"The weight {slot.path!r} of the model has the shape {expected}. "
            f"Received: {source!r} of the shape {tuple(tensor.shape)}."
        )


def is_classifier(layer: str) -> bool:
    """Whether a layer of ours belongs to a classifier, main or auxiliary."""
    return layer.split("_")[0] in ("predictions", "aux", "aux1", "aux2")


def _in_head(layer: str) -> bool:
    """Whether a model without its top may lack the layer: a classifier's, or the bottleneck before it."""
    return is_classifier(layer) or layer.startswith("embedding")


def _is_idle(name: str, wanted: list[Slot], converter: Converter) -> bool:
    """Whether a tensor is of no use for good reasons: a counter, a constant, or part of a head the model lacks."""
    if converter.layout.ignored.search(name) or converter.constants.search(name):
        return True
    filled = {slot.layer for slot in wanted}
    idle = (theirs for ours, theirs in converter.modules.items() if _in_head(ours) and ours not in filled)
    return any(
        name.startswith(module) and not name[len(module)].isalnum() for module in idle if len(name) > len(module)
    )


def _missing_sentence(missing: list[tuple[Slot, list[str]]], converter: Converter) -> str:
    slot, names = missing[0]
    if all(_in_head(slot.layer) for slot, _ in missing):
        heads = ", ".join(sorted({repr(slot.layer.split("_")[0]) for slot, _ in missing}))
        return (
            f"The file, read as {converter.name}, has no weights for the classifiers {heads} of the model: build it "
            f"without them, or load the trunk alone with trunk_only=True. Received: no {slot.path!r}."
        )
    return (
        f"Every weight of the model needs a tensor of the file, read as {converter.name}. Received: none for "
        f"{len(missing)} weights, the first {slot.path!r}" + (f" (looked for {names[0]!r})." if names else ".")
    )


def _strangers_sentence(strangers: list[str], converter: Converter) -> str:
    return (
        f"Every tensor of the file, read as {converter.name}, must belong to the model. "
        f"Received: {len(strangers)} that do not, the first {strangers[0]!r}."
    )
