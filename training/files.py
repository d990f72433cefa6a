"""Files that appear whole or not at all, and the sums that tell whether they stayed so."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path


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


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
