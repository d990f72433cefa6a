"""Getting a weight set's file into the cache: once, whole, and checked before anything parses it.

A file is downloaded into `NAME.part` beside its place, continued after a cut, checked, and renamed; a reader sees a
whole and checked file or none. Processes that want the same file wait for each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from keras_inception.weights.errors import DownloadError, WeightsError, require
from keras_inception.weights.sets import WeightSet

MIRROR = "KERAS_INCEPTION_MIRROR"
"""Environment variable: URL of a copy of the cache folder, asked instead of the publishers."""

OFFLINE = "KERAS_INCEPTION_OFFLINE"
"""Environment variable: `1` never connects."""

TIMEOUT = "KERAS_INCEPTION_TIMEOUT"
"""Environment variable: seconds without a byte after which a connection counts as dead; default 30."""

ATTEMPTS = 4
CHUNK = 2**18
PAUSE = 0.5
"""Seconds before the second attempt, doubled for every further one."""


def cache_folder() -> Path:
    """The folder of downloaded weights: `keras_inception` in Keras's `models` cache, which KERAS_HOME moves."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models" / "keras_inception"


def fetch(weight_set: WeightSet) -> Path:
    """Returns the checked file of a weight set, downloading it where the cache lacks it.

    Raises:
        DownloadError: The file is not in the cache and cannot be had.
        WeightsError: The file is not the one that was published, or not the one that was first downloaded.
    """
    path = cache_folder() / weight_set.file_name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        filelock = require("filelock", "filelock", "Downloading weights")
        with filelock.FileLock(path.with_name(path.name + ".lock")):
            if not path.is_file():
                _download(weight_set, path)
    _check(weight_set, path, path)
    return path


def note_hash(weight_set: WeightSet, path: Path) -> None:
    """Notes the hash of a file whose publisher gives none, once it has turned out to hold the weights."""
    note = _note_path(path)
    if weight_set.digest or note.is_file():
        return
    temporary = note.with_name(f"{note.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a cache that is not ours to write is read all the same
        temporary.write_text(f"sha256:{hash_file(path, 'sha256')}\n", "ascii")
        temporary.replace(note)


def source_url(weight_set: WeightSet) -> str:
    """Where the file is asked for: the publisher's URL, or the mirror's."""
    mirror = os.environ.get(MIRROR)
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(weight_set.file_name)}" if mirror else weight_set.url


def _download(weight_set: WeightSet, path: Path) -> None:
    url, part = source_url(weight_set), path.with_name(path.name + ".part")
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise DownloadError(_by_hand(weight_set, path, f"{OFFLINE} is set"))
    reason, fresh = "", False
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        resumed = part.is_file() and part.stat().st_size > 0
        try:
            _transfer(url, part, weight_set.tag)
        except urllib.error.HTTPError as error:
            reason = f"HTTP status {error.code}"
            if error.code < 500 and error.code not in (408, 429):
                break
            continue
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
            continue
        try:
            _check(weight_set, part, path)
        except WeightsError:
            part.unlink(missing_ok=True)
            if resumed and not fresh:  # perhaps the remains of another version: once from the start
                fresh = True
                continue
            raise
        part.replace(path)
        return
    raise DownloadError(_by_hand(weight_set, path, reason))


def _by_hand(weight_set: WeightSet, path: Path, reason: str) -> str:
    return (
        f"The weights {weight_set.tag!r} are not in the cache and cannot be downloaded ({reason}): "
        f"get {weight_set.url} by hand and put it at {path}."
    )


def _transfer(url: str, part: Path, tag: str) -> None:
    """Appends the rest of the file to `part`, or begins it anew where the server cannot continue."""
    begun = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "keras-inception", "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = _open(request)
    except urllib.error.HTTPError as error:
        error.close()
        if begun and error.code == 416:  # nothing is left, or the file has changed: the check will tell
            if _total(error.headers) == begun:
                return
            part.unlink()
            _transfer(url, part, tag)
            return
        raise
    with response:
        if begun and response.status != 206:
            begun = 0
        length = response.headers.get("Content-Length")
        total = begun + int(length) if length and length.isdigit() else None
        with part.open("ab" if begun else "wb") as file:
            _copy(response, file, begun, total, tag)
        if total is not None and part.stat().st_size != total:
            raise http.client.IncompleteRead(b"", total - part.stat().st_size)


def _open(request: urllib.request.Request) -> Any:
    timeout = float(os.environ.get(TIMEOUT, "30"))
    return urllib.request.build_opener(_Redirects).open(request, timeout=timeout)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects on the web, and none from an encrypted connection to an open one."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new == "http"):
            raise urllib.error.URLError(f"the server sends from {old} to {new}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _total(headers: Any) -> int | None:
    """The size of the whole file that an answer `416` tells, if it does."""
    found = re.fullmatch(r"bytes \*/(\d+)", headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _copy(response: Any, file: IO[bytes], begun: int, total: int | None, tag: str) -> None:
    with _progress(tag, begun, total) as advance:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            advance(len(chunk))


@contextlib.contextmanager
def _progress(tag: str, begun: int, total: int | None) -> Iterator[Any]:
    """A progress bar on the terminal; nothing where there is none."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(tag, total=total, completed=begun)
        yield lambda count: bar.advance(task, count)


def _check(weight_set: WeightSet, file: Path, path: Path) -> None:
    """Holds a file, which lies or will lie at the path, to the published hash or to the one that was noted.

    Raises:
        WeightsError: It is another file.
    """
    expected, whose, remedy = weight_set.digest, "published", f"delete {path} and try again"
    if not expected:
        note = _note_path(path)
        if not note.is_file():
            return
        expected, whose = note.read_text("ascii").strip(), "first downloaded"
        remedy += f", and {note} with it to take what the publisher has now"
    algorithm, _, wanted = expected.partition(":")
    found = hash_member(file, algorithm) if weight_set.digest_of == "member" else hash_file(file, algorithm)
    if not found.startswith(wanted):
        raise WeightsError(
            f"The file of the weights {weight_set.tag!r} must have the {algorithm.upper()} that was {whose}, {wanted}: "
            f"{remedy}. Received: {found}."
        )


def hash_file(path: Path, algorithm: str) -> str:
    """The hash of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_member(path: Path, algorithm: str) -> str:
    """The hash of the only file inside a zip archive.

    Raises:
        WeightsError: The archive is damaged or holds not exactly one file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise WeightsError(
                    f"An archive of weights holds exactly one file. Received: {len(members)} in {path.name}."
                )
            with archive.open(members[0]) as file:
                digest = hashlib.new(algorithm)
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                return digest.hexdigest()
    except WeightsError:
        raise
    except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, NotImplementedError, ...
        raise WeightsError(f"The archive {path.name} is damaged: {type(error).__name__}.") from error


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
