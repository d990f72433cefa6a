"""Reading weight files of seven formats without running anything that is in them.

Every reader lists a file's tensors before it reads one, so that a file is compared with the model first and a tensor of
an absurd shape is never made. The libraries that read the formats are imported when a file needs them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.weights.archives import unpacked
from keras_inception.weights.caffemodel import read_blobs
from keras_inception.weights.errors import WeightsError, require
from keras_inception.weights.tensors import Array, FileTensor, FileTensors

MAX_TENSOR_BYTES = 2**31
"""No tensor of these networks comes near; a file that declares a larger one is damaged or hostile."""


@dataclass(frozen=True)
class WeightsFile:
    """An open weights file: its tensors by name, and what it says of itself."""

    path: Path
    format: str
    tensors: FileTensors
    metadata: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def open_weights(path: Path) -> Iterator[WeightsFile]:
    """Opens a weights file of any known format, told by its first bytes.

    Args:
        path: A safetensors, HDF5, `.pth` or `.caffemodel` file, a TF-Slim checkpoint (its single file, its `.index`
            file or their common prefix), or a zip or tar archive that holds exactly one of these.

    Yields:
        The open file; its tensors can be read inside the `with` block alone.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: The file is none of these, is damaged, or holds what no weights file needs.
    """
    path = _checkpoint_data(path)
    with contextlib.ExitStack() as stack:
        kind = sniff(path)
        if kind in ("zip", "tar"):
            path = stack.enter_context(unpacked(path, kind))
            kind = sniff(path)
        reader = _READERS.get(kind)
        if reader is None:
            raise WeightsError(
                "A weights file is safetensors, HDF5, a TF-Slim checkpoint, a .pth file, a .caffemodel file, or a zip "
                f"or tar archive of one of them. Received: {path.name}, which starts like none of them."
            )
        with _one_sentence(path, kind):
            tensors, metadata = stack.enter_context(reader(path))
        _check_sizes(path, tensors)
        guarded = {
            name: FileTensor(tensor.shape, tensor.dtype, _guarded(tensor, path, kind))
            for name, tensor in tensors.items()
        }
        yield WeightsFile(path, kind, guarded, metadata)


def sniff(path: Path) -> str:
    """The format of a file by its first bytes: `"safetensors"`, `"hdf5"`, `"checkpoint"`, `"torch"`, ... or `""`."""
    if path.with_name(path.name + ".index").is_file() and not path.is_file():
        return "checkpoint"
    if not path.is_file():
        raise FileNotFoundError(f"weights must name an existing file. Received: {path}.")
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(max(path.stat().st_size - 8, 0))
        end = file.read(8)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if start.startswith(b"PK\x03\x04"):
        return "torch" if _is_torch_zip(path) else "zip"
    if start.startswith(b"\x1f\x8b") or path.suffix in (".tar", ".tgz"):
        return "tar"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size:
        return "safetensors"
    if end == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":  # the magic number of TensorFlow's table files
        return "checkpoint"
    if re.match(rb"\x80[\x02-\x05]", start):
        return "torch"
    if path.suffix == ".caffemodel":
        return "caffe"
    return ""


def _checkpoint_data(path: Path) -> Path:
    """The prefix of a checkpoint when the path names its `.index` file."""
    return path.with_suffix("") if path.suffix == ".index" and path.is_file() else path


def _is_torch_zip(path: Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except Exception:  # zipfile raises whatever a damaged directory leads to; unpacking says so
        return False


def _check_sizes(path: Path, tensors: FileTensors) -> None:
    for name, tensor in tensors.items():
        if int(np.prod([float(n) for n in tensor.shape])) * 4 > MAX_TENSOR_BYTES or any(n < 0 for n in tensor.shape):
            raise WeightsError(
                f"A tensor of a weights file has at most {MAX_TENSOR_BYTES // 2**30} GiB. "
                f"Received: {name!r} of the shape {tensor.shape} in {path.name}."
            )


@contextlib.contextmanager
def _one_sentence(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a parser says of a damaged file into one sentence."""
    try:
        yield
    except (WeightsError, ImportError, FileNotFoundError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"The {kind} file {path.name} is damaged or no weights file: {reason}") from error


def _guarded(tensor: FileTensor, path: Path, kind: str) -> Any:
    def read() -> Array:
        with _one_sentence(path, kind):
            return tensor.read()

    return read


