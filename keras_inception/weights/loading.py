"""Loading weights into models, and writing them: what the package offers to its users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_inception.naming import PREDICTIONS, is_head
from keras_inception.preprocessing import get_preprocessing
from keras_inception.registry import get_entry
from keras_inception.weights import writers
from keras_inception.weights.converters import get_converter
from keras_inception.weights.fitting import IMAGENET, Request, Source, check_licence, find, resolve, warn_of_numerics
from keras_inception.weights.forms import published_arguments
from keras_inception.weights.metadata import description
from keras_inception.weights.resolved import Weights
from keras_inception.weights.sets import WeightSet
from keras_inception.weights.slots import slots

FORMATS: dict[str, writers.Format] = {".safetensors": "safetensors", ".h5": "h5", ".hdf5": "h5"}
MAX_CHANNELS = 4


def load_weights(
    model: Any, source: Source, *, trunk_only: bool = False, accept_license: bool = False
) -> WeightSet | None:
    """Loads weights into a model built by this package; all of them or none.

    Args:
        model: The model. That it computes under the numerics that the weights need is for its builder to see to; where
            the weights are known and it plainly does not, a warning says so.
        source: The tag of a released set or the path of a file; whose a file is, its names tell.
        trunk_only: Leave the classifiers, main and auxiliary, as they are: the way to fine-tune on other classes.
        accept_license: Accept a licence that forbids commercial use.

    Returns:
        What is known of the weights, None for a file that says nothing of itself.

    Raises:
        ValueError: The tag is unknown, or its licence has not been accepted.
        DownloadError: The file is not in the cache and cannot be had.
        WeightsError: The file is damaged or does not fit the model.
    """
    if isinstance(source, str) and source == IMAGENET:
        raise ValueError(
            "load_weights takes the tag of a released weight set or the path of a file; which set 'imagenet' is, a "
            "builder and weights.build know from their arguments. Received: source='imagenet'."
        )
    found = find(source)
    if found.weight_set is not None:
        check_licence(found.weight_set, accept_license)
        warn_of_numerics(found.weight_set, model)
    found.load_into(model, trunk_only=trunk_only)
    return found.weight_set


def build(
    source: Source, *, network: str = "", accept_license: bool = False, trunk_only: bool = False, **arguments: Any
) -> tuple[Any, Weights]:
    """Builds the network that a weight set belongs to, in the form that it needs, and loads the weights.

    Args:
        source: A tag; or `"imagenet"` or a path, with `network`.
        network: Registry id; tags and files of ours tell it.
        accept_license: Accept a licence that forbids commercial use.
        trunk_only: Leave the classifiers, main and auxiliary, random: the way to fine-tune on other `classes`.
        **arguments: Arguments of the builder, such as `include_top=False`.

    Returns:
        The model, for images of the size that the weights were evaluated on where it has its top and no other is asked
        for, and what is known of the weights: `preprocessing` is what its images want.

    Raises:
        ValueError: The source is unknown, does not go with the arguments, or its licence has not been accepted.
    """
    found = resolve(
        Request(
            source=source,
            network=network,
            arguments=arguments,
            trunk_only=trunk_only,
            accept_license=accept_license,
        )
    )
    arguments = dict(found.arguments)
    size = found.preprocessing.size if found.preprocessing and arguments.get("include_top", True) else None
    if size and not {"input_shape", "input_tensor"} & set(arguments):
        from keras_inception.layers import image_shape  # brings Keras, which nothing else here needs

        arguments["input_shape"] = image_shape(size)
    from keras_inception.application import build as build_network

    return build_network(get_entry(found.network).load_builder(), arguments, found), found


def save_weights(
    model: Any, path: str | Path, to: writers.Format | None = None, *, source: WeightSet | None = None
) -> None:
    """Writes the weights of a model as safetensors or HDF5, with names and metadata that tell what they are.

    Args:
        model: A model built by this package.
        path: The file; its suffix, `.safetensors`, `.h5` or `.hdf5`, tells the format where `to` does not.
        to: `"safetensors"` or `"h5"`.
        source: The weight set that they come from: its network, arguments, numerics, preprocessing and licence are
            noted, and `weights=path` then chooses them like the tag itself.

    Raises:
        ValueError: The format is unknown, or the model is not of the source's network.
        WeightsError: A weight is not a finite number.
    """
    path = Path(path)
    to = _format(path, to)
    if source is not None:
        _check_source(model, source)
        classes = [slot.variable.shape[-1] for slot in slots(model) if slot.layer == f"{PREDICTIONS}_logits"]
        if classes and classes[0] != source.classes:  # a classifier of the caller's own
            source = replace(source, classes=classes[0], labels=())
    metadata = {"model": str(model.name)} | (description(source) if source else {})
    writers.write(model, path, to, metadata)


def convert(
    source: Source,
    out: str | Path,
    to: writers.Format | None = None,
    *,
    network: str = "",
    accept_license: bool = False,
    labels: Sequence[str] = (),
    **arguments: Any,
) -> Path:
    """Reads weights of any known source and writes them as a file of ours.

    Args:
        source: As in `build`.
        out: The file to write.
        to: `"safetensors"` or `"h5"`; None: told by the suffix of `out`.
        network: As in `build`.
        accept_license: Accept a licence that forbids commercial use.
        labels: Names of the classes, noted in the file; empty: those that are known of the source.
        **arguments: Arguments of the builder.

    Returns:
        The path of the file written.

    Raises:
        ValueError: As in `build`.
        WeightsError: The file is damaged or does not fit the model.
    """
    to = _format(Path(out), to)
    model, found = build(source, network=network, accept_license=accept_license, **arguments)
    noted = found.weight_set or _noted(model, found)
    classes = int(found.arguments.get("classes", noted.classes))
    if labels and len(labels) != classes:
        raise ValueError(f"labels names every class of the network, {classes} of them. Received: {len(labels)}.")
    known = noted.labels if classes == noted.classes else ()
    save_weights(model, out, to, source=replace(noted, classes=classes, labels=tuple(labels) or known))
    return Path(out)


def _format(path: Path, to: writers.Format | None) -> writers.Format:
    if to is None and path.suffix not in FORMATS:
        raise ValueError(f"The name of a weights file ends in {', '.join(FORMATS)}, or to= tells. Received: {path}.")
    return to or FORMATS[path.suffix]


def _noted(model: Any, found: Weights) -> WeightSet:
    """What is known of the weights of a file that says nothing: what the caller said of it."""
    entry = get_entry(found.network)
    defaults = published_arguments(found.network)
    sides = [side for side in model.input_shape[1:] if side is not None and side > MAX_CHANNELS]
    return WeightSet(
        tag=found.path.name if found.path else "",
        network=found.network,
        arguments={
            name: value for name, value in found.arguments.items() if name in defaults and value != defaults[name]
        },
        numerics=found.arguments.get("numerics"),
        url="",
        converter="",
        licence="",
        preprocessing=replace(get_preprocessing(entry.name), size=sides[0] if sides else entry.input_size),
        aux_heads=bool(found.arguments.get("aux_heads", False)),
    )


def _check_source(model: Any, source: WeightSet) -> None:
    if not source.converter:
        return
    named = get_converter(source.converter).modules
    unknown = [slot.layer for slot in slots(model) if slot.layer not in named and not is_head(slot.layer)]
    if unknown:
        raise ValueError(
            f"source must be the weight set that the weights come from; {source.tag!r} is for "
            f"{get_entry(source.network).function_name}. Received: a model with the layer {unknown[0]!r}."
        )
