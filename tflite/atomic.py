"""A folder that appears whole or not at all."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ExportError

if sys.platform != "win32":
    import fcntl

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux: renameat2
_RENAME_SWAP = 2  # macOS: renamex_np


@contextmanager
def whole_folder(target: str | Path, *, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Gives an empty folder to write into, and puts it at `target` when the block ends without an error.

    The work happens in a hidden sibling, `.NAME.partial-*`. A block that raises leaves no trace. A process that is
    killed leaves `target` as it was and the sibling, which the next call for the same target removes. An existing
    folder is exchanged with the new one in a single step on Linux and macOS; on file systems without that step there
    is a moment in which the old one already bears another name (`.NAME.replaced-*`, beside it).

    Args:
        target: Where the folder shall appear.
        marker: Name of a file that the old folder must hold: anything else there is not ours to replace.
        overwrite: Whether an existing folder may be replaced.

    Yields:
        The folder to write into.

    Raises:
        ExportError: The target exists and may not be replaced, or its parent cannot be written.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100  (resolve() would follow a link that the user meant)
    check_target(target, marker=marker, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        partial = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
        partial.mkdir()
    except OSError as error:
        raise ExportError(f"The output folder must be writable. Received: {target} ({error.strerror}).") from error
    lock = _lock(partial)
    try:
        yield partial
        _flush(partial)
        # Another process may have made the target meanwhile.
        check_target(target, marker=marker, overwrite=overwrite)
        _put(partial, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(f"The disk of the output folder is full. Received: {target}.") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def check_target(target: Path, *, marker: str, overwrite: bool) -> None:
    """Raises `ExportError` unless `target` is free, an empty folder, or one of ours that may be replaced."""
    if not os.path.lexists(target) or (target.is_dir() and not target.is_symlink() and not any(target.iterdir())):
        return
    if target.is_symlink() or not (target / marker).is_file():
        raise ExportError(
            f"The output must be a new folder or an earlier export. Received: {target} is something else."
        )
    if not overwrite:
        raise ExportError(f"An existing export is replaced only with overwrite. Received: {target} exists.")


def _put(partial: Path, target: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        os.replace(partial, target)  # noqa: PTH105  (the one call whose replacement of an empty folder POSIX promises)
    elif not _exchange(partial, target):
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.replaced-", dir=target.parent))
        target.rename(aside / target.name)
        try:
            partial.rename(target)
        except OSError:
            (aside / target.name).rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step of the file system; False where that does not exist."""
    libc = ctypes.CDLL(ctypes.util.find_library("c") or None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        return libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return libc.renamex_np(first, second, _RENAME_SWAP) == 0
    return False


def _lock(folder: Path) -> int | None:
    """Marks the folder as being written by a living process; the kernel takes the mark away when it dies."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # held by another, or a file system without locks
            os.close(descriptor)
        else:
            return descriptor
    return None


def _remove_leftovers(target: Path) -> None:
    """Removes the partial folders of killed processes. Without locks nobody knows whose they are: they stay."""
    for folder in target.parent.glob(f".{target.name}.partial-*"):
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _flush(folder: Path) -> None:
    """Sends the files to the disk, so that the rename cannot outrun them at a power failure."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
