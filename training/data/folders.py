"""Folders of images: one sub-folder a class, maybe under train/, validation/ and test/; every file is checked."""

import os
from pathlib import Path

from .decode import is_image_name, printable
from .images import UnlabelledError, some
from .listing import PART_NAMES, Listing, Row


def list_folder(place: str) -> Listing:
    """Lists the images of a folder: the classes, of which some may be empty, and the parts.

    Raises:
        FileNotFoundError: where there is no such folder.
        ValueError: where it holds no images, or the parts or the names of its classes are not such.
    """
    root = Path(place).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    rows: list[Row] = []
    class_names, places = {}, {}
    for part, folder in part_folders(root).items():
        if folder is None:
            continue
        names = class_folders(folder)
        unnamed = [printable(name) for name in names if printable(name) != name]
        if unnamed:
            raise ValueError(
                f"The name of a class folder must be one line of UTF-8. Received: {some(unnamed)} in {folder}"
            )
        class_names[part], places[part] = names, str(folder)
        rows += [Row(str(path), name, part) for name in names for path in image_files(folder / name)]
        if part == "train" and not rows:
            raise UnlabelledError(
                f"A folder of images holds one sub-folder of images a class. Received: no images in {folder}"
            )
    return Listing(str(root), rows, class_names, places)


def part_folders(root: Path) -> dict[str, Path | None]:
    """The folders of the parts train, validation and test: `root` itself is all that a flat folder has to train on.

    Raises:
        ValueError: where a part is there twice or lacks its train folder, or images lie beside the parts.
    """
    folders = [root / name for name in class_folders(root)]
    parts: dict[str, Path | None] = {}
    for part, names in PART_NAMES.items():
        # A folder of the name that holds images itself is a class: cars, buses and trains.
        named = [path for path in folders if path.name.lower() in names and class_folders(path)]
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


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, hidden ones left out."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
