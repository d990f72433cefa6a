"""Images of one split, wherever they lie: in memory, in files or in a streamed data set.

Each kind offers the same: `labels`, `names` and `weights` by index, `elements` and `batches` (indices with handles, in
order or in a training order), `decode` and `decode_window` (a handle to a picture, or to a part of it). The pipeline
needs nothing else, so a new kind of storage is one class.
"""

# ruff: noqa: D102 (the protocol documents the methods of every kind)

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from .decode import BadFile, Window, cut, decode_bytes, decode_bytes_window
from .mapped import MappedFile
from .order import Order, indexed_batches, streamed_batches


class UnlabelledError(ValueError):
    """Images bear no label, or one that a network does not know."""


class Images(Protocol):
    """Images of one split, addressed by index."""

    labels: np.ndarray
    """Class indices, int64 [n]; where an image may have several labels, zeros and ones, float32 [n, classes]."""
    names: list[str]
    """What a reader would call each image: its path, or its number in the data set."""
    weights: np.ndarray | None
    """How much each image counts in training, float32 [n]; None: all alike."""

    def content(self) -> str:
        """A digest of what tells the images' content cheaply, so that changed data is noticed; may be empty."""
        ...

    def elements(self) -> tf.data.Dataset:
        """Every (index, handle) once, in order."""
        ...

    def batches(self, order: Order) -> tf.data.Dataset:
        """Batches (step, indices [batch], handles [batch]) in a training order, steps numbered through all epochs."""
        ...

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        """A handle's picture, uint8 [height, width, channels]; traced inside the pipeline."""
        ...

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:
        """A part of a handle's picture, maybe reduced, but to no less than `size`; traced inside the pipeline."""
        ...


class _Indexed:
    """Images whose handle is their index."""

    labels: np.ndarray
    file: MappedFile | None = None
    """Where the pixels are a file's: pipelines forget it after each batch."""

    def elements(self) -> tf.data.Dataset:
        return tf.data.Dataset.range(len(self.labels)).map(lambda index: (index, index))

    def batches(self, order: Order) -> tf.data.Dataset:
        return indexed_batches(order, len(self.labels)).map(lambda step, indices: (step, indices, indices))


@dataclass(frozen=True, eq=False)
class ArrayImages(_Indexed):
    """Images of one size in memory or in a mapped file: uint8 [n, height, width, channels]."""

    pixels: np.ndarray
    labels: np.ndarray
    names: list[str]
    weights: np.ndarray | None = None
    is_prepared: bool = False
    """Whether the pixels are what evaluation makes of pictures, so that nothing is left to do."""
    file: MappedFile | None = None

    def content(self) -> str:
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()

    @cached_property
    def tensor(self) -> tf.Tensor:
        """The pixels as a tensor, made once and outside of any graph."""
        return _host_tensor(self.pixels)

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        pixels = self.tensor if self.file is None else tf.reshape(self.file.tensor(), self.pixels.shape)
        return tf.gather(pixels, handle)

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:  # noqa: ARG002
        return cut(self.decode(handle), window)

    def subset(self, indices: np.ndarray) -> "ArrayImages":
        pixels = empty_pixels((len(indices), *self.pixels.shape[1:]))
        np.take(self.pixels, indices, axis=0, out=pixels, mode="clip")  # the default mode fills a buffer first
        return ArrayImages(pixels, *_of(self, indices), self.is_prepared)


