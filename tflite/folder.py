"""The folder of an export: what it says of itself, and the files in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .errors import ExportError
from .files.metadata import LABELS, check_text
from .files.tracing import OUTPUTS
from .files.trust import NOTHING_SAID, Trust
from .network.deploying import EMBEDDING, Output
from .network.familiarity import Familiarity
from .pictures.fitting import Fitting

MANIFEST = "export.json"
PROOF = "proof.json"
PROOF_PAGE = "proof.html"
FAMILIARITY = "familiarity.npz"
# What a file's mode is called that is none of `MODES`.
SAVED_MODEL = "saved_model"
ONNX = "onnx"
LEARNING = "learning"
FORMAT = 1  # of the manifest
# What TensorFlow writes of a SavedModel, and what a desktop or a killed `verify` leaves in any folder.
_OF_A_SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "assets", "variables", "variables/variables.*")
_LITTER = (".DS_Store", "Thumbs.db", f".{PROOF}.partial-*", f".{PROOF_PAGE}.partial-*")


@dataclass(frozen=True)
class Export:
    """A folder that `export` wrote.

    Attributes:
        folder: The folder.
        manifest: The content of export.json.
        class_names: The content of labels.txt; empty for an embedding.
    """

    folder: Path
    manifest: dict[str, Any]
    class_names: tuple[str, ...]

    @classmethod
    def open(cls, folder: str | Path) -> Export:
        """Reads the description of an export.

        Raises:
            FileNotFoundError: There is no export in the folder.
            ExportError: Its description is damaged.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError(f"An export is a folder with {MANIFEST}. Received: {folder} without one.")
        try:
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
            is_embedding = manifest["output"]["kind"] == EMBEDDING
            labels = "" if is_embedding else (folder / LABELS).read_text("utf-8")
            names, classes = tuple(labels.splitlines()), 0 if is_embedding else manifest["output"]["classes"]
            _check(manifest)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError, ExportError) as error:
            raise ExportError(f"{MANIFEST} and {LABELS} must be as export wrote them. Received: {folder}.") from error
        if len(names) != classes:
            raise ExportError(f"{LABELS} must name {classes} classes. Received: {len(names)} in {folder}.")
        return cls(folder, manifest, names)

    @property
    def files(self) -> dict[str, Path]:
        """Each exported file (for `"saved_model"`, a folder) by its mode."""
        return {row["mode"]: self.folder / row["file"] for row in self.manifest["files"]}

    def whole(self, entry: Mapping[str, Any]) -> Path:
        """The file of a row of the manifest, after its checksum: native code should not meet a broken file.

        Raises:
            FileNotFoundError: It is not there.
            ExportError: It is not as it was written.
        """
        path = self.folder / entry["file"]
        if not path.exists():
            raise FileNotFoundError(
                f"An exported file must be where {self.folder} lists it. Received: no {entry['file']}."
            )
        if size(path) != entry["size"] or sha256(path) != entry["sha256"]:
            raise ExportError(
                f"An exported file must be as it was written ({entry['size']} bytes). "
                f"Received: {entry['file']} changed, cut off or damaged ({size(path)} bytes)."
            )
        return path

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        height, width, channels = self.manifest["input"]["shape"][1:]
        return height, width, channels

    @property
    def output(self) -> Output:
        """What the files answer: `"probabilities"`, `"logits"` or an `"embedding"`."""
        kind: Output = self.manifest["output"]["kind"]
        return kind

    @property
    def answers(self) -> int:
        """How many numbers an answer has: classes, or features of an embedding."""
        return int(self.manifest["output"]["features" if self.output == EMBEDDING else "classes"])

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """What the probability of each class exceeds where it is found; None: the likeliest class is."""
        given = self.manifest["output"].get("thresholds")
        return None if given is None else tuple(given)

    @property
    def trust(self) -> Trust:
        """How far the answers can be trusted."""
        return Trust.from_json(self.manifest["trust"]) if "trust" in self.manifest else NOTHING_SAID

    @property
    def familiarity(self) -> Familiarity | None:
        """What its files tell strangers by; None where they do not.

        Raises:
            FileNotFoundError: The file that holds it is not there.
            ExportError: That file is damaged.
        """
        return Familiarity.open(self.folder / FAMILIARITY) if "unfamiliar" in self.manifest else None

    @property
    def outer_preprocessing(self) -> str | None:
        """Name of the preprocessing that the model itself lacks and the files hold."""
        return None if self.manifest["preprocessing"] == "none" else self.manifest["preprocessing"]


