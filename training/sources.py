"""Where images come from: a data specification becomes training, validation and test images with class names."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_inception.training.config import TrainConfig
from keras_inception.training.images import (
    AnyImages,
    ArrayImages,
    FileImages,
    StreamImages,
    decode_bytes,
    is_image_name,
)

_TRAIN_FOLDER = "train"
_VALIDATION_FOLDERS = ("validation", "val")
_TEST_FOLDER = "test"
_DIGITS_TEST_COUNT = 360


@dataclass(frozen=True)
class BadFile:
    """A file that calls itself an image and cannot be decoded."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Splits:
    """The images of a run, without the files that cannot be decoded."""

    train: AnyImages
    validation: AnyImages
    test: AnyImages
    class_names: list[str]
    bad_files: list[BadFile]

    def __getitem__(self, split: str) -> AnyImages:
        if split not in ("train", "validation", "test"):
            raise ValueError(f"A split is train, validation or test. Received: {split!r}")
        images: AnyImages = getattr(self, split)
        return images


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a source holds before anything is split off: missing parts are None."""

    train: AnyImages
    validation: AnyImages | None
    test: AnyImages | None
    class_names: list[str]
    bad_files: list[BadFile]


def open_splits(config: TrainConfig, known_bad: Sequence[str] | None = None) -> Splits:
    """Finds, checks and splits the images of a configuration.

    Where a source has a validation set but no test set, the former is the test set and validation images are split off
    the training images, so that the choice of the best checkpoint never sees a test image.

    Args:
        config: the run's configuration.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.

    Raises:
        FileNotFoundError: where there is no such folder.
        ValueError: for an empty folder, a single class, or too many undecodable files.
    """
    parts = _open(config.data, config, known_bad)
    bad_files = parts.bad_files
    validation, test = parts.validation, parts.test
    if config.test_data:
        test, more_bad = open_labelled(config.test_data, config, parts.class_names, known_bad)
        bad_files = bad_files + more_bad
    elif test is None and validation is not None:
        validation, test = None, validation

    train, settings = parts.train, config.pipeline
    if test is None:
        count = round(settings.test_share * len(train.labels))
        train, test = _split_off(train, count, settings.split_seed, parts.class_names)
    if validation is None:
        count = round(settings.validation_share * len(train.labels))
        train, validation = _split_off(train, count, settings.split_seed, parts.class_names)
    return Splits(train, validation, test, parts.class_names, bad_files)


def open_labelled(
    specification: str, config: TrainConfig, class_names: list[str], known_bad: Sequence[str] | None = None
) -> tuple[AnyImages, list[BadFile]]:
    """Opens data as one labelled set: its test or validation part where it has one, else all of it.

    Raises:
        ValueError: where its classes are not among `class_names`.
    """
    parts = _open(specification, config, known_bad)
    strangers = [name for name in parts.class_names if name not in class_names]
    if strangers:
        raise ValueError(
            f"The classes of {specification} must be among the {len(class_names)} classes trained on. "
            f"Received: {len(parts.class_names)} classes, {_some(strangers)} unknown"
        )
    images = next(part for part in (parts.test, parts.validation, parts.train) if part is not None)
    place = np.array([class_names.index(name) for name in parts.class_names])
    images = images.subset(np.arange(len(images.labels)))
    images.labels[:] = place[images.labels]
    return images, parts.bad_files


def describe(images: AnyImages, class_names: list[str]) -> dict[str, Any]:
    """Counts a split and fingerprints its content list, so that a run notices when its data has changed."""
    digest = hashlib.blake2b(digest_size=16)
    for name, label in zip(images.names, images.labels, strict=True):
        digest.update(f"{Path(name).name}\0{label}\n".encode())
    counts = np.bincount(images.labels, minlength=len(class_names))
    return {
        "images": len(images.labels),
        "per_class": {name: int(count) for name, count in zip(class_names, counts, strict=True)},
        "fingerprint": digest.hexdigest(),
    }


def _open(specification: str, config: TrainConfig, known_bad: Sequence[str] | None) -> _Parts:
    kind, _, place = specification.partition(":")
    if kind == "digits":
        return _open_digits(config)
    return _open_folder(place, config, known_bad) if kind == "folder" else _open_tfds(place, config)


def _split_off(images: AnyImages, count: int, seed: int, class_names: list[str]) -> tuple[AnyImages, AnyImages]:
    """Splits a stratified, seeded `count` of images off: returns the rest and the part, both in their old order."""
    from sklearn.model_selection import train_test_split

    counts = np.bincount(images.labels, minlength=len(class_names))
    if counts.min() < 2:
        raise ValueError(
            "Every class needs at least 2 readable images to be split. "
            f"Received: {counts.min()} in class {class_names[int(counts.argmin())]!r}"
        )
    count = min(max(count, len(class_names)), len(images.labels) - len(class_names))
    everything = np.arange(len(images.labels))
    rest, part = train_test_split(everything, test_size=count, stratify=images.labels, random_state=seed)
    return images.subset(np.sort(rest)), images.subset(np.sort(part))


def _open_digits(config: TrainConfig) -> _Parts:
    """The 1,797 scans of handwritten digits that scikit-learn ships: UCI Optdigits' test set, 8x8, 17 grey levels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    pixels = np.repeat(grey, config.model.channels, axis=-1)
    names = [f"digits/{i}" for i in range(len(pixels))]
    images = ArrayImages(pixels, digits.target.astype(np.int64), names)
    class_names = [str(name) for name in digits.target_names]
    train, test = _split_off(images, _DIGITS_TEST_COUNT, config.pipeline.split_seed, class_names)
    return _Parts(train, None, test, class_names, [])


