"""The registry of networks: what is known of each one, and the way from a name to a model.

Importing this module imports neither Keras nor any other room of the package: an entry names its builder as text
and the builder is imported when a model is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """What is known of a network without building it.

    Attributes:
        name: Registry id, such as `"inception_v3"`.
        builder: Where the builder function is, as `"module:function"`.
        title: Title of the paper.
        url: Link to the paper.
        input_size: Height and width in pixels that the network was published for.
        min_size: Smallest height and width in pixels that the default network accepts.
        parameters: Trainable weights of the default network with its 1,000-way classifier, no auxiliary head.
        multiply_adds: Multiply-adds of the same network for one image of `input_size` (convolutions and dense
            layers).
        top1: Published single-crop ImageNet top-1 accuracy in percent, of the default form where its weights are
            public; None where nothing was published.
        top5: Likewise, top-5.
        accuracy_source: Whose figures `top1` and `top5` are.
        preprocessing: Name of the default preprocessing in `keras_inception.preprocessing.PREPROCESSING`.
        aux_heads: Names of the auxiliary heads and the weight of each one's loss, in the order of their taps; empty
            where none was published.
        published: Whether it is a network of a paper, which `list_models` lists; others are built by name alike.
    """

    name: str
    builder: str
    title: str
    url: str
    input_size: int
    min_size: int
    parameters: int
    multiply_adds: int
    top1: float | None
    top5: float | None
    accuracy_source: str
    preprocessing: str
    aux_heads: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    published: bool = True

    @property
    def function_name(self) -> str:
        """Name of the builder function, such as `"InceptionV3"`."""
        return self.builder.partition(":")[2]

    @property
    def no_aux_reason(self) -> str:
        """Why the network has no auxiliary head, for the error that `aux_heads=True` raises; empty where it has."""
        return "" if self.aux_heads else "neither its paper nor a released network has one."

    def load_builder(self) -> Callable[..., keras.Model]:
        """Imports the builder and returns it."""
        module, _, function = self.builder.partition(":")
        return getattr(importlib.import_module(module), function)


_ENTRIES: dict[str, ModelEntry] = {}


def register(entry: ModelEntry) -> ModelEntry:
    """Adds a network to the registry.

    Args:
        entry: The network's entry.

    Returns:
        The same entry.

    Raises:
        ValueError: The name is taken.
    """
    if entry.name in _ENTRIES:
        raise ValueError(f"A model is registered once. Received a second entry named {entry.name!r}.")
    _ENTRIES[entry.name] = entry
    return entry


def get_entry(name: str) -> ModelEntry:
    """Returns the entry of a network.

    Args:
        name: Registry id, such as `"inception_v3"`.

    Raises:
        ValueError: No network has that name; the message suggests the nearest one.
    """
    entry = _ENTRIES.get(name)
    if entry is None:
        wanted = str(name).lower()
        close = difflib.get_close_matches(wanted, _ENTRIES, n=1, cutoff=0.5)
        by_function = [e.name for e in _ENTRIES.values() if e.function_name.lower() == wanted]
        suggestions = by_function or close
        hint = f" Did you mean {suggestions[0]!r}?" if suggestions else ""
        raise ValueError(f"The model must be one of {', '.join(_ENTRIES)}. Received: {name!r}.{hint}")
    return entry


def list_models() -> list[str]:
    """Returns the registry ids of all published networks, oldest paper first.

    `get_entry(name)` tells what is known of each: parameters, multiply-adds, input size, accuracy and paper.
    """
    return [name for name, entry in _ENTRIES.items() if entry.published]


def create_model(model_name: str, /, **kwargs: Any) -> keras.Model:
    """Builds a network by name.

    Args:
        model_name: Registry id, such as `"inception_v3"`.
        **kwargs: Arguments of the network's builder.

    Returns:
        The functional Keras model.

    Raises:
        ValueError: No network has that name, or an argument breaks a rule of the builder.
    """
    return get_entry(model_name).load_builder()(**kwargs)
