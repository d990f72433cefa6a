"""What is in folders and tables of images: files that training cannot use, and files that are not what they seem.

Pictures are decoded as training decodes them, so the verdict is training's own; headers are read by Pillow.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..config.rules import joined_sources
from . import decode as reading
from .collection import list_files
from .folders import class_folders, image_files, part_folders
from .listing import Row, is_file, twins
from .shards import INDEX, damaged_shards, read_index

LARGE_MEGAPIXELS = 50.0

ERRORS = {
    "empty": "files without content: left out of training",
    "unreadable": "no image, or a file that may not be read: left out of training",
    "truncated": "images that end too early: left out of training",
    "damaged": "images whose content is broken: left out of training",
    "missing": "no file, though a table lists it: training refuses to begin",
    "twins": "class folders whose names differ by case or blanks only: training refuses to begin",
    "unsupported": "images that TensorFlow does not read or reads wrongly: left out of training",
    "conflict": "the same picture in two classes: one of the labels is wrong",
    "overlap": "the same picture in two parts, such as train and validation: results would be too good",
}
NOTES = {
    "mislabelled": "the name's ending is not the file's format: used all the same",
    "cmyk": "colours for print: converted to RGB",
    "16-bit": "more than 8 bits a channel: the lower ones are dropped",
    "animated": "several pictures in one file: the first one is used",
    "large": "very many pixels: slow to decode",
    "duplicate": "the same picture twice in a class",
}
_REASONS = {
    reading.EMPTY: "empty", reading.UNREADABLE: "unreadable", reading.UNKNOWN: "unreadable",
    reading.BAD_NAME: "unreadable",
    reading.TRUNCATED: "truncated", reading.DAMAGED: "damaged", reading.UNSUPPORTED: "unsupported",
}  # fmt: skip
_ENDINGS = {
    "JPEG": {".jpg", ".jpeg"}, "MPO": {".jpg", ".jpeg"}, "PNG": {".png"}, "GIF": {".gif"}, "BMP": {".bmp"},
    "WEBP": {".webp"}, "TIFF": {".tif", ".tiff"},
}  # fmt: skip
_PNG_DEPTH = 24  # where a PNG's header tells its bits a channel


@dataclass(frozen=True)
class Finding:
    """What is to say about one file."""

    kind: str
    """One of `ERRORS` or `NOTES`."""
    path: str
    detail: str = ""


@dataclass(frozen=True)
class Scan:
    """What folders or tables of images hold."""

    folder: str
    """What was scanned."""
    files: int
    """Files that call themselves images."""
    usable: int
    """Those that training can use."""
    formats: dict[str, int]
    """Usable files by format."""
    per_class: dict[str, int]
    """Usable files by the folder that they lie in, or by the class that a table gives them; those of several labels
    count for each."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings that want something done; `NOTES` are the others."""
        return [finding for finding in self.findings if finding.kind in ERRORS]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Look:
    """One file, looked at."""

    row: Row
    findings: list[Finding]
    file_format: str = ""
    pixels: bytes = b""
    """Digest of shape and pixels; empty where they cannot be used."""
    content: bytes = b""
    """Digest of the file."""


def scan(
    data: str | Path,
    *,
    large_megapixels: float = LARGE_MEGAPIXELS,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, _: items,
) -> Scan:
    """Looks at every image file below a folder, or in a table.

    Args:
        data: folder of images, with a sub-folder a class, maybe under train/, validation/ and test/; or a packed one,
            whose shards are held against their checksums; or, in the words of `TrainConfig.data`, `csv:FILE`, or
            several of `folder:PATH` and `csv:FILE` joined by commas.
        large_megapixels: images of more pixels are named.
        track: given the looks and their number, yields them; a place for a progress bar.

    Raises:
        FileNotFoundError: where there is no such folder or file.
        ValueError: where it holds no image, or is no table of images.
    """
    sources = joined_sources(str(data))
    kind, _, place = sources[0].partition(":")
    root = Path(place if kind == "folder" else data).expanduser()
    if len(sources) == 1 and kind != "csv" and (root / INDEX).is_file():
        return _scan_shards(root)
    listed = [_listed(source, alone=len(sources) == 1) for source in sources]
    rows, findings = [row for some, _ in listed for row in some], [found for _, some in listed for found in some]
    with ThreadPoolExecutor() as pool:
        looks = list(track(pool.map(lambda row: _look(row, large_megapixels), rows), len(rows)))
    usable = [look for look in looks if look.pixels]
    return Scan(
        str(root) if len(sources) == 1 and kind != "csv" else str(data),
        len(rows),
        len(usable),
        dict(Counter(look.file_format for look in usable).most_common()),
        dict(sorted(Counter(group for look in usable for group in look.row.where.splitlines()).items())),
        findings + [finding for look in looks for finding in look.findings] + _repeated(usable),
    )


