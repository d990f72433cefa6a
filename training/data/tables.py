"""Tables of images: a CSV file or a data frame, with a row an image."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..files import write_text
from .decode import printable
from .listing import Listing, Row, cited, is_file, part_named, shown
from .several import BAR, names_in, otherwise_parted

_PATH, _LABEL, _SPLIT, _WEIGHT = "path", "label", "split", "weight"
_LABELS = "labels"  # what the label's column is called where an image may have several
_COLUMNS = {  # what each column may be called; names after a bar count only where none of the others is there
    _PATH: (
        ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
        ("id", "image_id"),
    ),
    _LABEL: (("label", "class", "category", "target", "class_name"), (_LABELS,)),
    _SPLIT: (("split", "set", "subset", "partition"),),
    _WEIGHT: (("weight", "sample_weight"),),
}
_SEPARATORS = ",;\t"
_LONGEST_HEADER = 100_000


def list_table(place: str) -> Listing:
    """Lists the images of a CSV file, whose paths begin at its folder.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it is no table of images.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        raise ValueError(f"csv:FILE must name a file, and folder:PATH a folder. Received: {path}, a folder")
    if not is_file(str(path)):
        raise FileNotFoundError(f"csv:FILE must name a file. Received: {path}")
    return _parse(_text(path), str(path), path.parent, lambda _, line: f"line {line}")


def write_frame(path: str | Path, frame: Any, *, folder: str | Path = ".") -> str:
    """Writes a data frame as a CSV file that runs can be trained on, and can find again.

    Args:
        path: the .csv file to write.
        frame: of pandas or Polars, with a row an image; the columns are those of a CSV file.
        folder: where the frame's relative paths begin; the working directory by default. The file has absolute ones.

    Returns:
        The `data` of a configuration: `csv:PATH`.

    Raises:
        ValueError: where the frame is no table of images, or an image is not there.
    """
    path = Path(path)
    path = path if path.suffix == ".csv" else path.with_name(f"{path.name}.csv")
    if hasattr(frame, "to_csv"):
        text = frame.to_csv(index=False)
    elif hasattr(frame, "write_csv"):
        text = frame.write_csv()
    else:
        raise ValueError(f"A data frame must be one of pandas or Polars. Received: a {type(frame).__name__}")
    begin = Path(folder).expanduser().absolute()
    listing = _parse(text, "the data frame", begin, lambda number, _: f"row {number}")
    refuse_missing(listing)
    has_parts = len(listing.class_names) > 1 or "train" not in listing.class_names
    columns = [_PATH, _LABEL] + [_SPLIT] * has_parts + [_WEIGHT] * listing.weighted
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow([_LABELS if listing.several and column == _LABEL else column for column in columns])
    for row in listing.rows:
        values = {_PATH: row.path, _LABEL: row.label, _SPLIT: row.part, _WEIGHT: row.weight}
        rows.writerow([values[column] for column in columns])
    write_text(path, written.getvalue())
    return f"csv:{path}"


def refuse_missing(listing: Listing, known_bad: Sequence[str] = ()) -> None:
    """Raises unless every file that a table lists is there: table and disk at odds are no matter of a damaged file."""
    left_out = set(known_bad)
    missing = [row for row in listing.rows if not is_file(row.path) and printable(row.path) not in left_out]
    if missing:
        raise ValueError(
            f"Every image of a table must be a file. Received: {cited(missing, _told_missing)}, of "
            f"{len(listing.rows):,} images in {listing.place}"
        )


def _told_missing(row: Row) -> str:
    """Which file was looked for, and what is there instead."""
    path, instead = Path(row.path), ""
    with contextlib.suppress(OSError, ValueError):  # where it cannot be a path at all
        others = sorted(other.name for other in path.parent.iterdir() if other.stem == path.name)
        instead = ", a folder" if path.is_dir() else f", though there is {shown(others[0])}" if others else ""
    return f"{row.where} {shown(row.path)}{instead}"


def _text(path: Path) -> str:
    content = path.read_bytes()
    found = ""
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        found = "a spreadsheet or an archive, to be saved as CSV"
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        found = "UTF-16"
    if not found:
        try:
            text = content.decode("utf-8-sig")
            end = text.find("\0")
            if end < 0:
                return text
            found = f"a NUL in line {text.count(chr(10), 0, end) + 1}"
        except UnicodeDecodeError as error:
            found = f"other bytes in line {content.count(10, 0, error.start) + 1}"
    raise ValueError(f"A CSV file must be text in UTF-8. Received: {found}, {path}")


