"""Which trained trunks are at hand, and what would bring in the others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

import keras_inception as ki
from keras_inception import weights
from keras_inception.handles.weights_files import network_of
from keras_inception.training.config import ModelConfig, TrainConfig
from keras_inception.training.files import sha256
from keras_inception.training.tuning.costs import network_costs
from keras_inception.weights import DownloadError, WeightsError
from keras_inception.weights.catalogue import PREFERRED, has_tag
from keras_inception.weights.download import cache_folder
from keras_inception.weights.fitting import Request, check_licence, default_weights, find

DEFAULT_NETWORKS = ("mobilenet_v2", "mobilenet_v1", "inception_v3")
"""Downloaded where nothing is at hand: 125 MB together."""
_SMALLER_SIZES, _SIZES_EACH = (224, 160, 128, 96), 4


@dataclass(frozen=True)
class Trunk:
    """A network with trained weights, for pictures of one size."""

    network: str
    """Registry id."""
    source: str
    """Tag or path of the weights."""
    size: int
    """Height and width of the input in pixels."""
    label: str
    """What tells the weights from others of the same network; empty where there are none."""
    digest: str
    """Of the weights: what was computed with others is not taken for theirs."""
    multiply_adds: int
    """Of the network for one picture, with a classifier of two classes."""

    @property
    def name(self) -> str:
        """Network, weights where there are several, and size, as in `mobilenet_v2-160`."""
        return "-".join(filter(None, (self.network, self.label, str(self.size))))

    @property
    def key(self) -> str:
        """The name and the weights, for what is kept on disk."""
        return f"{self.name}-{self.digest}"


@dataclass(frozen=True)
class AtHand:
    """The trunks that can be used, and a sentence for each network that cannot."""

    trunks: list[Trunk]
    missing: list[str]


def find_trunks(
    networks: Sequence[str], sources: Sequence[str], sizes: Sequence[int], *, accept_license: bool = False
) -> AtHand:
    """Finds trunks: of the weights that are named, of the networks that are named, or of what the cache holds.

    Args:
        networks: Registry ids whose released weights are wanted, downloaded where the cache lacks them; empty: those
            that the cache holds, or a few that are worth it where nothing else is at hand.
        sources: Weights files, tags, or NETWORK=FILE for a file whose name and content do not tell its network.
        sizes: Input sizes in pixels; empty: each network's own and up to three smaller ones.
        accept_license: Accept a licence that forbids commercial use.

    Raises:
        ValueError: A name, file or size is none, or nothing is at hand.
    """
    named = [_named(source, accept_license) for source in sources]
    missing: list[str] = []
    if networks:
        wanted = list(dict.fromkeys(ki.get_entry(network).name for network in networks))
    else:
        known = {network for network, _ in named}
        cached = [network for network in PREFERRED if _cached(network) and network not in known]
        wanted = cached or ([] if named else list(DEFAULT_NETWORKS))
        others = [name for name in PREFERRED if name not in known | set(wanted)]
        if others:
            missing.append(f"{', '.join(others)}: `--networks NAME` downloads their weights")
    for network in wanted:
        tag = default_weights(network, Request(source="imagenet", network=network)).tag
        try:
            find(tag).file()
        except DownloadError as error:
            missing.append(f"{network}: {error}")
        else:
            named.append((network, tag))
    if not named:
        raise ValueError(f"Trained weights must be at hand: name a file with --weights. Received: {'; '.join(missing)}")
    trunks = []
    for network, source in dict.fromkeys(named):
        several = len([other for other, _ in dict.fromkeys(named) if other == network]) > 1
        label = Path(source).stem if several else ""
        found = find(source)
        digest, options = sha256(found.file())[:8], dict(found.weight_set.arguments) if found.weight_set else {}
        for size in _sizes_for(network, sizes):
            model = ModelConfig(name=network, aux_heads=False, image_size=size, options=options)
            cost = network_costs(TrainConfig(model=model), classes=2).multiply_adds
            trunks.append(Trunk(network, source, size, label, digest, cost))
    names = [trunk.name for trunk in trunks]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Weights must differ in network or file name. Received: {', '.join(twins)} twice")
    return AtHand(trunks, missing)


def _named(source: str, accept_license: bool) -> tuple[str, str]:
    """Network and weights of what `--weights` names."""
    network, equals, file = source.partition("=")
    if equals and not Path(source).expanduser().exists():
        return ki.get_entry(network).name, _absolute(file)
    found = find(source)
    if found.weight_set is not None:
        check_licence(found.weight_set, accept_license)
        return found.weight_set.network, source if has_tag(source) else _absolute(source)
    return network_of(source), _absolute(source)


def _absolute(file: str) -> str:
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"A weights file must exist. Received: {path}")
    return str(path)


def _cached(network: str) -> bool:
    weight_set = default_weights(network, Request(source="imagenet", network=network))
    return (cache_folder() / weight_set.file_name).is_file()


def _sizes_for(network: str, sizes: Sequence[int]) -> list[int]:
    entry = ki.get_entry(network)
    if too_small := [size for size in sizes if size < entry.min_size]:
        raise ValueError(f"{network} takes pictures of at least {entry.min_size} pixels. Received: {too_small[0]}")
    if sizes:
        return sorted(set(sizes), reverse=True)
    smaller = [size for size in _SMALLER_SIZES if entry.min_size <= size < entry.input_size]
    return [entry.input_size, *smaller][:_SIZES_EACH]


@dataclass(frozen=True)
class Extractor:
    """What turns pixels uint8 [n, height, width, 3] into pooled features [n, features], and how many those are."""

    call: Callable[[Any], Any]
    features: int


@functools.cache
def extractor(network: str, source: str) -> Extractor:
    """Builds a trunk for pictures of any size, so that trunks that differ in size alone are built and traced once.

    Raises:
        ValueError: The weights are not of that network.
    """
    try:
        model, _ = weights.build(
            source if has_tag(source) else Path(source),
            network=network,
            accept_license=True,  # it has been asked for where the trunk was named
            trunk_only=True,
            include_top=False,
            pooling="avg",
            include_preprocessing=True,
            input_shape=(None, None, 3),
        )
    except WeightsError as error:
        raise ValueError(f"{source} must hold weights of {network}. Received: {error}") from error
    signature = tf.TensorSpec((None, None, None, 3), tf.uint8)
    call = tf.function(
        lambda pixels: model(tf.cast(pixels, tf.float32), training=False), input_signature=[signature], autograph=False
    )
    return Extractor(call, int(model.output_shape[-1]))
