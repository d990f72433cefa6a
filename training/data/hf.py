"""Data sets of Hugging Face's library `datasets`, from its hub or from a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import TrainConfig
from ..config.places import saved_hf
from .images import EncodedImages, Parts, some
from .listing import part_named, undecodable

_KINDS = {"image": "Image", "label": "ClassLabel"}


def open_hf(place: str, config: TrainConfig, known_bad: Sequence[str] | None, to_train: bool = True) -> Parts:
    """Opens a data set by its name, which may download it, or by a folder that `save_to_disk` wrote or images lie in.

    Raises:
        ImportError: where the library is not installed.
        ValueError: where there is no such data set, or it does not hold images with classes.
    """
    parts: dict[str, Any] = {}
    for name, dataset in _load(place).items():
        part = part_named(name)
        if part in parts:
            raise ValueError(f"hf:NAME must have one split for {part}. Received: another, {name!r}, in {place}")
        if part is not None:
            parts[part] = dataset
    if "train" not in parts:
        raise ValueError(f"hf:NAME must have a split named train. Received: {place} with {some(list(parts)) or 'none'}")
    image, label = _columns(parts["train"], place)
    class_names = [str(name) for name in _classes_of(parts["train"].features[label]).names]
    opened = {part: _images(dataset, image, label, f"{place}/{part}", config) for part, dataset in parts.items()}
    opened = {part: images for part, images in opened.items() if part == "train" or (images.labels >= 0).all()}
    unlabelled = int((opened["train"].labels < 0).sum())
    if unlabelled or (to_train and len(class_names) < 2):
        raise ValueError(
            "hf:NAME must give every image to train on one of at least two classes. "
            f"Received: {place} with {len(class_names)} classes and {unlabelled} images without one"
        )
    places = {name: (images, i) for images in opened.values() for i, name in enumerate(images.names)}

    def read(name: str) -> bytes:
        images, i = places[name]
        return images.read(i)

    bad_files, bad = undecodable(list(places), place, config, known_bad, read)
    kept = {part: images.subset(_good(images.names, bad)) for part, images in opened.items()}
    if not len(kept["train"].labels):
        raise ValueError(f"Some image to train on must be decodable. Received: none in {place}")
    held_out = {part: images for part, images in kept.items() if len(images.labels)}
    return Parts(kept["train"], held_out.get("validation"), held_out.get("test"), class_names, bad_files)


def _good(names: list[str], bad: set[str]) -> np.ndarray:
    return np.array([i for i, name in enumerate(names) if name not in bad], np.int64)


def _load(place: str) -> dict[str, Any]:
    """The splits of a data set by name."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            "hf: needs the package datasets: pip install 'keras-inception[hf]'. Received: an environment without it"
        ) from error
    folder = saved_hf(place)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"hf:PATH must name a folder. Received: {folder}")
    try:
        if folder is None:
            name, _, configuration = place.partition(":")
            loaded = datasets.load_dataset(name, configuration or None)
        elif any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            loaded = datasets.load_from_disk(str(folder))
        else:
            loaded = datasets.load_dataset(str(folder))
    except Exception as error:  # the library raises dozens of kinds: hub, network, file and format errors
        first_line = str(error).strip().split("\n")[0]
        raise ValueError(
            f"hf:NAME must name a data set that the library datasets can load. Received: {place!r} ({first_line})"
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _columns(dataset: Any, place: str) -> tuple[str, str]:
    """The columns of the image and of its class, found by their types, and by their names where there are several."""
    found = []
    for name, kind in _KINDS.items():
        columns = [column for column, feature in dataset.features.items() if type(feature).__name__ == kind]
        lists = [column for column, feature in dataset.features.items() if _classes_of(feature) is not feature]
        if name == "label" and lists and not columns:  # several labels an image
            columns, name = lists, "labels"
        if len(columns) != 1 and name not in columns:
            raise ValueError(
                f"hf:NAME must have one column of the type {kind}, or one of them named {name}. "
                f"Received: {some(columns) if columns else 'none'} in {place}"
            )
        found.append(name if name in columns else columns[0])
    return found[0], found[1]


def _classes_of(feature: Any) -> Any:
    """The classes of a column: its own type, or that of the lists in it."""
    inner = getattr(feature, "feature", None)
    return inner if type(inner).__name__ == "ClassLabel" else feature


def _images(dataset: Any, image: str, label: str, place: str, config: TrainConfig) -> EncodedImages:
    given = dataset.select_columns([label]).with_format("arrow")[:][label].to_pylist()
    classes = dataset.features[label]
    if _classes_of(classes) is classes:
        labels = np.array([-1 if number is None else number for number in given], np.int64)
    else:
        labels = np.zeros((len(given), len(_classes_of(classes).names)), np.float32)
        for row, numbers in zip(labels, given, strict=True):
            row[[number for number in numbers or () if number is not None and number >= 0]] = 1
    rows = dataset.select_columns([image]).with_format("arrow")
    sizes: list[int] = []
    names: dict[str, None] = {}  # in order; no name is given twice, since an image is found again by it
    for table in rows.iter(1000):
        column = table[image].combine_chunks()
        for content, path in zip(column.field("bytes"), column.field("path").to_pylist(), strict=True):
            if not content.is_valid and not (path and Path(path).is_file()):
                raise ValueError(
                    f"Every image of hf:NAME must have its bytes or a file. Received: row {len(names)} of {place} with "
                    f"{path or 'neither'}"
                )
            numbered = "/".join([place, str(len(names)), *([Path(path).name] if path else [])])
            sizes.append(content.as_buffer().size if content.is_valid else Path(path).stat().st_size)
            names[numbered if content.is_valid or path in names else path] = None

    def read(number: int) -> bytes:
        found = rows[number][image][0].as_py()
        return bytes(found["bytes"]) if found["bytes"] is not None else Path(found["path"]).read_bytes()

    everything = np.arange(len(labels))
    return EncodedImages(read, everything, np.array(sizes), config.model.channels, labels, list(names))
