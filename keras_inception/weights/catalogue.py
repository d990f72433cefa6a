"""The catalogue of released weight sets: what each one is, where it lies, and how it wants to be used.

The rows are in `keras_inception.weights.released`. Looking something up imports no framework and reads no file.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing
from keras_inception.registry import get_entry

_NON_COMMERCIAL = "NC"


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """A released weight set.

    Attributes:
        tag: Its name here, such as `"timm/inception_v4.tf_in1k"`.
        network: Registry id of the network.
        arguments: Arguments of the network's builder that the weights need, where they are not the default ones.
        numerics: The conventions that the weights are exact under.
        url: Where the publisher keeps the file.
        converter: Name of the converter that reads it.
        digest: What the file must hash to: `"sha256:..."`, `"md5:..."` or `"sha1:..."`, a prefix where the publisher
            gives no more; empty where none is published. Then the hash of the first download is noted and later ones
            and every use are held to it.
        digest_of: `"file"`, or `"member"` where the publisher hashes what is inside the archive.
        licence: Under which the publisher offers the weights.
        preprocessing: From a picture to the network's input, size and crop included.
        class_offset: Classes in front of ImageNet's first (TF-Slim's background), which are dropped.
        aux_heads: Whether the file holds trained auxiliary heads.
        top1: Recorded ImageNet top-1 accuracy in percent, of a single centre crop.
        top5: Likewise, top-5.
        accuracy_source: Whose figures these are.
    """

    tag: str
    network: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    numerics: Numerics
    url: str
    converter: str
    digest: str = ""
    digest_of: str = "file"
    licence: str
    preprocessing: Preprocessing
    class_offset: int = 0
    aux_heads: bool = False
    top1: float | None = None
    top5: float | None = None
    accuracy_source: str = ""

    @property
    def needs_acceptance(self) -> bool:
        """Whether the licence forbids commercial use, so that it has to be accepted by name."""
        return _NON_COMMERCIAL in self.licence

    @property
    def file_name(self) -> str:
        """Name of the file in the cache, below its folder: publisher and name, unlike any other set's."""
        publisher, _, name = self.tag.partition("/")
        original = self.url.rpartition("/")[2]
        return f"{publisher}/{original}" if original != "model.safetensors" else f"{publisher}/{name}.safetensors"


@functools.cache
def _sets() -> dict[str, WeightSet]:
    from keras_inception.weights import released

    sets: dict[str, WeightSet] = {}
    for weight_set in released.all_sets():
        if weight_set.tag in sets:
            raise ValueError(f"A weight set is listed once. Received a second one named {weight_set.tag!r}.")
        sets[weight_set.tag] = weight_set
    return sets


def list_weights(network: str | None = None) -> list[WeightSet]:
    """Lists the released weight sets, of one network or of all.

    Args:
        network: Registry id, such as `"inception_v3"`; None: all networks.

    Raises:
        ValueError: No network has that name.
    """
    if network is not None:
        get_entry(network)
    return [weight_set for weight_set in _sets().values() if network in (None, weight_set.network)]


def get_weights(tag: str) -> WeightSet:
    """Returns the weight set of a tag such as `"timm/inception_v4.tf_in1k"`.

    Raises:
        ValueError: No weight set has that tag; the message suggests the nearest one.
    """
    found = _sets().get(tag)
    if found is None:
        close = difflib.get_close_matches(str(tag), _sets(), n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            "weights must be None, 'imagenet', the tag of a released weight set (list_weights() tells them) or the "
            f"path of an existing file. Received: weights={tag!r}.{hint}"
        )
    return found


def default_weights(
    network: str,
    arguments: Mapping[str, Any],
    *,
    numerics: Numerics | None = None,
    aux_heads: bool = False,
    size: int | None = None,
) -> WeightSet:
    """Returns what `weights="imagenet"` means: the first set of the catalogue that fits the builder's arguments.

    Among sets that differ in the image size alone, the one of the asked size is taken, else that of the network's own.
    Sets whose licence has to be accepted are never taken.

    Args:
        network: Registry id.
        arguments: The builder's arguments, given or default.
        numerics: The numerics asked for; None: any.
        aux_heads: Whether trained auxiliary heads are needed.
        size: Height of the images in pixels, where known.

    Raises:
        ValueError: None fits.
    """
    if not list_weights(network):
        raise ValueError(
            f"weights must be None or the path of a weights file: none were released for "
            f"{get_entry(network).function_name}. Received: weights='imagenet'."
        )
    fitting = [
        weight_set
        for weight_set in list_weights(network)
        if not weight_set.needs_acceptance
        and not differing_arguments(weight_set, arguments)
        and numerics in (None, weight_set.numerics)
        and weight_set.aux_heads >= aux_heads
    ]
    if not fitting:
        tags = ", ".join(repr(weight_set.tag) for weight_set in list_weights(network)[:8])
        asked = {name: value for name, value in arguments.items() if name in published_arguments(network)}
        raise ValueError(
            f"weights='imagenet' needs arguments that weights were released for (the first tags: {tags}). "
            f"Received: {_call(asked | ({'numerics': numerics} if numerics else {}))}, aux_heads={aux_heads}."
        )
    same_size = [s for s in fitting if s.preprocessing.size == size and s.converter == fitting[0].converter]
    return (same_size or fitting)[0]


def published_arguments(network: str) -> list[str]:
    """The builder's own arguments, by which the released forms of a network differ."""
    shared = {"numerics", "aux_heads", "dropout", "include_preprocessing"}
    parameters = inspect.signature(get_entry(network).load_builder()).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in shared]


def differing_arguments(weight_set: WeightSet, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The builder arguments that the weight set needs and that differ from the given ones, with the needed values."""
    parameters = inspect.signature(get_entry(weight_set.network).load_builder()).parameters
    needed = {
        name: weight_set.arguments.get(name, parameters[name].default)
        for name in published_arguments(weight_set.network)
    }
    return {name: value for name, value in needed.items() if arguments.get(name, parameters[name].default) != value}


def check_fit(
    weight_set: WeightSet,
    network: str,
    arguments: Mapping[str, Any],
    *,
    numerics: Numerics | None,
    aux_heads: bool,
) -> None:
    """Checks that a weight set belongs to the network that is asked for.

    Raises:
        ValueError: It is of another network, needs other arguments or numerics, or lacks trained auxiliary heads.
    """
    if weight_set.network != network:
        raise ValueError(
            f"The weights {weight_set.tag!r} belong to {get_entry(weight_set.network).function_name}. "
            f"Received: {get_entry(network).function_name}."
        )
    differing = differing_arguments(weight_set, arguments)
    if differing:
        given = {name: arguments.get(name) for name in differing}
        raise ValueError(f"The weights {weight_set.tag!r} need {_call(differing)}. Received: {_call(given)}.")
    if numerics is not None and numerics != weight_set.numerics:
        raise ValueError(
            f"The weights {weight_set.tag!r} are exact under {weight_set.numerics} alone, which numerics=None chooses. "
            f"Received: {numerics}."
        )
    if aux_heads and not weight_set.aux_heads:
        raise ValueError(
            f"The weights {weight_set.tag!r} have no trained auxiliary heads: use aux_heads=False, or build with "
            "weights=None and load the trunk with load_weights(..., trunk_only=True). Received: aux_heads=True."
        )


def _call(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items()) or "the default arguments"


def sets_of(networks: Sequence[str]) -> dict[str, list[WeightSet]]:
    """The weight sets of each network."""
    return {network: list_weights(network) for network in networks}
