"""Images of one split, wherever they lie: in memory, in files or in a streamed data set.

Each kind offers the same three things: `labels` and `names` by index, `elements` (indices with a handle, in order or
shuffled), and `decode` (a handle to a picture). The pipeline needs nothing else, so a new kind of storage is one class.
"""

# ruff: noqa: D102 (the protocol documents the methods of every kind)

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif"}


def is_image_name(path: Path) -> bool:
    """Tells whether a file claims to be an image; formats that TensorFlow cannot read count, so that they get named."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def decode_bytes(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (first frame) or BMP to uint8 [height, width, channels].

    The check before training and training itself both come here, so what passes the one passes the other.
    """
    image = tf.io.decode_image(content, channels=channels, expand_animations=False)
    image.set_shape([None, None, channels])
    return image


class Images(Protocol):
    """Images of one split, addressed by index."""

    labels: np.ndarray
    """Class indices, int64 [n]."""
    names: list[str]
    """What a reader would call each image: its path, or its number in the data set."""

    def elements(self, seed: tf.Tensor | None) -> tf.data.Dataset:
        """Every (index, handle) once: in order, or shuffled by the seed."""
        ...

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        """A handle's picture, uint8 [height, width, channels]; traced inside the pipeline."""
        ...


def _indices(count: int, seed: tf.Tensor | None) -> tf.data.Dataset:
    indices = tf.data.Dataset.range(count)
    if seed is not None:
        indices = indices.shuffle(count, seed=seed, reshuffle_each_iteration=False)
    return indices.map(lambda index: (index, index))


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory: uint8 [n, height, width, channels]."""

    pixels: np.ndarray
    labels: np.ndarray
    names: list[str]

    def elements(self, seed: tf.Tensor | None) -> tf.data.Dataset:
        return _indices(len(self.labels), seed)

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        # A host constant: tf.data runs on the CPU even where a GPU would be the default place for a constant.
        with tf.device("CPU:0"):
            return tf.gather(tf.constant(self.pixels), handle)

    def subset(self, indices: np.ndarray) -> "ArrayImages":
        return ArrayImages(self.pixels[indices], self.labels[indices], [self.names[i] for i in indices])


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images in files; the names are their paths."""

    labels: np.ndarray
    names: list[str]
    channels: int

    def elements(self, seed: tf.Tensor | None) -> tf.data.Dataset:
        return _indices(len(self.labels), seed)

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU:0"):
            path = tf.gather(tf.constant(self.names), handle)
            return decode_bytes(tf.io.read_file(path), self.channels)

    def subset(self, indices: np.ndarray) -> "FileImages":
        return FileImages(self.labels[indices], [self.names[i] for i in indices], self.channels)


@dataclass(frozen=True, eq=False)
class StreamImages:
    """Images of a data set that can only be read from front to back, as encoded files.

    `positions` are the places in the stream that belong to this split, ascending.
    """

    open_stream: Callable[[], Any]
    length: int
    positions: np.ndarray
    labels: np.ndarray
    names: list[str]
    channels: int
    shuffle_buffer: int

    def elements(self, seed: tf.Tensor | None) -> tf.data.Dataset:
        index_of = np.full(self.length, -1, np.int64)
        index_of[self.positions] = np.arange(len(self.positions))
        table = tf.constant(index_of)
        stream = self.open_stream().enumerate().map(lambda position, content: (tf.gather(table, position), content))
        stream = stream.filter(lambda index, _: index >= 0)
        if seed is not None:
            buffer = min(len(self.positions), self.shuffle_buffer)
            stream = stream.shuffle(buffer, seed=seed, reshuffle_each_iteration=False)
        return stream

    def decode(self, handle: tf.Tensor) -> tf.Tensor:
        return decode_bytes(handle, self.channels)

    def subset(self, indices: np.ndarray) -> "StreamImages":
        indices = np.sort(indices)
        return StreamImages(
            self.open_stream, self.length, self.positions[indices], self.labels[indices],
            [self.names[i] for i in indices], self.channels, self.shuffle_buffer,
        )  # fmt: skip


AnyImages = ArrayImages | FileImages | StreamImages
