"""The error of this room, and the silence around native code that talks too much."""

import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class ExportError(ValueError):
    """What a user can mend about an export or its verification, in one sentence."""


class _HeldBack:
    """The process's standard error while anyone asks for quiet: the descriptor belongs to all threads together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._begin()
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._restore.close()

    def write_out(self) -> None:
        with self._lock:
            self._file.seek(0)
            os.write(self._kept, self._file.read())
            self._file.seek(0)
            self._file.truncate()

    def _begin(self) -> None:
        with ExitStack() as stack:
            self._file = stack.enter_context(tempfile.TemporaryFile())
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated")
            self._kept = os.dup(2)
            stack.callback(os.close, self._kept)
            stack.callback(os.dup2, self._kept, 2)
            os.dup2(self._file.fileno(), 2)
            self._restore = stack.pop_all()


_held_back = _HeldBack()


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what TensorFlow's converter and LiteRT's native code write to standard error.

    They report progress there, past Python's logging, and would tear through a table or a progress display. What was
    held back is written out after all when the block raises. Python's warnings about the converter's own insides
    (it calls its deprecated interpreter when it calibrates) are dropped. Blocks of several threads may overlap: the
    last one to end gives standard error back.
    """
    _held_back.enter()
    try:
        yield
    except ExportError:
        raise
    except BaseException:
        _held_back.write_out()
        raise
    finally:
        _held_back.leave()


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
