"""Writing a model's weights as files that say what they are: safetensors or HDF5."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_inception.weights.errors import WeightsError, require
from keras_inception.weights.own import FORMAT, ContentHash
from keras_inception.weights.slots import slots
from keras_inception.weights.tensors import Array

Format = Literal["safetensors", "h5"]


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
    metadata = {"format": FORMAT, **metadata}
    content = ContentHash(metadata)
    for name, value in sorted(tensors.items()):
        content.add(name, value)
    metadata["sha256"] = content.hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        (_write_safetensors if to == "safetensors" else _write_hdf5)(temporary, tensors, metadata)
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
