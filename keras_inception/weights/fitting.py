"""The one owner of how arguments and weights go together: what a source of weights means for a network.

A source is `"imagenet"`, the tag of a released set, or a path. Whatever can be wrong with it and with the arguments is
found before a layer is built or a file is downloaded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from keras_inception.registry import get_entry
from keras_inception.weights.catalogue import get_weights, list_weights, preferred_weights
from keras_inception.weights.forms import differing_arguments, is_released, published_arguments
from keras_inception.weights.measuring import check_shapes
from keras_inception.weights.metadata import described
from keras_inception.weights.readers import sniff
from keras_inception.weights.resolved import Weights
from keras_inception.weights.sets import WeightSet

Source: TypeAlias = str | Path
IMAGENET = "imagenet"
STRIDED = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of weights.

    Attributes:
        source: `"imagenet"`, a tag or a path.
        network: Registry id of the network to build; empty where the weights tell it.
        arguments: The builder's arguments, as far as they are given; the weights choose the others.
        trunk_only: The classifiers, main and auxiliary, stay random: nothing is asked for them.
        accept_license: Accept a licence that forbids commercial use.
    """

    source: Source
    network: str = ""
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    trunk_only: bool = False
    accept_license: bool = False

    @property
    def include_top(self) -> bool:
        """Whether the weights have to fill the classifier."""
        return bool(self.arguments.get("include_top", True)) and not self.trunk_only

    @property
    def aux_heads(self) -> bool:
        """Whether the weights have to fill auxiliary heads."""
        return bool(self.arguments.get("aux_heads", False)) and not self.trunk_only

    @property
    def image_size(self) -> int | None:
        """Height of the images in pixels, where known."""
        return self._image_axes()[0]

    @property
    def channels(self) -> int | None:
        """Channels of the images, where known."""
        return self._image_axes()[1]

    def _image_axes(self) -> tuple[Any, Any]:
        shape = self.arguments.get("input_shape")
        if shape is None:
            shape = getattr(self.arguments.get("input_tensor"), "shape", ())[1:]
        if not isinstance(shape, tuple | list) or len(shape) != 3:  # for the builder to refuse
            return None, None
        import keras

        channels_first = keras.config.image_data_format() == "channels_first"
        return (shape[1], shape[0]) if channels_first else (shape[0], shape[2])


def resolve(request: Request) -> Weights:
    """Finds out what a source of weights means for a network, and checks it against the builder's arguments.

    Raises:
        ValueError: The source is unknown, its licence has not been accepted, or the arguments do not go with it.
        WeightsError: The file that a path names is damaged.
    """
    asks_default = isinstance(request.source, str) and request.source == IMAGENET  # an array compares to an array
    found = Weights(None) if asks_default else find(request.source)
    network = request.network or (found.weight_set.network if found.weight_set else "")
    if not network:
        raise ValueError(
            f"'imagenet' and files that do not name their network need it: network=, or --model of the command. "
            f"Received: {str(request.source)!r} alone."
        )
    weight_set = default_weights(network, request) if asks_default else found.weight_set
    arguments = dict(request.arguments)
    if weight_set is not None:
        _check_fit(weight_set, network, request)
        check_licence(weight_set, request.accept_license)
        _check_images_and_classes(weight_set, request)
        if found.path is not None and not is_released(weight_set):
            check_shapes(weight_set, found.path)
        arguments = {**weight_set.arguments, **arguments}
        if weight_set.classes != WeightSet.classes and not request.trunk_only:
            arguments.setdefault("classes", weight_set.classes)
        arguments["numerics"] = arguments.get("numerics") or weight_set.numerics
    return Weights(weight_set, found.path, request.trunk_only, network, arguments)


def find(source: Any) -> Weights:
    """Finds out what a tag or path means.

    Raises:
        ValueError: It is neither a tag nor the path of an existing file.
        WeightsError: The file that it names is damaged.
    """
    path = Path(source).expanduser() if isinstance(source, str | Path) else Path()
    exists = path.name and (path.is_file() or path.with_name(path.name + ".index").is_file())
    if exists or (path.name and isinstance(source, Path)):  # a folder may be called as a set is
        sniff(path)
        return Weights(described(path), path)
    return Weights(get_weights(str(source)))


