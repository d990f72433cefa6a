"""Files that appear whole or not at all, and the sums that tell whether they stayed so."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a temporary sibling of `path`, which then takes its place in one step."""
    # The suffix stays: Keras chooses the file format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_half_written(*folders: Path) -> None:
    """Removes what `write_atomically` of a killed process left in folders, and nothing else."""
    for folder in folders:
        for path in folder.glob(".*"):
            if re.fullmatch(r"\.[^.].*\.\d+(\.\w+)?", path.name) and path.is_file():
                path.unlink()


@contextlib.contextmanager
def alone(folder: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Sees to it that one process at a time works in a folder; the system's lock ends with the process.

    Args:
        folder: the folder.
        what: what goes on in it.
        wait: let another one finish first.

    Raises:
        ValueError: where another one does, and is not waited for.
    """
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl and descriptor is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise ValueError(f"{what} goes on in one place at a time. Received: {folder}, in use") from None
            except OSError:  # some network file systems lock no folders
                pass
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_text(path: Path) -> str:
    """Reads a text file.

    Raises:
        ValueError: where its bytes are no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} must be text in UTF-8. Received: {path} ({error.reason})") from error


def parse_json(text: str) -> Any:
    """Parses JSON text.

    Raises:
        ValueError: where it is no JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    Raises:
        ValueError: where it holds something else.
    """
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise ValueError(f"{path.name} must hold a JSON object. Received: {path} ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold a JSON object. Received: {path} with a {type(content).__name__}")
    return content


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
