"""All converters by name, and which of them a file needs."""

from __future__ import annotations

import functools

from keras_inception.weights import matcher
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.layouts import Converter
from keras_inception.weights.own import own_converter
from keras_inception.weights.readers import WeightsFile
from keras_inception.weights.slots import Slot


@functools.cache
def converters() -> dict[str, Converter]:
    """All converters of released weights by name."""
    # They take the networks' tables, which bring Keras with them: to look a weight set up needs neither.
    from keras_inception.weights import caffe, imgclsmob, keras_applications, pytorch, slim

    modules = (keras_applications, slim, pytorch, imgclsmob, caffe)
    return {converter.name: converter for module in modules for converter in module.CONVERTERS}


def recognise(slots: list[Slot], file: WeightsFile) -> Converter:
    """The converter that finds the most of the model's weights in a file.

    Raises:
        WeightsError: None finds any.
    """
    candidates = [own_converter(slots, file.tensors), *converters().values()]
    best = max(candidates, key=lambda converter: matcher.coverage(slots, file.tensors, converter))
    if not matcher.coverage(slots, file.tensors, best):
        names = ", ".join(repr(name) for name in list(file.tensors)[:3]) or "no tensors"
        raise WeightsError(
            "The names in a weights file must be those of a known source for this network. "
            f"Received: {names} in {file.path.name}."
        )
    return best
