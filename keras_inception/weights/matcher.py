"""From the tensors of a file to the weights of a model: by name, with every tensor of both sides accounted for.

Matching is strict. A missing tensor, an unexpected one, a shape, a kind of number or a value that cannot be right: each
is refused before anything of the model has changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from keras_inception.naming import head_of, is_classifier, is_head
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.layouts import Converter, Transform
from keras_inception.weights.slots import Slot
from keras_inception.weights.tensors import Array, FileTensor, FileTensors


@dataclass(frozen=True)
class Step:
    """One weight of the model and the tensor that fills it."""

    slot: Slot
    source: str
    tensor: FileTensor
    transform: Transform


def plan(
    model_slots: Iterable[Slot], tensors: FileTensors, converter: Converter, *, trunk_only: bool = False
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
    unexpected = [name for name in tensors if name not in used and not _is_idle(name, wanted, converter)]
    if unexpected:
        raise WeightsError(_unexpected_sentence(unexpected, converter))
    return steps


def read(arrays: Iterable[tuple[Step, Array]]) -> list[tuple[Slot, Array]]:
    """Lays out the tensors of the steps, as they were read, as the model's weights.

    Raises:
        WeightsError: A value is not a finite number.
    """
    values = []
    for step, array in arrays:
        value = np.asarray(step.transform(array), dtype="float32")
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


def coverage(model_slots: Iterable[Slot], tensors: FileTensors, converter: Converter) -> int:
    """How many weights of the model the converter finds in the file: what tells one source from another."""
    names = converter.layout.view(tensors)
    return sum(
        any(converter.modules[slot.layer] + suffix in names for suffix in converter.layout.suffixes(slot))
        for slot in model_slots
        if slot.layer in converter.modules
    )


def _transform(slot: Slot, tensor: FileTensor, converter: Converter) -> Transform:
    if slot.name == "kernel":
        transform = converter.transforms.get(slot.layer) or converter.layout.kernels.get(slot.kind, _same)
    else:
        transform = _same
    classes = slot.variable.shape[-1]
    if slot.counts_classes and converter.layout.background_class and tensor.shape[-1:] == (classes + 1,):
        return lambda array: transform(array)[..., 1:]
    return transform


def _same(array: Array) -> Array:
    return array


def _check_shape(slot: Slot, source: str, tensor: FileTensor, transform: Transform) -> None:
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


def _is_idle(name: str, wanted: list[Slot], converter: Converter) -> bool:
    """Whether a tensor is of no use for good reasons: a counter, a constant, or part of a head the model lacks."""
    if converter.layout.ignored.search(name) or converter.constants.search(name):
        return True
    filled = {slot.layer for slot in wanted}
    idle = (theirs for ours, theirs in converter.modules.items() if is_head(ours) and ours not in filled)
    return any(
        name.startswith(module) and not name[len(module)].isalnum() for module in idle if len(name) > len(module)
    )


def _missing_sentence(missing: list[tuple[Slot, list[str]]], converter: Converter) -> str:
    slot, names = missing[0]
    if all(is_head(slot.layer) for slot, _ in missing):
        heads = ", ".join(sorted({repr(head_of(slot.layer)) for slot, _ in missing}))
        return (
            f"The file, read as {converter.name}, has no weights for the classifiers {heads} of the model: build it "
            f"without them, or load the trunk alone with trunk_only=True. Received: no {slot.path!r}."
        )
    return (
        f"Every weight of the model needs a tensor of the file, read as {converter.name}. Received: none for "
        f"{len(missing)} weights, the first {slot.path!r}" + (f" (looked for {names[0]!r})." if names else ".")
    )


def _unexpected_sentence(unexpected: list[str], converter: Converter) -> str:
    return (
        f"Every tensor of the file, read as {converter.name}, must belong to the model. "
        f"Received: {len(unexpected)} that do not, the first {unexpected[0]!r}."
    )
