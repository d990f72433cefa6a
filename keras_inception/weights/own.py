"""The layout of files of ours, and the hash that they carry of all that they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_inception.naming import is_head
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.layouts import Converter, Layout
from keras_inception.weights.matcher import Step
from keras_inception.weights.readers import WeightsFile
from keras_inception.weights.slots import Slot
from keras_inception.weights.tensors import Array, FileTensors

FORMAT = "keras-inception"


def _suffixes(slot: Slot) -> tuple[str, ...]:
    return (f"/{slot.variable.name}", f"/{slot.position}")  # by position in the `.weights.h5` that Keras itself writes


def _short(tensors: FileTensors) -> FileTensors:
    """Names as LAYER/WEIGHT; a file of Keras 2's layout repeats the layer."""
    return {
        (f"{name.split('/')[0]}/{name.rpartition('/')[2]}" if name.count("/") > 1 else name): tensor
        for name, tensor in tensors.items()
    }


LAYOUT = Layout(name="keras-inception", suffixes=_suffixes, view=_short)


def own_converter(model_slots: list[Slot], tensors: FileTensors) -> Converter:
    """The converter of files of ours, and of those that Keras writes of our models: layers keep their names.

    Heads of the file that the model lacks are known, too: a network with heads is deployed or fine-tuned without.
    """
    heads = {layer for layer in (name.partition("/")[0] for name in _short(tensors)) if is_head(layer)}
    modules = dict.fromkeys(heads) | {slot.layer: slot.layer.partition(".")[0] for slot in model_slots}
    return Converter("keras-inception", LAYOUT, {layer: module or layer for layer, module in modules.items()})


class ContentHash:
    """SHA-256 over all that a file of ours says: its metadata, and each tensor's name, shape and values, in order."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        hashed = {key: value for key, value in metadata.items() if key != "sha256"}
        self._digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode())

    def add(self, name: str, value: Array) -> None:
        """Takes in the next tensor; they come sorted by name."""
        self._digest.update(json.dumps([name, list(value.shape)]).encode())
        self._digest.update(np.ascontiguousarray(value, "<f4").data)

    def hexdigest(self) -> str:
        """The hash of what was taken in."""
        return self._digest.hexdigest()


def _is_ours(metadata: Mapping[str, str]) -> bool:
    """Whether a file is ours, even where the word that says so is what has been damaged."""
    return metadata.get("format") == FORMAT or {"model", "sha256"} <= metadata.keys()


def read_checked(file: WeightsFile, steps: Iterable[Step]) -> Iterator[tuple[Step, Array]]:
    """Reads the tensors of some steps, and in the same pass holds a file of ours to its hash.

    Raises:
        WeightsError: The file is ours and has been changed; that is known at the end alone.
    """
    if not _is_ours(file.metadata):
        yield from ((step, step.tensor.read()) for step in steps)
        return
    steps_by_tensor = {step.tensor: step for step in steps}
    content = ContentHash(file.metadata)
    for name, tensor in sorted(file.tensors.items()):
        value = tensor.read()
        content.add(name, value)
        if tensor in steps_by_tensor:
            yield steps_by_tensor[tensor], value
    if content.hexdigest() != file.metadata.get("sha256"):
        raise WeightsError(f"A file of ours holds what it was written with. Received: {file.path.name}, changed.")