def _open_folder(place: str, config: TrainConfig, known_bad: Sequence[str] | None) -> _Parts:
    root = Path(place).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"A folder of images must exist. Received: {root}")
    folders: dict[str, Path | None] = {"train": root, "validation": None, "test": None}
    if (root / _TRAIN_FOLDER).is_dir():
        held_out = next((root / name for name in _VALIDATION_FOLDERS if (root / name).is_dir()), None)
        test = root / _TEST_FOLDER
        folders = {"train": root / _TRAIN_FOLDER, "validation": held_out, "test": test if test.is_dir() else None}

    train_folder = folders["train"]
    assert train_folder is not None
    class_names = _class_folders(train_folder)
    paths: dict[str, list[Path]] = {}
    for part, folder in folders.items():
        strangers = [name for name in _class_folders(folder) if name not in class_names] if folder else []
        if strangers:
            raise ValueError(
                f"The classes of {folder} must be among those of {train_folder}. Received: {_some(strangers)}"
            )
        names = class_names if folder else []
        paths[part] = [file for name in names for file in _image_files(folder / name)] if folder else []
    _refuse_unusable(train_folder, class_names, paths["train"])

    every = [str(path) for part in paths.values() for path in part]
    bad_files = _find_bad(every, config) if known_bad is None else [BadFile(path, "") for path in known_bad]
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
        return FileImages(labels, [str(path) for path in good], config.model.channels)

    train = images("train")
    if train is None:
        raise ValueError(f"A folder must hold images that can be decoded. Received: none in {train_folder}")
    return _Parts(train, images("validation"), images("test"), class_names, bad_files)


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
        raise ValueError(f"Every class folder must hold images. Received: none in {_some(empty)} of {folder}")


def _find_bad(paths: list[str], config: TrainConfig) -> list[BadFile]:
    """Decodes every file once, since a file's name and first bytes tell too little about its end."""

    def check(path: str) -> BadFile | None:
        try:
            decode_bytes(tf.io.read_file(path), config.model.channels)
        except tf.errors.OpError as error:
            return BadFile(path, _reason(path, error))
        return None

    with tf.device("CPU:0"), ThreadPoolExecutor() as pool:
        return [bad for bad in pool.map(check, paths) if bad is not None]


def _reason(path: str, error: tf.errors.OpError) -> str:
    if isinstance(error, (tf.errors.PermissionDeniedError, tf.errors.NotFoundError)):
        return "cannot be read"
    size = Path(path).stat().st_size
    if size == 0:
        return "empty file"
    if "Unknown image file format" in error.message:
        return "not a JPEG, PNG, GIF or BMP image"
    return "damaged or truncated image"


def _open_tfds(place: str, config: TrainConfig) -> _Parts:
    import tensorflow_datasets as tfds

    try:
        if Path(place).expanduser().is_dir():
            builder = tfds.builder_from_directory(str(Path(place).expanduser()))
        else:
            builder = tfds.builder(place)
            builder.download_and_prepare()
    except ImportError:
        raise
    except Exception as error:  # TFDS raises dozens of kinds: registry, network, file and format errors
        first_line = str(error).strip().split("\n")[0]
        raise ValueError(
            f"tfds:NAME must name a data set that TFDS can prepare. Received: {place!r} ({first_line})"
        ) from error
    features = builder.info.features
    missing = {"image", "label"} - set(features)
    if missing:
        raise ValueError(
            f"A TFDS data set needs the features image and label. Received: {place} without {_some(sorted(missing))}"
        )

    def images(split: str) -> StreamImages:
        def stream(part: str) -> tf.data.Dataset:
            read = tfds.ReadConfig(interleave_cycle_length=1)  # one shard after the other: the order is the index
            decoders = {"image": tfds.decode.SkipDecoding()}
            dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read, decoders=decoders)
            return dataset.map(lambda example: example[part])

        labels = np.fromiter(stream("label").as_numpy_iterator(), np.int64)
        names = [f"{builder.info.name}/{split}/{i}" for i in range(len(labels))]
        return StreamImages(
            lambda: stream("image"), len(labels), np.arange(len(labels)), labels, names,
            config.model.channels, config.pipeline.shuffle_buffer,
        )  # fmt: skip

    available = list(builder.info.splits)
    if "train" not in available:
        raise ValueError(f"A TFDS data set needs a split named train. Received: {place} with {_some(available)}")
    validation = images("validation") if "validation" in available else None
    test = images("test") if "test" in available else None
    return _Parts(images("train"), validation, test, list(features["label"].names), [])


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
