"""Writing a model's weights as files that say what they are: safetensors or HDF5."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_inception.weights.errors import WeightsError, require
from keras_inception.weights.matcher import Array, Converter, Layout, Slot, Tensors, slots

FORMAT = "keras-inception"
Format = Literal["safetensors", "h5"]


def _suffixes(slot: Slot) -> tuple[str, ...]:
    return (f"/{slot.variable.name}", f"/{slot.position}")  # by position in the `.weights.h5` that Keras itself writes


def _short(tensors: Tensors) -> Tensors:
    """Names as LAYER/WEIGHT; a file of Keras 2's layout repeats the layer."""
    return {
        (f"{name.split('/')[0]}/{name.rpartition('/')[2]}" if name.count("/") > 1 else name): tensor
        for name, tensor in tensors.items()
    }


LAYOUT = Layout(name="keras-inception", suffixes=_suffixes, view=_short)


def own_converter(model_slots: list[Slot]) -> Converter:
    """The converter of files of ours, and of those that Keras writes of our models: layers keep their names."""
    return Converter("keras-inception", LAYOUT, {slot.layer: slot.layer.partition(".")[0] for slot in model_slots})


def write(model: Any, path: Path, to: Format, metadata: Mapping[str, str]) -> None:
    """Writes the weights of a model, whole or not at all.

    Args:
        model: The model.
        path: The file.
        to: Its format.
        metadata: What the file says of itself, besides its format and the hash of its content.

    Raises:
        ValueError: The format is unknown.
        WeightsError: A weight is not a finite number.
    """
    if to not in ("safetensors", "h5"):
        raise ValueError(f"to must be 'safetensors' or 'h5'. Received: to={to!r}.")
    tensors = {slot.path: np.ascontiguousarray(slot.variable.numpy(), "float32") for slot in slots(model)}
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise WeightsError(f"Weights must be finite numbers. Received: NaN or infinity in {name!r}.")
    told = {"format": FORMAT, **metadata}
    told["sha256"] = content_hash(sorted(tensors.items()), told)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        (_write_safetensors if to == "safetensors" else _write_hdf5)(temporary, tensors, told)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_safetensors(path: Path, tensors: dict[str, Array], metadata: dict[str, str]) -> None:
    require("safetensors", "safetensors", "Writing safetensors files")
    from safetensors.numpy import save_file

    save_file(tensors, path, metadata)


def _write_hdf5(path: Path, tensors: dict[str, Array], metadata: dict[str, str]) -> None:
    h5py = require("h5py", "h5py", "Writing HDF5 files")
    with h5py.File(path, "w") as file:
        file.attrs.update(metadata)
        for name, value in tensors.items():
            file.create_dataset(name, data=value)


def content_hash(tensors: Iterable[tuple[str, Array]], metadata: Mapping[str, str]) -> str:
    """SHA-256 over all that a file of ours says: its metadata, and each tensor's name, shape and values, in order."""
    told = {key: value for key, value in metadata.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, value in tensors:
        digest.update(json.dumps([name, list(value.shape)]).encode())
        digest.update(np.ascontiguousarray(value, "<f4").data)
    return digest.hexdigest()
