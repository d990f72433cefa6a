"""How sources name and lay out their tensors: the records that a converter is made of.

A converter is data: which module of the source each layer of ours is, and in which layout the source keeps its
tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from keras_inception.weights.slots import Slot
from keras_inception.weights.tensors import Array, FileTensors

Transform: TypeAlias = Callable[[Array], Array]
Suffixes: TypeAlias = Callable[[Slot], tuple[str, ...]]

KERAS_NAMES = ("bias", "gamma", "beta", "moving_mean", "moving_variance")
"""What Keras and TF-Slim both call the vectors of a layer."""


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
    suffixes: Suffixes
    kernels: Mapping[str, Transform] = field(default_factory=dict)
    view: Callable[[FileTensors], FileTensors] = dict
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


def by_name(separator: str, kernels: Mapping[str, tuple[str, ...]], **renamed: str) -> Suffixes:
    """Suffixes of a source that calls a layer's vectors as Keras does, but for the renamed ones.

    Args:
        separator: What stands between a module and its tensor.
        kernels: Names of the kernels by kind of layer.
        **renamed: Names of the vectors that the source calls otherwise.
    """
    vectors = {name: (separator + renamed.get(name, name),) for name in KERAS_NAMES}
    named = {kind: tuple(separator + name for name in names) for kind, names in kernels.items()}
    return lambda slot: named[slot.kind] if slot.name == "kernel" else vectors[slot.name]


def dense(kernel: Array) -> Array:
    """The kernel of a dense layer that the source keeps as a 1x1 convolution."""
    return kernel.reshape(kernel.shape[-2:])


def flattened(channels: int, side: int) -> Transform:
    """The kernel of a dense layer on a flattened map: PyTorch and Caffe flatten channels first, Keras last."""

    def transform(kernel: Array) -> Array:
        units = kernel.shape[0]
        return kernel.reshape(units, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, units)

    return transform
