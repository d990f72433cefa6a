"""Loading weights into models, and writing them: what the package offers to its users.

A source of weights is `"imagenet"`, the tag of a released set, or a path. Everything that can be wrong with it is found
before a layer is built or a weight is changed.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing
from keras_inception.registry import get_entry
from keras_inception.weights import matcher, writers
from keras_inception.weights.catalogue import WeightSet, check_fit, default_weights, get_weights
from keras_inception.weights.download import fetch
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.matcher import Converter, Slot
from keras_inception.weights.readers import WeightsFile, open_weights, parse_json, sniff

Source: TypeAlias = str | Path
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Weights:
    """What a `weights` argument means.

    Attributes:
        weight_set: The released set; for a file of ours, what it says of itself; None for a file that says nothing.
        path: The file that was named; None where the set's own file is meant.
        trunk_only: Builders leave the classifiers, main and auxiliary, as they are.
    """

    weight_set: WeightSet | None
    path: Path | None = None
    trunk_only: bool = False

    @property
    def numerics(self) -> Numerics | None:
        """The numerics that the weights are exact under, where known."""
        return self.weight_set.numerics if self.weight_set else None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From a picture to the input that the weights were trained on, where known."""
        return self.weight_set.preprocessing if self.weight_set else None

    def file(self) -> Path:
        """The file, checked against its hash where it is a released set's; downloaded where the cache lacks it.

        Raises:
            DownloadError: The file is not in the cache and cannot be had.
            WeightsError: The file is not the one that was published.
        """
        if self.path is not None:
            return self.path
        assert self.weight_set is not None  # one of the two is given
        return fetch(self.weight_set)

    def load_into(
        self, model: Any, file: Path | None = None, *, trunk_only: bool = False, skip: Collection[str] = ()
    ) -> None:
        """Loads the weights into a model: all of them or none.

        Args:
            model: The model.
            file: What `file()` gave; None asks again.
            trunk_only: Leave the classifiers, main and auxiliary, as they are.
            skip: Names of layers that are none of ours.

        Raises:
            DownloadError: The file is not in the cache and cannot be had.
            WeightsError: The file is damaged or does not fit the model.
        """
        slots = matcher.slots(model, skip)
        released = self.weight_set if self.path is None else None
        with open_weights(file or self.file()) as opened:
            converter = converters()[released.converter] if released else _recognise(slots, opened)
            plan = matcher.plan(slots, opened.tensors, converter, trunk_only=trunk_only or self.trunk_only)
            values = matcher.read(plan)
            _check_own_hash(opened)
        matcher.assign(values)


@functools.cache
def converters() -> dict[str, Converter]:
    """All converters by name."""
    from keras_inception.weights import caffe, imgclsmob, keras_applications, pytorch, slim

    modules = (keras_applications, slim, pytorch, imgclsmob, caffe)
    return {converter.name: converter for module in modules for converter in module.CONVERTERS}


def find(source: Source) -> Weights:
    """Finds out what a tag or path means.

    Raises:
        ValueError: It is neither a tag nor the path of an existing file.
        WeightsError: The file that it names is damaged.
    """
    path = Path(source).expanduser()
    if path.exists() or path.with_name(path.name + ".index").is_file() or isinstance(source, Path):
        sniff(path)
        return Weights(_own_description(path), path)
    return Weights(get_weights(source))


