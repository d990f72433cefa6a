"""Folders of images: one sub-folder a class, maybe under train/, validation/ and test/; every file is checked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config import TrainConfig
from .decode import BadFile, find_bad, is_image_name
from .images import FileImages, Parts, some

_TRAIN_FOLDER = "train"
_VALIDATION_FOLDERS = ("validation", "val")
_TEST_FOLDER = "test"


def open_folder(place: str, config: TrainConfig, known_bad: Sequence[str] | None) -> Parts:
    """Opens a folder of images; files that cannot be decoded are left out and named.

    Args:
        place: the folder.
        config: the run's configuration.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.
    """
    root = Path(place).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    folders = part_folders(root)
    train_folder = folders["train"]
    assert train_folder is not None
    class_names = _class_folders(train_folder)
    paths: dict[str, list[Path]] = {}
    for part, folder in folders.items():
        strangers = [name for name in _class_folders(folder) if name not in class_names] if folder else []
        if strangers:
            raise ValueError(
                f"The classes of {folder} must be among those of {train_folder}. Received: {some(strangers)}"
            )
        names = class_names if folder else []
        paths[part] = [file for name in names for file in _image_files(folder / name)] if folder else []
    _refuse_unusable(train_folder, class_names, paths["train"])

    every = [str(path) for part in paths.values() for path in part]
    bad_files = (
        find_bad(every, config.model.channels) if known_bad is None else [BadFile(path, "") for path in known_bad]
    )
    bad = {file.path for file in bad_files} & set(every)
    if len(bad) > config.pipeline.max_bad_share * len(every):
        first = next(file for file in bad_files if file.path in bad)
        raise ValueError(
            f"At most {config.pipeline.max_bad_share:.1%} of the images may be undecodable "
            f"(pipeline.max_bad_share). Received: {len(bad)} of {len(every)} in {root}, the first {first.path}"
        )

    def images(part: str) -> FileImages | None:
        good = [path for path in paths[part] if str(path) not in bad]
        if not good:
            return None
        labels = np.array([class_names.index(path.parent.name) for path in good], np.int64)
        return FileImages(config.model.channels, labels, [str(path) for path in good])

    train = images("train")
    if train is None:
        raise ValueError(f"A folder must hold images that can be decoded. Received: none in {train_folder}")
    return Parts(train, images("validation"), images("test"), class_names, bad_files)


def part_folders(root: Path) -> dict[str, Path | None]:
    """The folders of the parts train, validation and test: `root` itself is all that a flat folder has to train on."""
    if not (root / _TRAIN_FOLDER).is_dir():
        return {"train": root, "validation": None, "test": None}
    held_out = next((root / name for name in _VALIDATION_FOLDERS if (root / name).is_dir()), None)
    test = root / _TEST_FOLDER
    return {"train": root / _TRAIN_FOLDER, "validation": held_out, "test": test if test.is_dir() else None}


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image_files(folder: Path) -> list[Path]:
    return (
        sorted(path for path in folder.iterdir() if path.is_file() and is_image_name(path)) if folder.is_dir() else []
    )


def _refuse_unusable(folder: Path, class_names: list[str], paths: list[Path]) -> None:
    if not paths:
        raise ValueError(f"A folder of images holds one sub-folder of images a class. Received: no images in {folder}")
    if len(class_names) < 2:
        raise ValueError(f"Training needs at least two classes. Received: one, {class_names[0]!r}, in {folder}")
    filled = {path.parent.name for path in paths}
    empty = [name for name in class_names if name not in filled]
    if empty:
        raise ValueError(f"Every class folder must hold images. Received: none in {some(empty)} of {folder}")
