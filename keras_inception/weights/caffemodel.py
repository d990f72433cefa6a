"""Files of Caffe: a binary protobuf, read by Google's protobuf library.

Of Caffe's schema (github.com/BVLC/caffe, src/caffe/proto/caffe.proto) only the fields that hold weights are declared;
the library skips all others.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.weights.errors import WeightsError, require
from keras_inception.weights.tensors import Array, FileTensor, FileTensors

_FLOAT, _INT64, _MESSAGE, _STRING = 2, 3, 11, 9  # FieldDescriptorProto.Type
_OPTIONAL, _REPEATED = 1, 3
_SCHEMA: dict[str, list[tuple[str, int, int, int, str]]] = {  # message: (field, number, label, type, message type)
    "BlobShape": [("dim", 1, _REPEATED, _INT64, "")],
    "BlobProto": [
        ("num", 1, _OPTIONAL, _INT64, ""),
        ("channels", 2, _OPTIONAL, _INT64, ""),
        ("height", 3, _OPTIONAL, _INT64, ""),
        ("width", 4, _OPTIONAL, _INT64, ""),
        ("data", 5, _REPEATED, _FLOAT, ""),
        ("shape", 7, _OPTIONAL, _MESSAGE, "BlobShape"),
    ],
    "V1LayerParameter": [("name", 4, _OPTIONAL, _STRING, ""), ("blobs", 6, _REPEATED, _MESSAGE, "BlobProto")],
    "LayerParameter": [("name", 1, _OPTIONAL, _STRING, ""), ("blobs", 7, _REPEATED, _MESSAGE, "BlobProto")],
    "NetParameter": [
        ("layers", 2, _REPEATED, _MESSAGE, "V1LayerParameter"),
        ("layer", 100, _REPEATED, _MESSAGE, "LayerParameter"),
    ],
}


def net_parameter() -> Any:
    """The message class `NetParameter`, with the fields that hold weights."""
    require("google.protobuf", "protobuf", "Reading .caffemodel files")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="keras_inception/caffe.proto", package="caffe", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, label, kind, message_type in fields:
            added = message.field.add(name=field, number=number, label=label, type=kind)
            if message_type:
                added.type_name = f".caffe.{message_type}"
            elif label == _REPEATED:
                added.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def read_blobs(path: Path) -> FileTensors:
    """The blobs of a `.caffemodel` as `LAYER:0` (weights) and `LAYER:1` (biases).

    Raises:
        WeightsError: A blob has not as many values as its shape says.
    """
    net = net_parameter().FromString(path.read_bytes())
    tensors: FileTensors = {}
    for layer in [*net.layers, *net.layer]:
        for index, blob in enumerate(layer.blobs):
            old = (blob.num, blob.channels, blob.height, blob.width)
            shape = tuple(blob.shape.dim) if blob.HasField("shape") else _squeezed(old)
            if int(np.prod([float(n) for n in shape])) != len(blob.data):
                raise WeightsError(
                    f"A blob has as many values as its shape says. "
                    f"Received: {len(blob.data)} in {layer.name!r}, of the shape {shape}."
                )
            tensors[f"{layer.name}:{index}"] = FileTensor(shape, "float32", partial(_array, blob, shape))
    return tensors


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """An old four-dimensional shape without its leading ones: biases are (1, 1, 1, n), dense kernels (1, 1, n, m)."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _array(blob: Any, shape: tuple[int, ...]) -> Array:
    return np.fromiter(blob.data, "float32", len(blob.data)).reshape(shape)