def resolve(
    source: Source,
    network: str,
    arguments: Mapping[str, Any],
    *,
    numerics: Numerics | None = None,
    include_top: bool = True,
    classes: int = IMAGENET_CLASSES,
    aux_heads: bool = False,
    accept_license: bool = False,
    image_size: int | None = None,
    channels: int | None = None,
) -> Weights:
    """Finds out what a builder's `weights` means and checks it against the other arguments.

    Args:
        source: `"imagenet"`, a tag, or a path.
        network: Registry id of the network that is built.
        arguments: The builder's own arguments, such as `alpha` and `variant`.
        numerics: The builder's argument; None where the weights decide.
        include_top: The builder's argument.
        classes: The builder's argument.
        aux_heads: The builder's argument.
        accept_license: Accept a licence that forbids commercial use.
        image_size: Height of the images in pixels, where known.
        channels: Channels of the images, where known.

    Raises:
        ValueError: The source is unknown, its licence has not been accepted, or the arguments do not go with it.
        WeightsError: The file that the path names is damaged.
    """
    if source == "imagenet":
        fitting = default_weights(network, arguments, numerics=numerics, aux_heads=aux_heads, size=image_size)
        found = Weights(fitting)
    else:
        found = find(source)
    weight_set = found.weight_set
    if weight_set is None:
        return found
    check_fit(weight_set, network, arguments, numerics=numerics, aux_heads=aux_heads)
    if weight_set.needs_acceptance and not accept_license:
        raise ValueError(
            f"The weights {weight_set.tag!r} are under {weight_set.licence}, which forbids commercial use: accept that "
            "with weights.build(tag, accept_license=True) or --accept-license. Received: accept_license=False."
        )
    if found.path is None:
        _check_heads(weight_set, include_top, classes, channels)
    return found


def _check_heads(weight_set: WeightSet, include_top: bool, classes: int, channels: int | None) -> None:
    if include_top and classes not in (IMAGENET_CLASSES, IMAGENET_CLASSES + weight_set.class_offset):
        raise ValueError(
            f"The weights {weight_set.tag!r} are for {IMAGENET_CLASSES} classes: use include_top=False, or build with "
            f"weights=None and load all but the classifier with load_weights(..., trunk_only=True). "
            f"Received: classes={classes}."
        )
    if channels not in (3, None):
        raise ValueError(
            f"The weights {weight_set.tag!r} are for images of 3 colour channels. Received: {channels} channels."
        )


