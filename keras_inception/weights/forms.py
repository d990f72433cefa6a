"""The forms of a network that weights are released for, told apart by the builder's own arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from keras_inception.registry import get_entry
from keras_inception.weights.catalogue import list_weights
from keras_inception.weights.sets import WeightSet

# Keywords that no released form differs by.
_SHARED = {"numerics", "aux_heads", "dropout", "stochastic_depth", "include_preprocessing"}
_SAME_NETWORK: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {  # arguments that build what others build
    "inception_v2": [
        ({"variant": "slim", "stem": "separable"}, {"stem": "imagenet"}),
        ({"variant": "paper", "stem": "full"}, {"stem": "imagenet"}),
    ],
    "inception_resnet_v1": [({"variant": "facenet", "bottleneck": 512}, {"bottleneck": None})],
    "shufflenet": [({"variant": "pytorchcv", "alpha": alpha}, {"variant": "paper"}) for alpha in (0.5, 1, 2)],
}


def published_arguments(network: str) -> dict[str, Any]:
    """The builder's own arguments, by which the released forms of a network differ, and their defaults."""
    parameters = inspect.signature(get_entry(network).load_builder()).parameters.values()
    own = (p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in _SHARED)
    return {p.name: p.default for p in own}


def form(network: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The builder's own arguments, given or default, written one way where several build the same network."""
    defaults = published_arguments(network)
    chosen = defaults | {name: value for name, value in arguments.items() if name in defaults}
    for written, usual in _SAME_NETWORK.get(network, []):
        if all(chosen[name] == value for name, value in written.items()):
            chosen |= usual
    return chosen


def is_released(weight_set: WeightSet) -> bool:
    """Whether weights were released for the form of the network."""
    wanted = form(weight_set.network, weight_set.arguments)
    return any(form(released.network, released.arguments) == wanted for released in list_weights(weight_set.network))


def differing_arguments(weight_set: WeightSet, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The builder arguments that the weight set needs and that differ from the given ones, with the needed values."""
    needed, given = form(weight_set.network, weight_set.arguments), form(weight_set.network, arguments)
    return {name: value for name, value in needed.items() if given[name] != value}
