"""The way back: a repository in the hub's cache, whole, and what in it is a model."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import keras_inception as ki
from keras_inception.hub.errors import HubError, told
from keras_inception.hub.handle import Handle
from keras_inception.hub.presets import is_preset
from keras_inception.weights.download import OFFLINE

_WANTED = ("*.json", "*.txt", "*.md", "*.keras", "*.tflite", "*.onnx", "*.weights.h5", "*saved_model/*")
"""What models that can be opened consist of; a repository may hold the same weights for other libraries, too."""
_FILES = (".keras", ".tflite", ".onnx")
_CHUNK = 2**20


def fetch(handle: str) -> Path:
    """Brings a model of the hub here, into the hub's cache; what is there already is not downloaded again.

    Where the hub cannot be reached, HF_HUB_OFFLINE or KERAS_INCEPTION_OFFLINE is set, the cache alone is asked.

    Args:
        handle: `hf://USER/NAME[@REVISION][/PATH]`.

    Returns:
        A run folder, the folder of an export, one that KerasHub's `from_preset` reads, or a `.keras`, `.tflite` or
        `.onnx` file.

    Raises:
        HubError: The repository, its revision or the path does not exist or is not yours to see, it holds no such model
            or several, or a file in the cache is damaged.
    """
    from huggingface_hub import snapshot_download

    place = Handle.parse(handle)
    patterns = [place.path, f"{place.path}/*"] if place.path else list(_WANTED)
    with told(handle):
        folder = snapshot_download(
            place.repository,
            revision=place.revision,
            allow_patterns=patterns,
            endpoint=os.environ.get("HF_ENDPOINT"),
            library_name="keras-inception",
            library_version=ki.__version__,
            local_files_only=os.environ.get(OFFLINE, "0") not in ("", "0"),
        )
    inside = Path(folder) / place.path
    if not inside.exists():
        raise HubError(f"A path must be one of its repository. Received: {handle}")
    _check(inside)
    return inside if inside.is_file() else _model_in(inside, place)


def _model_in(folder: Path, place: Handle) -> Path:
    """What in a folder is the model: the folder itself, or the one file that is one."""
    is_run = (folder / "config.json").is_file() and (folder / "class_names.txt").is_file()
    if is_run or (folder / "export.json").is_file() or is_preset(folder):
        return folder
    for suffix in _FILES:
        found = sorted(folder.rglob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.relative_to(folder).as_posix() for path in found[:5])
            raise HubError(
                f"Of several {suffix} files one is named, as in {place}/{found[0].relative_to(folder).as_posix()}. "
                f"Received: {place} with {names}"
            )
    raise HubError(
        "A repository must hold a run, an export, a preset of KerasHub or a .keras, .tflite or .onnx file. "
        f"Received: {place} with none of them"
    )


def _check(inside: Path) -> None:
    """Holds files against the sums that the cache names them by, as the hub told them.

    A file of large storage is called by its SHA-256, any other one by its SHA-1 in git. Where the system has no links,
    files have their own names and nothing is told.
    """
    for path in [inside] if inside.is_file() else sorted(inside.rglob("*")):
        if not path.is_symlink():
            continue
        blob = path.resolve()
        if not blob.is_file():
            raise HubError(f"A file in the hub's cache must be there. Received: {path}, a link to nothing: remove it")
        if _sum(blob) not in (blob.name, None):
            raise HubError(
                f"A file in the hub's cache must be as the hub has it. Received: {path.name} cut off or damaged: "
                f"remove {blob} to have it fetched again"
            )


def _sum(blob: Path) -> str | None:
    """The sum of a kind that the file's name is; None where the name is no sum."""
    if len(blob.name) == 64:
        digest = hashlib.sha256()
    elif len(blob.name) == 40:
        digest = hashlib.sha1(f"blob {blob.stat().st_size}\0".encode(), usedforsecurity=False)
    else:
        return None
    with blob.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
