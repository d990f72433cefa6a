"""The error of this room, and the silence around native code that talks too much."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class ExportError(ValueError):
    """What a user can mend about an export or its verification, in one sentence."""


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back what TensorFlow's converter and LiteRT's native code write to standard error.

    They report progress there, past Python's logging, and would tear through a table or a progress display. What was
    held back is written out after all when the block raises. Python's warnings about the converter's own insides
    (it calls its deprecated interpreter when it calibrates) are dropped.
    """
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*tf\.lite\.Interpreter is deprecated")
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ExportError:
            raise
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