def strangers(folder: Path) -> list[str] | None:
    """Names what a folder holds that neither `export` nor `verify` wrote; None: it is no export, or of another format.

    A damaged export is one still: sums are not looked at.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        written = {MANIFEST, LABELS, PROOF, PROOF_PAGE, FAMILIARITY} | {
            row["file"] for row in manifest["files"] if row["mode"]
        }
        is_ours = manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError, PermissionError):
        return None
    if not is_ours:
        return None
    found = [path for path in sorted(folder.iterdir()) if path.name not in written]
    inside = folder / SAVED_MODEL
    if SAVED_MODEL in written and inside.is_dir():
        paths = {path: path.relative_to(inside).as_posix() for path in sorted(inside.rglob("*"))}
        found += [path for path, name in paths.items() if not _is_any(name, _OF_A_SAVED_MODEL)]
    return [path.relative_to(folder).as_posix() for path in found if not _is_any(path.name, _LITTER)]


def _is_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check(manifest: dict[str, Any]) -> None:
    """Raises one of several errors unless a manifest holds what is read of it."""
    Fitting(manifest["interpolation"], manifest["central_crop"])
    batch, *sides = manifest["input"]["shape"]
    rows = manifest["files"]
    thresholds = manifest["output"].get("thresholds")
    if thresholds is not None:
        check_thresholds(thresholds, manifest["output"]["classes"])
    if "trust" in manifest:
        Trust.from_json(manifest["trust"])
    texts = [OUTPUTS[manifest["output"]["kind"]], manifest["preprocessing"] or "", *(row["sha256"] for row in rows)]
    texts += [row[name] for row in rows for name in ("mode", "file")]
    numbers = [batch or 1, *sides, *(row["size"] for row in rows)]
    if manifest["output"]["kind"] == EMBEDDING:
        numbers.append(manifest["output"]["features"])
    if len(sides) != 3 or not all(type(number) is int and number > 0 for number in numbers):
        raise ValueError
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise TypeError


def sha256(path: Path) -> str:
    """The SHA-256 of a file; of a folder, that of its files' names and sums in sorted order."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in sorted(path.rglob("*")) if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size(path: Path) -> int:
    """Size in bytes of a file, or of a folder's files together."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def described(folder: Path, name: str, mode: str) -> dict[str, Any]:
    """The row of a file in the manifest."""
    return {"mode": mode, "file": name, "size": size(folder / name), "sha256": sha256(folder / name)}


def check_thresholds(thresholds: Sequence[float], classes: int) -> list[float]:
    """Returns the thresholds of the classes; raises `ExportError` unless they are as many shares."""
    values = [float(threshold) for threshold in thresholds]
    if len(values) != classes or not all(0 <= value <= 1 for value in values):
        raise ExportError(
            f"Thresholds must be a probability for each of the {classes} classes. Received: {len(values)} numbers "
            f"from {min(values, default=0):g} to {max(values, default=0):g}."
        )
    return values


def check_class_names(class_names: Sequence[str] | None, classes: int) -> list[str]:
    """Returns the names of the classes, by default their indices; raises `ExportError` unless there are as many."""
    names = [str(index) for index in range(classes)] if class_names is None else [str(name) for name in class_names]
    if len(names) != classes:
        raise ExportError(f"There must be a name for each of the {classes} classes. Received: {len(names)} names.")
    for name in names:
        if len(name.splitlines()) != 1:
            raise ExportError(f"A class name is one line of text. Received: {name!r}.")
        check_text(name, "A class name")
    return names
