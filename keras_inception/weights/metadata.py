"""What a file of ours says of the weights in it: a weight set as text, and back."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar

from keras_inception.naming import PREDICTIONS, is_aux_head
from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing
from keras_inception.registry import get_entry
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.forms import published_arguments
from keras_inception.weights.own import FORMAT
from keras_inception.weights.readers import open_weights, sniff
from keras_inception.weights.sets import WeightSet

MAX_IMAGE_SIZE = 4096
IMAGENET = "imagenet"
Record = TypeVar("Record", Numerics, Preprocessing)


def description(weight_set: WeightSet) -> dict[str, str]:
    """What a file of ours notes of its weights."""
    noted = {
        "weights": weight_set.tag,
        "network": weight_set.network,
        "arguments": json.dumps(dict(weight_set.arguments)),
        "numerics": json.dumps(dataclasses.asdict(weight_set.numerics) if weight_set.numerics else None),
        "preprocessing": json.dumps(dataclasses.asdict(weight_set.preprocessing)),
        "licence": weight_set.licence,
        "url": weight_set.url,
    }
    if weight_set.labels or weight_set.classes == WeightSet.classes:
        noted["labels"] = json.dumps(weight_set.labels) if weight_set.labels else IMAGENET
    return noted


def described(path: Path) -> WeightSet | None:
    """What a file of ours says of itself, as a weight set; None for files that say nothing.

    Raises:
        WeightsError: It says what cannot be.
    """
    if sniff(path) not in ("safetensors", "hdf5"):
        return None
    with open_weights(path) as file:
        metadata, aux_heads = file.metadata, any(is_aux_head(name) for name in file.tensors)
        classifier = file.tensors.get(f"{PREDICTIONS}_logits/kernel")
        classes = classifier.shape[-1] if classifier and classifier.shape else WeightSet.classes
    if metadata.get("format") != FORMAT or "network" not in metadata:
        return None
    try:
        numerics = json.loads(metadata["numerics"])
        preprocessing = _record(Preprocessing, json.loads(metadata["preprocessing"]))
        _check(0 < preprocessing.crop <= 1 and 0 < (preprocessing.size or 1) <= MAX_IMAGE_SIZE, "its size and crop")
        labels = metadata.get("labels", IMAGENET)
        return WeightSet(
            tag=path.name,
            network=get_entry(metadata["network"]).name,
            arguments=_arguments(metadata["network"], json.loads(metadata["arguments"])),
            numerics=None if numerics is None else _record(Numerics, numerics),
            url=metadata["url"],
            converter="",
            licence=metadata["licence"],
            preprocessing=preprocessing,
            classes=classes,
            labels=() if labels == IMAGENET else _labels(json.loads(labels), classes),
            aux_heads=aux_heads,
        )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise WeightsError(
            f"A file of ours says what its weights are. Received: {path.name}, which does not: {reason}"
        ) from error


def _arguments(network: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The builder's own arguments, of the types of their defaults; their values are the builder's to check."""
    defaults = published_arguments(network)
    for name, value in arguments.items():
        _check(name in defaults, f"the argument {name!r}")
        number = isinstance(defaults[name], float) and isinstance(value, int | float) and not isinstance(value, bool)
        same = type(value) is type(defaults[name]) if defaults[name] is not None else isinstance(value, int)
        _check(number or same, f"{name}={value!r}")
    return dict(arguments)


def _record(record_type: type[Record], values: Mapping[str, Any]) -> Record:
    """A record whose fields have the types that it declares; JSON's lists are tuples."""
    hints = typing.get_type_hints(record_type)
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in given.items():
        _check(name in hints and _is_a(value, hints[name]), f"{name}={value!r}")
    return record_type(**given)


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value is of a type of those that the records use."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is UnionType:
        return any(_is_a(value, part) for part in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == 3 and all(_is_a(part, arguments[0]) for part in value)
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, int | float if hint is float else hint)


def _labels(labels: Sequence[str], classes: int) -> tuple[str, ...]:
    _check(isinstance(labels, list) and all(isinstance(label, str) for label in labels), "its labels")
    _check(len(labels) == classes, f"{len(labels)} labels of {classes} classes")
    return tuple(labels)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"{what} cannot be.")
