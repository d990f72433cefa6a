"""All converters by name, and which of them a file needs."""

from __future__ import annotations

import functools
import importlib

from keras_inception.weights import matcher
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.layouts import Converter
from keras_inception.weights.own import own_converter
from keras_inception.weights.readers import WeightsFile
from keras_inception.weights.slots import Slot

# By what stands before the slash of a converter's name. As text, like the builders of the registry: these modules take
# the networks' tables, and networks ask for weights, so that to look one up must import none of the others.
_MODULES = {
    "keras": "keras_applications",
    "slim": "slim",
    "cadene": "pytorch",
    "torchvision": "pytorch",
    "torch": "pytorch",
    "timm": "pytorch",
    "pytorchcv": "imgclsmob",
    "tf2cv": "imgclsmob",
    "caffe": "caffe",
}


@functools.cache
def _of_module(name: str) -> dict[str, Converter]:
    module = importlib.import_module(f"keras_inception.weights.{name}")
    return {converter.name: converter for converter in module.CONVERTERS}


def get_converter(name: str) -> Converter:
    """The converter of a released weight set by its name, such as `"slim/inception_v3"`."""
    return _of_module(_MODULES[name.partition("/")[0]])[name]


def recognise(slots: list[Slot], file: WeightsFile) -> Converter:
    """The converter that finds the most of the model's weights in a file.

    Raises:
        WeightsError: None finds any.
    """
    released = (converter for module in dict.fromkeys(_MODULES.values()) for converter in _of_module(module).values())
    candidates = [own_converter(slots, file.tensors), *released]
    best = max(candidates, key=lambda converter: matcher.coverage(slots, file.tensors, converter))
    if not matcher.coverage(slots, file.tensors, best):
        names = ", ".join(repr(name) for name in list(file.tensors)[:3]) or "no tensors"
        raise WeightsError(
            "The names in a weights file must be those of a known source for this network. "
            f"Received: {names} in {file.path.name}."
        )
    return best