def load_weights(
    model: Any, source: Source, *, trunk_only: bool = False, accept_license: bool = False
) -> WeightSet | None:
    """Loads weights into a model built by this package; all of them or none.

    Args:
        model: The model. That it computes under the numerics that the weights need is for its builder to see to.
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
    found = find(source)
    if found.weight_set is not None and found.weight_set.needs_acceptance and not accept_license:
        raise ValueError(
            f"The weights {found.weight_set.tag!r} are under {found.weight_set.licence}, which forbids commercial use: "
            "accept that with accept_license=True. Received: accept_license=False."
        )
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
    known = None if source == "imagenet" else find(source).weight_set
    network = network or (known.network if known else "")
    if not network:
        raise ValueError(
            f"'imagenet' and files that do not name their network need network=. Received: {str(source)!r} alone."
        )
    needed = dict(known.arguments) if known else {}
    asked = {"include_top", "classes", "aux_heads", "numerics"} & set(arguments)
    checked = {name: arguments[name] for name in asked}
    if trunk_only:  # random heads ask nothing of the weights
        checked |= {"include_top": False, "aux_heads": False}
    found = resolve(source, network, needed | arguments, accept_license=accept_license, **checked)
    found = dataclasses.replace(found, trunk_only=trunk_only)
    if found.weight_set is not None:
        from keras_inception.layers import image_shape

        size = found.weight_set.preprocessing.size if arguments.get("include_top", True) else None
        shape = {"input_shape": image_shape(size)} if size and "input_tensor" not in arguments else {}
        arguments = {**shape, **found.weight_set.arguments, **arguments, "numerics": found.numerics}
    from keras_inception.application import build as build_network

    return build_network(get_entry(network).load_builder(), arguments, found), found


def save_weights(
    model: Any, path: str | Path, to: writers.Format | None = None, *, source: WeightSet | None = None
) -> None:
    """Writes the weights of a model as safetensors or HDF5, with names and metadata that tell what they are.

    Args:
        model: A model built by this package.
        path: The file; its suffix tells the format where `to` does not.
        to: `"safetensors"` or `"h5"`.
        source: The weight set that they come from: its network, arguments, numerics, preprocessing and licence are
            noted, and `weights=path` then chooses them like the tag itself.

    Raises:
        ValueError: The format is unknown.
        WeightsError: A weight is not a finite number.
    """
    path = Path(path)
    metadata = {"model": str(model.name)} | (_description(source) if source else {})
    writers.write(model, path, to or ("safetensors" if path.suffix == ".safetensors" else "h5"), metadata)


def convert(
    source: Source,
    out: str | Path,
    to: writers.Format | None = None,
    *,
    network: str = "",
    accept_license: bool = False,
    **arguments: Any,
) -> Path:
    """Reads weights of any known source and writes them as a file of ours.

    Args:
        source: As in `build`.
        out: The file to write.
        to: `"safetensors"` or `"h5"`; None: told by the suffix of `out`.
        network: As in `build`.
        accept_license: Accept a licence that forbids commercial use.
        **arguments: Arguments of the builder.

    Returns:
        The path of the file written.

    Raises:
        ValueError: As in `build`.
        WeightsError: The file is damaged or does not fit the model.
    """
    model, found = build(source, network=network, accept_license=accept_license, **arguments)
    save_weights(model, out, to, source=found.weight_set)
    return Path(out)


def _recognise(slots: list[Slot], file: WeightsFile) -> Converter:
    """The converter that finds the most of the model's weights in a file.

    Raises:
        WeightsError: None finds any.
    """
    candidates = [writers.own_converter(slots), *converters().values()]
    best = max(candidates, key=lambda converter: matcher.coverage(slots, file.tensors, converter))
    if not matcher.coverage(slots, file.tensors, best):
        names = ", ".join(repr(name) for name in list(file.tensors)[:3]) or "no tensors"
        raise WeightsError(
            "The names in a weights file must be those of a known source for this network. "
            f"Received: {names} in {file.path.name}."
        )
    return best


def _check_own_hash(file: WeightsFile) -> None:
    if file.metadata.get("format") != writers.FORMAT:
        return
    tensors = ((name, file.tensors[name].read()) for name in sorted(file.tensors))
    found = writers.content_hash(tensors, file.metadata)
    if found != file.metadata.get("sha256"):
        raise WeightsError(f"A file of ours holds what it was written with. Received: {file.path.name}, changed.")


def _description(weight_set: WeightSet) -> dict[str, str]:
    """What a file of ours notes of the weight set that it was made from."""
    return {
        "weights": weight_set.tag,
        "network": weight_set.network,
        "arguments": json.dumps(dict(weight_set.arguments)),
        "numerics": json.dumps(dataclasses.asdict(weight_set.numerics)),
        "preprocessing": json.dumps(dataclasses.asdict(weight_set.preprocessing)),
        "licence": weight_set.licence,
        "url": weight_set.url,
    }


def _own_description(path: Path) -> WeightSet | None:
    """What a file of ours says of itself, as a weight set; None for files that say nothing.

    Raises:
        WeightsError: It says what cannot be.
    """
    if sniff(path) not in ("safetensors", "hdf5"):
        return None
    with open_weights(path) as file:
        told, aux_heads = file.metadata, any(name.startswith("aux") for name in file.tensors)
    if told.get("format") != writers.FORMAT or "network" not in told:
        return None
    try:
        preprocessing: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in parse_json(told["preprocessing"]).items()
        }
        return WeightSet(
            tag=path.name,
            network=get_entry(told["network"]).name,
            arguments=dict(parse_json(told["arguments"])),
            numerics=Numerics(**parse_json(told["numerics"])),
            url=told["url"],
            converter="",
            licence=told["licence"],
            preprocessing=Preprocessing(**preprocessing),
            aux_heads=aux_heads,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"A file of ours says what its weights are. Received: {path.name}, which does not."
        ) from error