def default_weights(network: str, request: Request) -> WeightSet:
    """Returns what `weights="imagenet"` means: the first of the network's preferred sets that fits the arguments.

    Among sets that differ in the image size alone, the one of the asked size is taken, else that of the network's own.

    Raises:
        ValueError: None fits.
    """
    numerics = request.arguments.get("numerics")
    fitting = [
        weight_set
        for weight_set in preferred_weights(network)
        if not differing_arguments(weight_set, request.arguments)
        and numerics in (None, weight_set.numerics)
        and weight_set.aux_heads >= request.aux_heads
    ]
    if not fitting:
        tags = ", ".join(repr(weight_set.tag) for weight_set in list_weights(network)[:8])
        published = published_arguments(network)
        asked = {name: value for name, value in request.arguments.items() if name in published}
        raise ValueError(
            f"weights='imagenet' needs arguments that weights were released for (the first tags: {tags}). "
            f"Received: {_call(asked | ({'numerics': numerics} if numerics else {}))}, aux_heads={request.aux_heads}."
        )
    same_size = [
        s for s in fitting if s.preprocessing.size == request.image_size and s.converter == fitting[0].converter
    ]
    return (same_size or fitting)[0]


def check_licence(weight_set: WeightSet, accepted: bool) -> None:
    """Checks that a licence that forbids commercial use has been accepted.

    Raises:
        ValueError: It has not.
    """
    if weight_set.needs_acceptance and not accepted:
        raise ValueError(
            f"The weights {weight_set.tag!r} are under {weight_set.licence}, which forbids commercial use: accept that "
            "with weights.build(tag, accept_license=True) or --accept-license. Received: accept_license=False."
        )


def warn_of_numerics(weight_set: WeightSet, model: Any) -> None:
    """Warns where a model that was built already plainly computes under other numerics than the weights need."""
    numerics = weight_set.numerics
    if numerics is None:
        return
    epsilons = {layer.epsilon for layer in model.layers if type(layer).__name__ == "BatchNormalization"}
    padded = {layer.name.removesuffix("_pad") for layer in model.layers if type(layer).__name__ == "ZeroPadding2D"}
    strided = [
        layer
        for layer in model.layers
        if type(layer).__name__ in STRIDED and max(layer.strides) > 1 and max(layer.kernel_size) > 1
    ]
    paddings = {
        "torch" if layer.name.removesuffix("_conv") in padded else "same"
        for layer in strided
        if layer.padding == "same" or layer.name.removesuffix("_conv") in padded
    }
    differing: dict[str, Any] = {}
    if epsilons and not all(math.isclose(epsilon, numerics.epsilon) for epsilon in epsilons):
        differing["epsilon"] = max(epsilons)
    if paddings and paddings != {numerics.padding}:
        differing["padding"] = paddings.pop()
    if differing:
        needed = {name: getattr(numerics, name) for name in differing}
        warnings.warn(
            f"The weights {weight_set.tag!r} are exact under {_call(needed)}. Received: a model of {_call(differing)}.",
            stacklevel=3,
        )


def _check_fit(weight_set: WeightSet, network: str, request: Request) -> None:
    if weight_set.network != network:
        raise ValueError(
            f"The weights {weight_set.tag!r} belong to {get_entry(weight_set.network).function_name}. "
            f"Received: {get_entry(network).function_name}."
        )
    differing = differing_arguments(weight_set, {**weight_set.arguments, **request.arguments})
    if differing:
        given = {name: request.arguments.get(name) for name in differing}
        raise ValueError(f"The weights {weight_set.tag!r} need {_call(differing)}. Received: {_call(given)}.")
    numerics = request.arguments.get("numerics")
    if numerics is not None and numerics != weight_set.numerics:
        raise ValueError(
            f"The weights {weight_set.tag!r} are exact under {weight_set.numerics or 'the default numerics'} alone, "
            f"which numerics=None chooses. "
            f"Received: {numerics}."
        )
    if request.aux_heads and not weight_set.aux_heads:
        raise ValueError(
            f"The weights {weight_set.tag!r} have no trained auxiliary heads: use aux_heads=False, or build with "
            "weights=None and load the trunk with load_weights(..., trunk_only=True). Received: aux_heads=True."
        )


def _check_images_and_classes(weight_set: WeightSet, request: Request) -> None:
    classes = request.arguments.get("classes", weight_set.classes)
    if request.include_top and classes not in (weight_set.classes, weight_set.classes + weight_set.class_offset):
        raise ValueError(
            f"The weights {weight_set.tag!r} are for {weight_set.classes} classes: use include_top=False, or build "
            f"with weights=None and load all but the classifier with load_weights(..., trunk_only=True). "
            f"Received: classes={classes}."
        )
    if weight_set.converter and request.channels not in (3, None):
        raise ValueError(
            f"The weights {weight_set.tag!r} are for images of 3 colour channels. "
            f"Received: {request.channels} channels."
        )


def _call(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "the default arguments"
