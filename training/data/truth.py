"""Images to measure a network on as the field keeps them: folders by WordNet id, and flat folders with a list."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..config import TrainConfig
from .decode import is_image_name
from .folders import class_folders, image_files
from .images import AnyImages, FileImages, Parts, some
from .listing import Listing, Row, cited, is_file, open_listings, undecodable
from .sources import labelled_parts, open_parts

UNKNOWN = -1
"""The label of a picture without one."""


def open_measured(
    specification: str,
    config: TrainConfig,
    names: Sequence[str],
    *,
    synonyms: Sequence[str] = (),
    truth: str | None = None,
    several: bool = False,
) -> Parts:
    """Opens labelled images to measure a network on that was trained elsewhere; `held_out` chooses the usual part.

    Args:
        specification: where they come from, in the words of `TrainConfig.data`.
        config: how they are prepared.
        names: of the network's classes.
        synonyms: other names of the same classes, such as WordNet ids, which folders may bear instead.
        truth: text file that tells the class of each image of a flat folder; without one, its files' names may begin
            with their class's synonym.
        several: whether images may have several labels.

    Raises:
        FileNotFoundError: where there is no such data.
        ValueError: where its classes are not those of the network.
    """
    kind, _, place = specification.partition(":")
    if truth is not None and kind != "folder":
        raise ValueError(f"A list of classes is for the images of folder:PATH. Received: {specification}")
    if truth is not None:
        listing: Listing | None = list_truth(place, truth, names, synonyms)
    else:
        listing = list_named(place, synonyms) if kind == "folder" else None
    if listing is not None:
        parts = open_listings([listing], config, None, to_train=False)
    else:
        parts = labelled_parts(specification, config, list(names), several=several, synonyms=synonyms)
    return dataclasses.replace(
        parts, train=_accurate(parts.train), validation=_accurate(parts.validation), test=_accurate(parts.test)
    )


def open_pictures(specification: str, config: TrainConfig, known_bad: Sequence[str] | None = None) -> Parts:
    """Opens the pictures of any source: of a folder without sub-folders the files in it, their labels `UNKNOWN`.

    Args:
        specification: where they come from, in the words of `TrainConfig.data`.
        config: how they are prepared.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.

    Raises:
        FileNotFoundError: where there is no such data.
        ValueError: where it holds no pictures that can be decoded, or some beside folders of others.
    """
    kind, _, place = specification.partition(":")
    root = Path(place).expanduser()
    if kind != "folder" or not root.is_dir():
        return open_parts(specification, config, known_bad, to_train=False)
    if folders := class_folders(root):
        beside = [path.name for path in sorted(root.iterdir()) if is_image_name(path) and path.is_file()]
        if beside:
            raise ValueError(
                "A folder of pictures holds them itself or in folders of classes, not both. "
                f"Received: {some(beside, 2)} beside {some(folders, 2)} in {root}"
            )
        return open_parts(specification, config, known_bad, to_train=False)
    paths = [str(path) for path in image_files(root)]
    bad_files, bad = undecodable(paths, place, config, known_bad)
    names = [path for path in paths if path not in bad]
    if not names:
        raise ValueError(f"A folder of pictures must hold some that can be decoded. Received: none in {place}")
    images = FileImages(config.model.channels, np.full(len(names), UNKNOWN), names)
    return Parts(images, None, None, [], bad_files)


Some = TypeVar("Some", AnyImages, AnyImages | None)


def _accurate(images: Some) -> Some:
    """The same images, decoded as those who publish weights and phones do."""
    return dataclasses.replace(images, accurate=True) if isinstance(images, FileImages) else images


def list_truth(folder: str, truth: str, names: Sequence[str], synonyms: Sequence[str]) -> Listing:
    """Lists the images of a folder whose classes a text file tells.

    Args:
        folder: where the images are.
        truth: the file: `IMAGE CLASS` in each line, or a class in each line for the images in the order of their names.
            A class is one of `names` or `synonyms`; beside an image's name it may be an index, counted from 0.
        names: of the classes.
        synonyms: other names of the same classes, such as WordNet ids; may be empty.

    Raises:
        FileNotFoundError: where there is no such folder or file.
        ValueError: where the file does not tell the class of each image in the folder.
    """
    root = _folder(folder)
    files = {file.relative_to(root).as_posix(): file for file in image_files(root)}
    lines = [line.strip() for line in _text(truth).splitlines() if line.strip()]
    number = {name: index for index, name in enumerate(synonyms)} | {name: index for index, name in enumerate(names)}
    known = {file.name: file for file in files.values()} | files
    if lines and _pair(lines[0], known) is not None:
        pairs = []
        for line in lines:
            pair = _pair(line, known)
            if pair is None:
                raise ValueError(f"A list of classes names images of the folder. Received: {line!r} for {root}")
            image, label = pair
            index = int(label) if label.isdecimal() and label not in number else number.get(label, -1)
            pairs.append((known[image], index, label))
    else:
        if all(line.isdecimal() for line in lines) and not set(lines) <= set(number):
            raise ValueError(
                "A list of numbers alone does not say by which order they count (ILSVRC's own is not the usual one): "
                f"list names, WordNet ids, or IMAGE INDEX in each line. Received: {truth}"
            )
        if len(lines) != len(files):
            raise ValueError(
                f"A list of classes has a line for each of the {len(files):,} images. "
                f"Received: {len(lines):,} in {truth}"
            )
        pairs = [(file, number.get(line, -1), line) for file, line in zip(files.values(), lines, strict=True)]
    strange = [label for _, index, label in pairs if not 0 <= index < len(names)]
    if strange:
        raise ValueError(f"A list of classes names classes of the model. Received: {cited(strange)} in {truth}")
    return _listing(root, [(file, index) for file, index, _ in pairs], len(names))


def _pair(line: str, known: Collection[str]) -> tuple[str, str] | None:
    """Image and class of a line, with a tab or blanks between; names and classes may hold blanks themselves."""
    for part in (line.partition, line.rpartition):
        for separator in ("\t", " "):
            image, _, label = part(separator)
            if image.strip() in known and label.strip():
                return image.strip(), label.strip()
    return None


def list_named(folder: str, synonyms: Sequence[str]) -> Listing | None:
    """Lists the images of a flat folder that begin with their class's id, as in `n01440764_10026.JPEG`.

    Returns:
        The listing; None where the folder has folders of classes, or a file is named otherwise.
    """
    root = Path(folder).expanduser()
    if not synonyms or not root.is_dir() or class_folders(root):
        return None
    number = {name: index for index, name in enumerate(synonyms)}
    found = []
    for file in image_files(root):
        index = number.get(re.split(r"[_.]", file.name, maxsplit=1)[0])
        if index is None:
            return None
        found.append((file, index))
    return _listing(root, found, len(synonyms)) if found else None


def _listing(root: Path, found: Sequence[tuple[Path, int]], classes: int) -> Listing:
    # By index: two classes may bear one name, as ImageNet's two cranes do.
    rows = [Row(str(file), f"{index:06d}", "train") for file, index in found]
    return Listing(str(root), rows, {"train": [f"{index:06d}" for index in range(classes)]}, {"train": str(root)})


def _folder(folder: str) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    if not image_files(root):
        raise ValueError(f"A folder of images must hold some. Received: none in {root}")
    return root


def _text(truth: str) -> str:
    if not is_file(truth):
        raise FileNotFoundError(f"A list of classes is a text file. Received: {truth}")
    try:
        return Path(truth).expanduser().read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"A list of classes is a text file in UTF-8. Received: {truth}") from None