def _parse(text: str, place: str, folder: Path, where: Callable[[int, int], str]) -> Listing:
    """Reads a table; what is wrong with its rows is named by `where`, from a row's number and line."""
    separator = _separator(text)
    records = _records(text, place, separator)
    _, header = next(records, (0, []))
    columns = _columns(header, place)
    below = list(records)
    several = header[columns[_LABEL]].strip().casefold() == _LABELS or any(
        BAR in cells[columns[_LABEL]] for _, cells in below if len(cells) == len(header)
    )
    rows: list[Row] = []
    wrong: dict[str, list[str]] = {}
    for number, (line, cells) in enumerate(below):
        told = where(number, line)
        if len(cells) != len(header):
            rule = f"Every row must have as many cells as the header ({len(header)})"
            wrong.setdefault(rule, []).append(f"{told} with {len(cells)}")
            continue
        given = {name: cells[i] for name, i in columns.items()}
        if separator != ",":  # where a comma parts no cells, it may be the decimal sign
            given = {name: cell.replace(",", ".") if name == _WEIGHT else cell for name, cell in given.items()}
        fault, row = _row(given, folder, told, several)
        if row is None:
            wrong.setdefault(fault, []).append(f"{told} with {shown(given[_FAULTY[fault]])}")
        else:
            rows.append(row)
    for rule, found in wrong.items():
        raise ValueError(f"{rule}. Received: {cited(found)} in {place}")
    if not rows:
        raise ValueError(f"A table must list images below its header. Received: none in {place}")
    parted = otherwise_parted([row.label for row in rows]) if several else []
    if parted:
        raise ValueError(
            f"The labels of an image must be parted by {BAR}. "
            f"Received: {cited([f'{rows[i].where} with {shown(rows[i].label)}' for i in parted])} in {place}"
        )
    class_names = {
        part: sorted({name for row in rows if row.part == part for name in row.names(several)})
        for part in ("train", "validation", "test")
        if any(row.part == part for row in rows)
    }
    places = {part: f"{part} in {place}" for part in class_names}
    return Listing(place, rows, class_names, places, _WEIGHT in columns, several)


_NO_PATH, _NO_LABEL = "Every image must have a path", "Every image must have a label of one line"
_NO_NAME = f"Labels parted by {BAR} must each be a name of one line"
_TWICE = "A label must stand once in a cell"
_NO_SPLIT = "A split must be train, validation or test"
_NO_WEIGHT = "A weight must be a number of at least 0"
_FAULTY = {
    _NO_PATH: _PATH, _NO_LABEL: _LABEL, _NO_NAME: _LABEL, _TWICE: _LABEL, _NO_SPLIT: _SPLIT, _NO_WEIGHT: _WEIGHT,
}  # fmt: skip


def _row(given: dict[str, str], folder: Path, where: str, several: bool) -> tuple[str, Row | None]:
    """The record of a row, or the rule that it breaks."""
    if not given[_PATH].strip():
        return _NO_PATH, None
    label = given[_LABEL]
    if several:
        names = names_in(label)
        if not all(names) or printable(label) != label:
            return _NO_NAME, None
        if len(set(names)) < len(names):
            return _TWICE, None
        label = BAR.join(sorted(names))
    elif not label.strip() or printable(label) != label:
        return _NO_LABEL, None
    part = part_named(given.get(_SPLIT, "train"))
    if part is None:
        return _NO_SPLIT, None
    try:
        weight = float(given.get(_WEIGHT, "1"))
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        return _NO_WEIGHT, None
    return "", Row(_resolved(given[_PATH], folder), label, part, weight, where)


def _resolved(text: str, folder: Path) -> str:
    if text.startswith(("~/", "~\\")):
        text = str(Path(text).expanduser())
    path = str(folder / text)
    if "\\" in text and not is_file(path):  # a table that was written on Windows
        path = str(folder / text.replace("\\", "/"))
    return path


def _separator(text: str) -> str:
    """What parts the cells: that by which the header names most columns."""
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")[:_LONGEST_HEADER]
    return max(_SEPARATORS, key=lambda one: len(_found(next(csv.reader([first], delimiter=one), []))))


def _records(text: str, place: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a text that are not empty, each with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"A CSV file must be rows of cells, with every quote closed. Received: line {line} of {place} ({error})"
            ) from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _found(header: list[str]) -> dict[str, list[int]]:
    """The places of the columns that are known by name."""
    names = ["_".join(name.casefold().replace("-", " ").split()) for name in header]
    found = {}
    for column, choices in _COLUMNS.items():
        every = ([i for i, name in enumerate(names) if name in choice] for choice in choices)
        found[column] = next((places for places in every if places), [])
    return {column: places for column, places in found.items() if places}


def _columns(header: list[str], place: str) -> dict[str, int]:
    found = _found(header)
    told = cited([shown(name) for name in header]) or "no line"
    if _PATH not in found or _LABEL not in found:
        raise ValueError(
            "The header of a table must name a column path (or file, filename, image) and a column label (or class, "
            "category, target), or labels for several an image; split and weight may follow. "
            f"Received: {told} in {place}"
        )
    for column, places in found.items():
        if len(places) > 1:
            raise ValueError(
                f"A table must have one column for the {column}. Received: "
                f"{cited([shown(header[i]) for i in places])} in {place}"
            )
    return {column: places[0] for column, places in found.items()}
