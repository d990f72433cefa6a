"""Image files as a folder or a table lists them: one record each, and the rules that all of them keep."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config import TrainConfig
from .decode import BadFile, find_bad, printable, read_file
from .images import FileImages, Parts, some
from .several import BAR, names_in

PART_NAMES = {  # in any case; the first of each is ours, the others are those of other tools
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "eval", "evaluation", "dev"),
    "test": ("test", "testing"),
}
_CITED = 3
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One image file: where it lies, and all that is known about it."""

    path: str
    label: str
    """Where an image may have several, all of them in the order of their names, with bars between."""
    part: str
    weight: float = 1.0
    where: str = ""
    """Where a table says this, such as line 7."""

    def names(self, several: bool) -> list[str]:
        """The classes of the image."""
        return names_in(self.label) if several else [self.label]

    def told(self, what: str) -> str:
        """Something about it, and where that is said."""
        return f"{what} ({self.where})" if self.where else what


@dataclass(frozen=True)
class Listing:
    """What one folder or table lists."""

    place: str
    rows: list[Row]
    class_names: dict[str, list[str]]
    """The classes of each part that is there, those without an image too."""
    places: dict[str, str]
    """What each part is called where it is at fault."""
    weighted: bool = False
    several: bool = False
    """Whether an image may have several labels, or none."""


def part_named(name: str) -> str | None:
    """The part of the data that other tools call so, if any."""
    return next((part for part, names in PART_NAMES.items() if name.strip().lower() in names), None)


def cited(found: Sequence[Any], tell: Callable[[Any], str] = str) -> str:
    """The first of many findings, and how many more there are."""
    more = f" and {len(found) - _CITED:,} more" if len(found) > _CITED else ""
    return ", ".join(map(tell, found[:_CITED])) + more


def shown(text: str) -> str:
    """A text as it can be quoted in one sentence."""
    return repr(text if len(text) <= 4 * _SHOWN else f"{text[:_SHOWN]}…{text[-_SHOWN:]}")


def twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of class names that differ by case, blanks or the encoding of accents alone: one class, most likely.

    Single letters are as they are: in handwriting a and A are two.
    """
    first: dict[str, str] = {}
    pairs = []
    for name in sorted(set(names)):
        bare = unicodedata.normalize("NFC", "".join(name.split()))
        earlier = first.setdefault(bare if len(bare) == 1 else bare.casefold(), name)
        if earlier != name:
            pairs.append((earlier, name))
    return pairs


def open_listings(
    listings: Sequence[Listing], config: TrainConfig, known_bad: Sequence[str] | None, to_train: bool
) -> Parts:
    """Opens listed files as one; those that cannot be decoded are left out and named.

    The order is by class and path, so that it depends neither on the order of a table's rows nor on which of several
    listings comes first.

    Args:
        listings: what is listed.
        config: the run's configuration.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.
        to_train: whether classes must be what can be trained on: two at least, and none of them empty.
    """
    place = ", ".join(listing.place for listing in listings)
    listings = _with_train(listings, place, to_train)
    train_place = ", ".join(listing.places["train"] for listing in listings if "train" in listing.places)
    class_names = sorted({name for listing in listings for name in listing.class_names.get("train", [])})
    for listing in listings:
        for part, names in listing.class_names.items():
            strangers = [name for name in names if name not in class_names]
            if strangers:
                raise ValueError(
                    f"The classes of {listing.places[part]} must be among those of {train_place}. "
                    f"Received: {some(strangers)}"
                )
    rows = sorted(
        (row for listing in listings for row in listing.rows), key=lambda row: (row.label, Path(row.path).parts)
    )
    _refuse_repeated(rows, place)
    weighted, several = any(listing.weighted for listing in listings), any(listing.several for listing in listings)
    if several:
        _refuse_bars([name for listing in listings if not listing.several for name in _names(listing)], place)
    if to_train:
        _refuse_unusable([row for row in rows if row.part == "train"], class_names, train_place, several)

    bad_files, bad = undecodable([row.path for row in rows], place, config, known_bad)

    def images(part: str) -> FileImages | None:
        good = [row for row in rows if row.part == part and row.path not in bad]
        if not good:
            return None
        number = {name: label for label, name in enumerate(class_names)}
        if several:
            labels = np.zeros((len(good), len(class_names)), np.float32)
            for i, row in enumerate(good):
                labels[i, [number[name] for name in row.names(several)]] = 1
        else:
            labels = np.array([number[row.label] for row in good], np.int64)
        weights = np.array([row.weight for row in good], np.float32) if weighted else None
        return FileImages(config.model.channels, labels, [row.path for row in good], weights)

    train = images("train")
    if train is None:
        raise ValueError(f"Some image to train on must be decodable. Received: none in {train_place}")
    return Parts(train, images("validation"), images("test"), class_names, bad_files)


def _with_train(listings: Sequence[Listing], place: str, to_train: bool) -> Sequence[Listing]:
    """The listings with something to train on; what is held out stands in for it where nothing is to be trained."""
    parts = {part for listing in listings for part in listing.class_names}
    if "train" in parts:
        return listings
    if to_train:
        raise ValueError(f"Some image must be listed to train on. Received: {' and '.join(sorted(parts))} in {place}")
    held_out = "test" if "test" in parts else "validation"
    return [
        replace(
            listing,
            rows=[replace(row, part="train") for row in listing.rows if row.part == held_out],
            class_names={"train": listing.class_names.get(held_out, [])},
            places={"train": listing.place},
        )
        for listing in listings
    ]


def undecodable(
    paths: Sequence[str],
    place: str,
    config: TrainConfig,
    known_bad: Sequence[str] | None,
    read: Callable[[str], bytes] = read_file,
) -> tuple[list[BadFile], set[str]]:
    """The images that cannot be decoded, with the reasons, and their paths as they are given.

    Raises:
        ValueError: where they are a larger share than `pipeline.max_bad_share`.
    """
    if known_bad is None:
        bad_files = find_bad(paths, config.model.channels, read)
    else:
        bad_files = [BadFile(path, "") for path in known_bad]
    left_out = {file.path for file in bad_files}
    bad = {path for path in paths if printable(path) in left_out}
    if len(bad) > config.pipeline.max_bad_share * len(paths):
        first = next(file for file in bad_files if file.path in {printable(path) for path in bad})
        raise ValueError(
            f"At most {config.pipeline.max_bad_share:.1%} of the images may be undecodable "
            f"(pipeline.max_bad_share). Received: {len(bad)} of {len(paths)} in {place}, the first {first.path}"
        )
    return bad_files, bad


def _refuse_repeated(rows: list[Row], place: str) -> None:
    """Each file is listed once: a second time it would have two labels, or be tested on what it was trained on."""
    first: dict[str, Row] = {}
    found: dict[str, list[str]] = {}
    for row in rows:
        earlier = first.setdefault(os.path.normcase(os.path.normpath(row.path)), row)
        if earlier is row:
            continue
        if row.label != earlier.label:
            rule = f"An image must be listed once, several labels of it in one cell of the column labels, {BAR} between"
            what, again = f"as {shown(earlier.label)}", f"as {shown(row.label)}"
        elif row.part != earlier.part:
            rule, what, again = "An image must belong to one split", f"in {earlier.part}", f"in {row.part}"
        else:
            rule, what, again = "An image must be listed once, as a weight says how much it counts", "first", "again"
        told = f"{shown(row.path)} {earlier.told(what)} and {row.told(again)}"
        found.setdefault(rule, []).append(told)
    for rule, pairs in found.items():
        raise ValueError(f"{rule}. Received: {cited(pairs)} in {place}")


def _names(listing: Listing) -> set[str]:
    return {name for names in listing.class_names.values() for name in names}


def _refuse_bars(class_names: list[str], place: str) -> None:
    """Classes of a source with one label an image, beside one with several, in which a bar parts names."""
    barred = sorted({name for name in class_names if BAR in name})
    if barred:
        raise ValueError(
            f"A class must have a name without {BAR} where images may have several labels. "
            f"Received: {some(barred)} in {place}"
        )


def _refuse_unusable(rows: list[Row], class_names: list[str], place: str, several: bool) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        for name in row.names(several):
            first.setdefault(name, row)
    if len(class_names) < 2:
        found = f"one, {class_names[0]!r}," if class_names else "images without any label"
        raise ValueError(f"Training needs at least two classes. Received: {found} in {place}")
    empty = [name for name in class_names if name not in first]
    if empty:
        raise ValueError(f"Every class folder must hold images. Received: none in {some(empty)} of {place}")
    pairs = twins(class_names)
    if pairs:
        told = [" and ".join(first[name].told(shown(name)) for name in pair) for pair in pairs]
        raise ValueError(
            f"The names of two classes must differ by more than case and blanks. Received: {cited(told)} in {place}"
        )
    if len(class_names) > len(rows) / 2 and all(map(_is_fraction, class_names)):
        raise ValueError(
            "A label must name a class, as what is measured cannot be trained on. Received: "
            f"{len(class_names):,} different numbers for {len(rows):,} images, such as {class_names[0]}, in {place}"
        )
    if not any(row.weight for row in rows):
        raise ValueError(f"Some image to train on must weigh more than 0. Received: none of {len(rows):,} in {place}")


def _is_fraction(name: str) -> bool:
    try:
        return not float(name.replace(",", ".")).is_integer()
    except (ValueError, OverflowError):
        return False


def is_file(path: str) -> bool:
    """Tells whether a path names a file; one that cannot be a path at all does not."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name longer than any
        return False