@dataclass(frozen=True, eq=False)
class PictureImages(_Indexed):
    """Decoded images of any size in memory or in a mapped file, one after the other in `values`, uint8."""

    values: np.ndarray
    starts: np.ndarray
    shapes: np.ndarray
    labels: np.ndarray
    names: list[str]
    weights: np.ndarray | None = None
    file: MappedFile | None = None

    def content(self) -> str:
        return ""

    @cached_property
    def tensors(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Values, starts and shapes as tensors, made once and outside of any graph."""
        return _host_tensor(self.values), _host_tensor(self.starts), _host_tensor(self.shapes)

    def _parts(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        values, starts, shapes = self.tensors
        return values if self.file is None else self.file.tensor(), starts, shapes

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        values, starts, shapes = self._parts()
        shape = tf.gather(shapes, handle)
        return tf.reshape(tf.slice(values, [tf.gather(starts, handle)], [tf.reduce_prod(shape)]), shape)

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:  # noqa: ARG002
        values, starts, shapes = self._parts()
        shape = tf.gather(shapes, handle)
        top, left, height, width = tf.unstack(tf.cast(window(tf.cast(shape[:2], tf.int32)), tf.int64))
        row = shape[1] * shape[2]
        rows = tf.slice(values, [tf.gather(starts, handle) + top * row], [height * row])
        return tf.reshape(rows, [height, shape[1], shape[2]])[:, left : left + width]

    def subset(self, indices: np.ndarray) -> "PictureImages":
        return PictureImages(self.values, self.starts[indices], self.shapes[indices], *_of(self, indices), self.file)


@dataclass(frozen=True, eq=False)
class FileImages(_Indexed):
    """Images in files; the names are their paths."""

    channels: int
    labels: np.ndarray
    names: list[str]
    weights: np.ndarray | None = None
    accurate: bool = False
    """Whether JPEGs are decoded to the last level."""

    def content(self) -> str:
        return _digest_of([Path(name).stat().st_size for name in self.names])

    @cached_property
    def paths(self) -> tf.Tensor:
        """The paths as a tensor, made once and outside of any graph."""
        return _host_tensor(np.array(self.names, object))

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        return decode_bytes(self.encoded(handle), self.channels, accurate=self.accurate)

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:
        return decode_bytes_window(self.encoded(handle), self.channels, window, size)

    def encoded(self, handle: tf.Tensor) -> tf.Tensor:
        """The file of a handle, as it is."""
        return tf.io.read_file(tf.gather(self.paths, handle))

    def subset(self, indices: np.ndarray) -> "FileImages":
        return FileImages(self.channels, *_of(self, indices), self.accurate)


@dataclass(frozen=True, eq=False)
class EncodedImages(_Indexed):
    """Images as encoded files that a Python function reads by number, such as the rows of a table of Arrow."""

    read: Callable[[int], bytes]
    numbers: np.ndarray
    sizes: np.ndarray
    """Bytes of each."""
    channels: int
    labels: np.ndarray
    names: list[str]
    weights: np.ndarray | None = None

    def content(self) -> str:
        return _digest_of(self.sizes.tolist())

    def encoded(self, handle: tf.Tensor) -> tf.Tensor:
        """The file of a handle, as it is."""
        # Said to have no state: tf.data would read such functions one after the other otherwise.
        content = tf.numpy_function(lambda index: self.read(int(self.numbers[index])), [handle], tf.string, False)
        return tf.ensure_shape(content, ())

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        return decode_bytes(self.encoded(handle), self.channels)

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:
        return decode_bytes_window(self.encoded(handle), self.channels, window, size)

    def subset(self, indices: np.ndarray) -> "EncodedImages":
        numbers, sizes = self.numbers[indices], self.sizes[indices]
        return EncodedImages(self.read, numbers, sizes, self.channels, *_of(self, indices))


@dataclass(frozen=True, eq=False)
class StreamImages:
    """Images of a data set that can only be read from front to back, as encoded files.

    `open_stream` opens a data set of (position, content): in order for None, its files shuffled for a seed.
    `positions` are the places in the stream that belong to this split, ascending, out of `length`.
    """

    open_stream: Callable[[Any], Any]
    length: int
    positions: np.ndarray
    channels: int
    shuffle_buffer: int
    labels: np.ndarray
    names: list[str]
    weights: np.ndarray | None = None
    digest: str = ""
    """Of the whole stream's content, where it is known."""

    def content(self) -> str:
        return self.digest

    def _stream(self, seed: Any) -> tf.data.Dataset:
        if len(self.positions) == self.length:
            return self.open_stream(seed)
        index_of = np.full(self.length, -1, np.int64)
        index_of[self.positions] = np.arange(len(self.positions))
        table = _host_tensor(index_of)
        stream = self.open_stream(seed).map(lambda position, content: (tf.gather(table, position), content))
        return stream.filter(lambda index, _: index >= 0)

    def elements(self) -> tf.data.Dataset:
        return self._stream(None)

    def batches(self, order: Order) -> tf.data.Dataset:
        return streamed_batches(order, len(self.labels), self.shuffle_buffer, self._stream)

    def encoded(self, handle: tf.Tensor) -> tf.Tensor:
        """The file of a handle, as it is."""
        return handle

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        return decode_bytes(handle, self.channels)

    def decode_window(self, handle: tf.Tensor, window: Window, size: int) -> tf.Tensor:
        return decode_bytes_window(handle, self.channels, window, size)

    def subset(self, indices: np.ndarray) -> "StreamImages":
        indices = np.sort(indices)
        labels, names, weights = _of(self, indices)
        return dataclasses.replace(self, positions=self.positions[indices], labels=labels, names=names, weights=weights)


AnyImages = ArrayImages | PictureImages | FileImages | EncodedImages | StreamImages


def _digest_of(sizes: list[int]) -> str:
    """Of the sizes of files: their times differ between copies of the same."""
    return hashlib.sha256(repr(sizes).encode()).hexdigest()


def _of(images: Any, indices: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray | None]:
    weights = None if images.weights is None else images.weights[indices]
    return images.labels[indices], [images.names[i] for i in indices], weights


_ALIGNMENT = 64  # bytes; TensorFlow's operations end the process where a tensor begins elsewhere


def empty_pixels(shape: tuple[int, ...]) -> np.ndarray:
    """A uint8 array that a tensor can share; what is never written of it takes no memory."""
    size = math.prod(shape)
    buffer = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -buffer.ctypes.data % _ALIGNMENT
    return buffer[begin : begin + size].reshape(shape)


def _host_tensor(values: np.ndarray) -> tf.Tensor:
    # Eager even while a graph is traced, which would hold a copy of it; on the CPU, where tf.data runs.
    with tf.init_scope(), tf.device("CPU:0"):
        if values.dtype == np.uint8 and values.flags.c_contiguous and values.ctypes.data % _ALIGNMENT == 0:
            return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
        return tf.constant(values)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a source holds: missing parts are None."""

    train: AnyImages
    validation: AnyImages | None
    test: AnyImages | None
    class_names: list[str]
    bad_files: list[BadFile]


def some(names: Sequence[str], limit: int = 5) -> str:
    """Names the first of some things, and says how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def typical_side(images: AnyImages, count: int = 16) -> int:
    """The median of the first images' shorter sides, in pixels."""
    shapes = images.elements().take(count).map(lambda _, handle: tf.shape(images.decode(handle)))
    return int(np.median([min(shape[:2]) for shape in shapes.as_numpy_iterator()]))
