"""A file as memory: its bytes are read when they are looked at, and the system may drop them again."""

import mmap
from functools import cached_property
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

    @cached_property
    def _variable(self) -> tf.Tensor:
        with tf.init_scope(), tf.device("CPU:0"):
            bytes_ = tf.experimental.dlpack.from_dlpack(self.values.__dlpack__())
            name = "cd2c89b7-88b7-44c8-ad83-06c2a9158347"  # TensorFlow's for a variable that ends with its handle
            handle = tf.raw_ops.VarHandleOp(dtype=tf.uint8, shape=bytes_.shape, shared_name=name)
            tf.raw_ops.AssignVariableOp(resource=handle, value=bytes_)  # which adopts the tensor's memory
            return handle

    def tensor(self) -> tf.Tensor:
        """All bytes as a tensor uint8 [size], in a pipeline by way of a variable.

        A tensor that a pipeline refers to is copied when its graph is optimised, and keeps it from being so where it
        is larger than 2 GB.
        """
        return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=self._variable, dtype=tf.uint8), self.values.shape)

    def forget(self, value: tf.Tensor) -> tf.Tensor:
        """Returns a value of a pipeline; when it passes, the pages that were looked at are the system's again."""

        def forgotten(passed: np.ndarray) -> np.ndarray:
            if hasattr(mmap, "MADV_DONTNEED"):
                self._mapping.madvise(mmap.MADV_DONTNEED)
            return passed

        return tf.ensure_shape(tf.numpy_function(forgotten, [value], value.dtype, stateful=False), value.shape)
