"""Taking the weights out of a zip or tar archive, into a folder of its own and nowhere else."""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Self

from keras_inception.weights.errors import WeightsError

MAX_UNPACKED_BYTES = 4 * 2**30
"""The largest archive of the catalogue unpacks to under 1 GiB."""

MAX_HEADER_BYTES = 2**20
MAX_MEMBERS = 10_000

_WEIGHTS = re.compile(r"\.(h5|hdf5|safetensors|caffemodel|ckpt|ckpt-\d+|index|data-\d{5}-of-\d{5}|pth|pt)$")


@contextlib.contextmanager
def unpacked(path: Path, kind: str) -> Iterator[Path]:
    """Unpacks an archive's weights files into a temporary folder, which goes when the block ends.

    Args:
        path: The archive.
        kind: `"zip"` or `"tar"`.

    Yields:
        The one weights file in it (for a checkpoint of several files, their common prefix).

    Raises:
        WeightsError: The archive is damaged, holds a member that would leave the folder or that is no plain file,
            unpacks to more than any weights do, or does not hold exactly one set of weights.
    """
    with tempfile.TemporaryDirectory(prefix="keras-inception-") as folder:
        try:
            names = _unzip(path, Path(folder)) if kind == "zip" else _untar(path, Path(folder))
        except WeightsError:
            raise
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"The archive {path.name} is damaged: {reason}") from error
        except Exception as error:  # zlib.error and lzma.LZMAError have no common base
            raise WeightsError(f"The archive {path.name} is damaged: {type(error).__name__}.") from error
        yield _the_weights(path, [Path(folder) / name for name in names])


def _unzip(path: Path, folder: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        for member in members:
            _check_member(path, member.filename, is_plain=(member.external_attr >> 28) in (0, 8))
        _check_total(path, sum(member.file_size for member in members))
        wanted = [member for member in members if _WEIGHTS.search(member.filename)]
        for member in wanted:
            with archive.open(member) as source:
                _write(source, folder / member.filename, member.file_size, path)
    return [member.filename for member in wanted]


class _CheckedHeader(tarfile.TarInfo):
    """A header of a tar archive; a long name or an extended header, which are read whole, is of a sensible length."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Reads a header's block, before anything that it announces."""
        header = super().frombuf(buf, encoding, errors)
        if header.type not in tarfile.REGULAR_TYPES and header.size > MAX_HEADER_BYTES:
            raise WeightsError(
                f"A header in an archive of weights has at most {MAX_HEADER_BYTES // 2**20} MiB. "
                f"Received: {header.size / 2**20:.0f} MiB."
            )
        return header


def _untar(path: Path, folder: Path) -> list[str]:
    names, total = [], 0
    with tarfile.open(path, "r:*", tarinfo=_CheckedHeader) as archive:
        for count, member in enumerate(archive, start=1):
            if count > MAX_MEMBERS:
                raise WeightsError(f"An archive of weights has at most {MAX_MEMBERS} members. Received: {path.name}.")
            if member.isdir():
                continue
            _check_member(path, member.name, is_plain=member.isreg())
            total += member.size
            _check_total(path, total)
            name = member.name.removeprefix("./")
            if _WEIGHTS.search(name):
                source = archive.extractfile(member)
                assert source is not None  # it is a plain file
                _write(source, folder / name, member.size, path)
                names.append(name)
        assert archive.fileobj is not None  # it is open
        while rest := archive.fileobj.read(2**20):  # the checksum of what is compressed stands behind all of it
            total += len(rest)
            _check_total(path, total)
    return names


def _check_member(path: Path, name: str, *, is_plain: bool) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0] or not is_plain:
        raise WeightsError(
            f"An archive of weights holds plain files under plain names. Received: {name!r} in {path.name}."
        )


def _check_total(path: Path, total: int) -> None:
    if total > MAX_UNPACKED_BYTES:
        raise WeightsError(
            f"An archive of weights unpacks to at most {MAX_UNPACKED_BYTES // 2**30} GiB. "
            f"Received: {path.name}, which declares {total / 2**30:.1f} GiB."
        )


def _write(source: IO[bytes], target: Path, size: int, archive: Path) -> None:
    """Writes a member, and no more of it than it declares."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)
        if file.tell() != size:
            raise WeightsError(
                f"A member of an archive has its declared size. Received: {target.name} in {archive.name}."
            )


def _the_weights(path: Path, files: list[Path]) -> Path:
    data = [file for file in files if not re.search(r"\.data-\d{5}-of-\d{5}$", file.name)]
    found = sorted({file.with_suffix("") if file.suffix == ".index" else file for file in data})
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise WeightsError(f"An archive of weights holds exactly one weights file. Received: {names} in {path.name}.")
    return found[0]