@contextlib.contextmanager
def _read_safetensors(path: Path) -> Iterator[tuple[FileTensors, dict[str, str]]]:
    require("safetensors", "safetensors", "Reading safetensors files")
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        tensors = {}
        for name in file.keys():  # noqa: SIM118  (not a mapping)
            part = file.get_slice(name)
            dtype = _SAFETENSORS_TYPES.get(part.get_dtype(), part.get_dtype().lower())
            tensors[name] = FileTensor(tuple(part.get_shape()), dtype, partial(file.get_tensor, name))
        yield tensors, dict(file.metadata() or {})


_SAFETENSORS_TYPES = {"F16": "float16", "F32": "float32", "F64": "float64"}


@contextlib.contextmanager
def _read_hdf5(path: Path) -> Iterator[tuple[FileTensors, dict[str, str]]]:
    h5py = require("h5py", "h5py", "Reading HDF5 files")
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        tensors = {}
        for name, dataset, layer in _datasets(h5py, root, seen=set()):
            if name.startswith("optimizer/") and "layers" in file:  # Keras keeps a compiled model's beside the layers
                continue
            dtype = dataset.dtype.name
            tensors[_hdf5_name(name, layer)] = FileTensor(dataset.shape, dtype, partial(dataset.__getitem__, ()))
        texts = {key: value for key, value in file.attrs.items() if isinstance(value, str)}
        yield tensors, texts


def _datasets(
    h5py: Any, group: Any, prefix: str = "", layer: str = "", *, seen: set[int]
) -> Iterator[tuple[str, Any, str]]:
    """The datasets under a group, with the name that Keras 3 notes for their layer; links are not followed."""
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:  # groups that hold one another twice over take for ever to walk
        raise WeightsError(f"A group of a weights file stands in one place. Received: {prefix!r} in a second one.")
    seen.add(address)
    for key in group:
        name = f"{prefix}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise WeightsError(f"A weights file in HDF5 holds no links to elsewhere. Received: the link {name!r}.")
        item = group[key]
        if isinstance(item, h5py.Group):
            noted = item.attrs.get("name")
            yield from _datasets(h5py, item, name + "/", noted if isinstance(noted, str) else layer, seen=seen)
            continue
        if item.external or item.is_virtual:
            raise WeightsError(f"A weights file in HDF5 holds its own data. Received: {name!r} lies in another file.")
        if item.shape is None or (item.size and not item.id.get_storage_size()):
            raise WeightsError(f"A dataset of a weights file has values. Received: {name!r}, declared and empty.")
        yield name, item, layer


def _hdf5_name(name: str, layer: str) -> str:
    """`layers/conv2d_3/vars/0` of a layer noted as `conv2d_7` is `conv2d_7/0`; `kernel:0` is `kernel`."""
    position = re.search(r"/vars/(\d+)$", name)
    return f"{layer}/{position[1]}" if position and layer else name.removesuffix(":0")


@contextlib.contextmanager
def _read_checkpoint(path: Path) -> Iterator[tuple[FileTensors, dict[str, str]]]:
    require("tensorflow", "tensorflow", "Reading TF-Slim checkpoints")
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    types = reader.get_variable_to_dtype_map()
    yield (
        {
            name: FileTensor(tuple(shape), types[name].name, partial(reader.get_tensor, name))
            for name, shape in reader.get_variable_to_shape_map().items()
        },
        {},
    )


@contextlib.contextmanager
def _read_torch(path: Path) -> Iterator[tuple[FileTensors, dict[str, str]]]:
    """A `.pth` file is a pickle: it is read by torch's restricted loader, which makes tensors and nothing else."""
    torch = require("torch", "torch", "Reading .pth files safely (safetensors files need no torch)")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"A .pth file holds tensors and nothing else. Received: {path.name}, refused.") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"A .pth file of weights holds a state dictionary of tensors. Received: {path.name}.")
    yield (
        {
            name: FileTensor(tuple(t.shape), str(t.dtype).removeprefix("torch."), partial(_torch_array, t))
            for name, t in state.items()
        },
        {},
    )


def _torch_array(tensor: Any) -> Array:
    return tensor.detach().float().numpy()


@contextlib.contextmanager
def _read_caffe(path: Path) -> Iterator[tuple[FileTensors, dict[str, str]]]:
    yield read_blobs(path), {}


_READERS: dict[str, Any] = {
    "safetensors": _read_safetensors,
    "hdf5": _read_hdf5,
    "checkpoint": _read_checkpoint,
    "torch": _read_torch,
    "caffe": _read_caffe,
}
