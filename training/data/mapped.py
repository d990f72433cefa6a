"""A file as memory: its bytes are read when they are looked at, and the system may drop them again."""

import mmap
from pathlib import Path

import numpy as np
import tensorflow as tf


class MappedFile:
    """The bytes of a file, as an array that tensors can share; only what was looked at since `forget` takes memory.

    Args:
        path: a file that is not empty, and is not written to while it is mapped; it may be removed.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        view = np.frombuffer(self._mapping, np.uint8)
        # DLPack knows no read-only arrays. A private writable mapping would do, were it not refused where it is
        # larger than the machine's memory.
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "shape": view.shape, "data": (view.ctypes.data, False)
        }  # fmt: skip

    @property
    def values(self) -> np.ndarray:
        """All bytes, uint8 [size], to read only; the array holds the mapping open."""
        return np.asarray(self)

    def forget(self, value: tf.Tensor) -> tf.Tensor:
        """Returns a value of a pipeline, and hands the pages that were looked at back to the system when it passes."""

        def forgotten(passed: np.ndarray) -> np.ndarray:
            if hasattr(mmap, "MADV_DONTNEED"):
                self._mapping.madvise(mmap.MADV_DONTNEED)
            return passed

        return tf.ensure_shape(tf.numpy_function(forgotten, [value], value.dtype), value.shape)
