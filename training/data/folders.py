"""Folders of images: one sub-folder a class, maybe under train/, validation/ and test/; every file is checked."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config import TrainConfig
from .decode import BadFile, find_bad, is_image_name, printable
from .images import FileImages, Parts, some

_PART_NAMES = {  # in any case; the first of each is ours, the others are those of other tools
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "eval", "evaluation"),
    "test": ("test", "testing"),
}


def open_folder(place: str, config: TrainConfig, known_bad: Sequence[str] | None, to_train: bool = True) -> Parts:
    """Opens a folder of images; files that cannot be decoded are left out and named.

    Args:
        place: the folder.
        config: the run's configuration.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.
        to_train: whether classes must be what can be trained on: two at least, and none of them empty.
    """
    root = Path(place).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    folders = part_folders(root)
    train_folder = folders["train"]
    assert train_folder is not None
    class_names = _class_folders(train_folder)
    classes: dict[Path, str] = {}
    paths: dict[str, list[Path]] = {}
    for part, folder in folders.items():
        strangers = [name for name in _class_folders(folder) if name not in class_names] if folder else []
        if strangers:
            raise ValueError(
                f"The classes of {folder} must be among those of {train_folder}. Received: {some(strangers)}"
            )
        paths[part] = []
        for name, class_folder in [(name, folder / name) for name in class_names] if folder else []:
            files = image_files(class_folder)
            paths[part] += files
            classes |= dict.fromkeys(files, name)
    _refuse_unusable(train_folder, class_names, {classes[path] for path in paths["train"]}, to_train)

    every = [str(path) for part in paths.values() for path in part]
    bad_files = (
        find_bad(every, config.model.channels) if known_bad is None else [BadFile(path, "") for path in known_bad]
    )
    left_out = {file.path for file in bad_files}
    bad = {path for path in every if printable(path) in left_out}
    if len(bad) > config.pipeline.max_bad_share * len(every):
        first = next(file for file in bad_files if file.path in {printable(path) for path in bad})
        raise ValueError(
            f"At most {config.pipeline.max_bad_share:.1%} of the images may be undecodable "
            f"(pipeline.max_bad_share). Received: {len(bad)} of {len(every)} in {root}, the first {first.path}"
        )

    def images(part: str) -> FileImages | None:
        good = [path for path in paths[part] if str(path) not in bad]
        if not good:
            return None
        labels = np.array([class_names.index(classes[path]) for path in good], np.int64)
        return FileImages(config.model.channels, labels, [str(path) for path in good])

    train = images("train")
    if train is None:
        raise ValueError(f"A folder must hold images that can be decoded. Received: none in {train_folder}")
    return Parts(train, images("validation"), images("test"), class_names, bad_files)


def part_folders(root: Path) -> dict[str, Path | None]:
    """The folders of the parts train, validation and test: `root` itself is all that a flat folder has to train on.

    Raises:
        ValueError: where a part is there twice or lacks its train folder, or images lie beside the parts.
    """
    folders = [root / name for name in _class_folders(root)]
    parts: dict[str, Path | None] = {}
    for part, names in _PART_NAMES.items():
        # A folder of the name that holds images itself is a class: cars, buses and trains.
        named = [path for path in folders if path.name.lower() in names and _class_folders(path)]
        if len(named) > 1:
            raise ValueError(
                f"A folder has one part for {part}. Received: {some([path.name for path in named])} in {root}"
            )
        parts[part] = named[0] if named else None
    found = [path for path in parts.values() if path is not None]
    if not found:
        return {"train": root, "validation": None, "test": None}
    if parts["train"] is None:
        raise ValueError(f"Beside {found[0].name}/ there must be train/. Received: {root} without it")
    others = [path.name for path in folders if path not in found and image_files(path)]
    if others:
        raise ValueError(
            f"Beside train/ only validation/ and test/ may hold images. Received: {some(others)} in {root}"
        )
    return parts


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and all folders below it, hidden ones left out; links are followed."""
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            paths = (Path(place, name) for name in files)
            found += [path for path in paths if is_image_name(path) and path.is_file()]
        seen.add(real)
    return sorted(found)


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _refuse_unusable(folder: Path, class_names: list[str], filled: set[str], to_train: bool) -> None:
    unnamed = [printable(name) for name in class_names if printable(name) != name]
    if unnamed:
        raise ValueError(f"The name of a class folder must be one line of UTF-8. Received: {some(unnamed)} in {folder}")
    if not filled:
        raise ValueError(f"A folder of images holds one sub-folder of images a class. Received: no images in {folder}")
    if not to_train:
        return
    if len(class_names) < 2:
        raise ValueError(f"Training needs at least two classes. Received: one, {class_names[0]!r}, in {folder}")
    empty = [name for name in class_names if name not in filled]
    if empty:
        raise ValueError(f"Every class folder must hold images. Received: none in {some(empty)} of {folder}")
