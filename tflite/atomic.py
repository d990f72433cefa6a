"""A folder that appears whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ExportError

if sys.platform != "win32":
    import fcntl

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux: renameat2
_RENAME_SWAP = 2  # macOS: renamex_np
_ATTEMPTS = 100  # to put the folder in its place, where others put theirs at the same time
_MOVED = (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST)  # what another's step between two of ours looks like

Strangers = Callable[[Path], list[str] | None]
"""Names what a folder holds that is not ours to replace; None: the folder itself is none of ours."""


def no_strangers(_: Path) -> list[str]:
    """Whatever bears the marker is ours."""
    return []


@contextmanager
def whole_folder(
    target: str | Path,
    *,
    marker: str,
    overwrite: bool = False,
    strangers: Strangers = no_strangers,
    wanted: str = "a new folder or an earlier export",
) -> Iterator[Path]:
    """Gives an empty folder to write into, and puts it at `target` when the block ends without an error.

    The work happens in a hidden sibling, `.NAME.partial-*`. A block that raises leaves no trace. A process that is
    killed leaves `target` as it was and the sibling, which the next call for the same target removes. An existing
    folder is exchanged with the new one in a single step on Linux and macOS; on file systems without that step there
    is a moment in which the old one already bears another name (`.NAME.replaced-*`, beside it). Of several that write
    to one target at a time, each puts its folder there whole, and the last one's stays.

    Args:
        target: Where the folder shall appear.
        marker: Name of a file that the old folder must hold: anything else there is not ours to replace.
        overwrite: Whether an existing folder may be replaced.
        strangers: Looks closer at an existing folder that bears the marker.
        wanted: What the target must be, as a refusal says it.

    Yields:
        The folder to write into.

    Raises:
        ExportError: The target exists and may not be replaced, or its parent cannot be written.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100  (resolve() would follow a link that the user meant)
    check_target(target, marker=marker, overwrite=overwrite, strangers=strangers, wanted=wanted)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        partial, lock = _partial(target)
    except OSError as error:
        raise ExportError(f"The output folder must be writable. Received: {target} ({error.strerror}).") from error
    try:
        yield partial
        _flush(partial)
        for _ in range(_ATTEMPTS):
            # Another process may have made the target meanwhile.
            check_target(target, marker=marker, overwrite=overwrite, strangers=strangers, wanted=wanted)
            if _put(partial, target, overwrite=overwrite):
                break
        else:
            raise ExportError(f"The output folder must stay in its place. Received: {target}, which others move about.")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(f"The disk of the output folder is full. Received: {target}.") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def check_target(
    target: Path,
    *,
    marker: str,
    overwrite: bool,
    strangers: Strangers = no_strangers,
    wanted: str = "a new folder or an earlier export",
) -> None:
    """Raises `ExportError` unless `target` is free, an empty folder, or one of ours that may be replaced."""
    while True:
        seen = _identity(target)
        try:
            problem = None if seen is None else _problem(target, marker, overwrite, strangers, wanted)
        except FileNotFoundError as error:
            problem = str(error)
        if problem is None:
            return
        if _identity(target) == seen:  # else another process exchanged the folder while it was looked at
            raise ExportError(problem)


def _problem(target: Path, marker: str, overwrite: bool, strangers: Strangers, wanted: str) -> str | None:
    if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
        return None
    others = strangers(target) if not target.is_symlink() and (target / marker).is_file() else None
    if others is None:
        return f"The output must be {wanted}. Received: {target} is something else."
    if not overwrite:
        return f"An existing export is replaced only with overwrite. Received: {target} exists."
    if others:
        names = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        return f"An export is replaced only where its folder holds nothing else. Received: {target} with {names}."
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _partial(target: Path) -> tuple[Path, int | None]:
    """Makes the folder to write into, and locks it; a clean-up that comes between the two takes it away."""
    while True:
        partial = target.parent / f".{target.name}.partial-{secrets.token_hex(4)}"
        partial.mkdir()
        lock = _lock(partial, wait=True)
        if partial.is_dir():
            return partial, lock
        if lock is not None:
            os.close(lock)


def _put(partial: Path, target: Path, *, overwrite: bool) -> bool:
    """Puts a folder in its place; False where another process did so first."""
    try:
        if not overwrite or not target.exists() or not any(target.iterdir()):
            os.replace(partial, target)  # noqa: PTH105  (POSIX promises that it replaces empty folders alone)
        elif not _exchange(partial, target):
            _replace(partial, target)
    except OSError as error:
        if error.errno not in _MOVED or not partial.is_dir():
            raise
        return False
    return True


def _replace(partial: Path, target: Path) -> None:
    """Moves the old folder aside and the new one in its place, where there is no exchange."""
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.replaced-", dir=target.parent))
    old, is_superseded = aside / target.name, False  # never lose the only one that there is
    try:
        target.rename(old)
        try:
            partial.rename(target)
            is_superseded = True  # whatever others do with the target from here on
        except OSError:
            try:
                old.rename(target)
            except OSError as error:
                is_superseded = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            raise
    finally:
        if is_superseded or not old.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two folders in one step of the file system; False where that does not exist."""
    if sys.platform == "win32":
        return False
    # The C library that Python itself runs on. Looking for its file would start programs, which hold the folder's lock
    # for a moment longer than a process that is killed.
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        return libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return libc.renamex_np(first, second, _RENAME_SWAP) == 0
    return False


def _lock(folder: Path, *, wait: bool = False) -> int | None:
    """Marks the folder as being written by a living process; the kernel takes the mark away when it dies."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):  # gone, held by another, or on a file system without locks
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    return None


def _remove_leftovers(target: Path) -> None:
    """Removes the partial folders of killed processes. Without locks nobody knows whose they are: they stay."""
    for folder in target.parent.iterdir():
        if folder.name.startswith(f".{target.name}.partial-"):
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