def _listed(source: str, alone: bool) -> tuple[list[Row], list[Finding]]:
    """The images of one source, with what is to say about all of them; where a row is said to be is its group.

    An image of several labels is of several groups, a line each.
    """
    kind, _, place = source.partition(":")
    if kind == "csv":
        [listing] = list_files(source)
        prefix = "" if alone else f"{listing.place}: "
        parted = len(listing.class_names) > 1

        def where(row: Row) -> str:
            names = row.names(listing.several) or ["no label"]
            return "\n".join(f"{prefix}{row.part}/{name}" if parted else f"{prefix}{name}" for name in names)

        return [replace(row, where=where(row)) for row in listing.rows], []
    root = Path(place if kind == "folder" else source).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    paths = image_files(root)
    if not paths:
        raise ValueError(f"A folder to scan must hold images. Received: none below {root}")
    parts = {part: folder for part, folder in part_folders(root).items() if folder is not None}

    def row(path: Path) -> Row:
        part = next((part for part, folder in parts.items() if path.is_relative_to(folder)), "")
        below = path.relative_to(parts.get(part, root)).parts[:-1]
        where = path.parent.relative_to(root) if alone else path.parent
        return Row(str(path), below[0] if below else "", part, where=str(where))

    findings = [
        Finding("twins", str(folder / other), f"as {name}")
        for folder in parts.values()
        for name, other in twins(class_folders(folder))
    ]
    return [row(path) for path in paths], findings


def _look(row: Row, large_megapixels: float) -> _Look:
    path = Path(row.path)
    if not is_file(row.path):
        return _Look(row, [Finding("missing", reading.printable(row.path))])
    pixels, reason = reading.decode(row.path, 3)
    if pixels is None:
        return _Look(row, [Finding(_REASONS[reason], reading.printable(row.path), reason)])
    content = path.read_bytes()
    file_format, notes = _header(path, content)
    if pixels.shape[0] * pixels.shape[1] > large_megapixels * 1e6:
        notes["large"] = f"{pixels.shape[1]} x {pixels.shape[0]}"
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    findings = [Finding(kind, str(path), detail) for kind, detail in notes.items()]
    return _Look(row, findings, file_format, digest.digest(), hashlib.blake2b(content, digest_size=16).digest())


def _header(path: Path, content: bytes) -> tuple[str, dict[str, str]]:
    """The format of a file that training can read, and what its header gives to note."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, which get a note of our own
            with Image.open(path) as picture:
                file_format, mode = picture.format or "", picture.mode
                frames = getattr(picture, "n_frames", 1)
    except Exception:  # Pillow raises whatever a damaged header leads to
        return "", {}  # what Pillow does not know, TensorFlow has decoded all the same
    notes = {}
    if path.suffix.lower() not in _ENDINGS.get(file_format, {path.suffix.lower()}):
        notes["mislabelled"] = f"{file_format} named {path.suffix}"
    if mode == "CMYK":
        notes["cmyk"] = mode
    if mode.startswith("I") or (file_format == "PNG" and content[_PNG_DEPTH] == 16):
        notes["16-bit"] = mode
    if frames > 1 and file_format != "MPO":
        notes["animated"] = f"{frames} pictures"
    return file_format, notes


def _repeated(looks: list[_Look]) -> list[Finding]:
    """The same picture more than once: across parts, across classes, or within one class."""
    first: dict[bytes, list[_Look]] = {}
    findings = []
    for look in looks:
        earlier = first.setdefault(look.pixels, [])
        for other in earlier:
            if look.row.part != other.row.part:
                kind = "overlap"
            elif look.row.label != other.row.label:
                kind = "conflict"
            else:
                kind = "duplicate"
            what = "the same file as" if look.content == other.content else "the same pixels as"
            findings.append(Finding(kind, look.row.path, f"{what} {other.row.path}"))
            break  # one line a file: of many equal ones, each names the first
        earlier.append(look)
    return findings


def _scan_shards(root: Path) -> Scan:
    index = read_index(root)
    damaged = [Finding("damaged", str(root / name), "not what was packed") for name in damaged_shards(root)]
    lost = sum(index["shards"][Path(finding.path).name]["examples"] for finding in damaged)
    images = sum(shard["examples"] for shard in index["shards"].values())
    per_class = {f"{part}/{name}": count for part, counts in index["images"].items() for name, count in counts.items()}
    return Scan(str(root), images, images - lost, {}, per_class, damaged)
