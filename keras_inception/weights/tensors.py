"""A tensor of a weights file, not yet read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Array: TypeAlias = Any  # a NumPy array of any number type


@dataclass(frozen=True)
class FileTensor:
    """A tensor of a file, not yet read.

    Attributes:
        shape: Its shape.
        dtype: Name of its number type, such as `"float32"`.
        read: Reads it.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]


FileTensors: TypeAlias = dict[str, FileTensor]
