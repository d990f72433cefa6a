"""Where images come from: a data specification becomes training, validation and test images with class names."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config import TrainConfig
from .arrays import open_arrays, open_digits
from .collection import open_files
from .decode import BadFile
from .hf import open_hf
from .images import AnyImages, Parts, UnlabelledError, some
from .several import as_targets, class_counts, even_part
from .shards import open_shards
from .tfds import open_tfds

_DIGITS_TEST_COUNT = 360


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

    @property
    def several(self) -> bool:
        """Whether an image may have several labels, or none: these are zeros and ones then, float32 [n, classes]."""
        return self.train.labels.ndim == 2

    def describe(self, split: str) -> dict[str, Any]:
        """Counts a split and fingerprints names, content and weights, so that a run notices changed data."""
        return describe(self[split], self.class_names)


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
    parts = open_parts(config.data, config, known_bad)
    bad_files = parts.bad_files
    validation, test = parts.validation, parts.test
    if config.test_data:
        several = parts.train.labels.ndim == 2
        test, more_bad = open_labelled(config.test_data, config, parts.class_names, known_bad, several=several)
        bad_files = bad_files + more_bad
    elif test is None and validation is not None:
        validation, test = None, validation

    train, settings = parts.train, config.pipeline
    _refuse_too_few(train, 1 + (test is None) + (validation is None), parts.class_names)
    if test is None:
        count = round(settings.test_share * len(train.labels))
        train, test = _split_off(train, count, settings.split_seed, parts.class_names)
    if validation is None:
        count = round(settings.validation_share * len(train.labels))
        train, validation = _split_off(train, count, settings.split_seed, parts.class_names)
    train = _weighted(train, config, parts.class_names)
    return Splits(train, validation, test, parts.class_names, bad_files)


def open_labelled(
    specification: str,
    config: TrainConfig,
    class_names: list[str],
    known_bad: Sequence[str] | None = None,
    *,
    several: bool = False,
    synonyms: Sequence[str] = (),
) -> tuple[AnyImages, list[BadFile]]:
    """Opens data as one labelled set: its test or validation part where it has one, else all of it.

    The arguments and errors are those of `labelled_parts`.
    """
    parts = labelled_parts(specification, config, class_names, known_bad, several=several, synonyms=synonyms)
    return held_out(parts), parts.bad_files


def held_out(parts: Parts) -> AnyImages:
    """The test or validation part of data where it has one, else all of it."""
    return next(part for part in (parts.test, parts.validation, parts.train) if part is not None)


def labelled_parts(
    specification: str,
    config: TrainConfig,
    class_names: list[str],
    known_bad: Sequence[str] | None = None,
    *,
    several: bool = False,
    synonyms: Sequence[str] = (),
) -> Parts:
    """Opens data with the labels of a network that was trained elsewhere.

    Args:
        specification: where it comes from.
        config: the run's configuration.
        class_names: the run's classes.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.
        several: whether the run's images may have several labels; data of one label an image is data of several too.
        synonyms: other names of the same classes, for data that names all of its own so.

    Raises:
        UnlabelledError: where its classes are not among `class_names`.
        ValueError: where its images have several labels and the run's one.
    """
    parts = open_parts(specification, config, known_bad, to_train=False)
    if synonyms and set(parts.class_names) <= set(synonyms):
        class_names = list(synonyms)
    strangers = [name for name in parts.class_names if name not in class_names]
    if strangers:
        raise UnlabelledError(
            f"The classes of {specification} must be among the {len(class_names)} classes trained on. "
            f"Received: {len(parts.class_names)} classes, {some(strangers)} unknown"
        )
    place = np.array([class_names.index(name) for name in parts.class_names], np.int64)

    def relabelled(images: AnyImages | None) -> AnyImages | None:
        if images is None:
            return None
        if images.labels.ndim == 1:
            labels = as_targets(place[images.labels], len(class_names)) if several else place[images.labels]
        elif several:
            labels = np.zeros((len(images.labels), len(class_names)), np.float32)
            labels[:, place] = images.labels
        else:
            raise ValueError(
                "A network that was trained on one label an image must be measured on such images. "
                f"Received: images of several labels in {specification}"
            )
        return dataclasses.replace(images, labels=labels)

    train, validation, test = map(relabelled, (parts.train, parts.validation, parts.test))
    assert train is not None  # of data that is there
    return dataclasses.replace(parts, train=train, validation=validation, test=test, class_names=class_names)


def describe(images: AnyImages, class_names: list[str]) -> dict[str, Any]:
    """Counts a split and fingerprints names, content and weights, so that a run notices changed data."""
    digest = hashlib.blake2b(digest_size=16)
    for name, label in zip(images.names, images.labels.tolist(), strict=True):
        digest.update(f"{Path(name).name}\0{label}\n".encode())
    counts = class_counts(images.labels, len(class_names))
    return {
        "images": len(images.labels),
        "per_class": {name: int(count) for name, count in zip(class_names, counts, strict=True)},
        "fingerprint": digest.hexdigest(),
        "content": images.content(),
        "weights": "" if images.weights is None else hashlib.sha256(images.weights.tobytes()).hexdigest(),
    }


def open_parts(
    specification: str, config: TrainConfig, known_bad: Sequence[str] | None = None, *, to_train: bool = True
) -> Parts:
    """Opens a source: what it holds to train, validate and test on, before anything is split off.

    What is not to be trained on may be of one class, or lack images of some.
    """
    kind, _, place = specification.partition(":")
    match kind:
        case "digits":
            digits = open_digits(config)
            class_names = [str(digit) for digit in range(10)]
            train, test = _split_off(digits, _DIGITS_TEST_COUNT, config.pipeline.split_seed, class_names)
            return Parts(train, None, test, class_names, [])
        case "folder" | "csv":
            return open_files(specification, config, known_bad, to_train)
        case "hf":
            return open_hf(place, config, known_bad, to_train)
        case "tfds":
            return open_tfds(place, config)
        case "tfrecord":
            return open_shards(place, config)
        case _:
            return open_arrays(place, config, to_train)


def _weighted(images: AnyImages, config: TrainConfig, class_names: list[str]) -> AnyImages:
    """The images weighted by class as well, where the configuration says so.

    Balanced weights are n / (classes * n of the class), as in scikit-learn, whose mean over the images is 1; of several
    labels an image, n counts them. Such an image weighs as the heaviest of its labels does, and 1 without any.
    """
    settings, counts = config.pipeline, class_counts(images.labels, len(class_names))
    if settings.balance_classes:
        of_class = counts.sum() / (len(class_names) * np.maximum(counts, 1))
    elif settings.class_weights:
        strangers = [name for name in settings.class_weights if name not in class_names]
        if strangers:
            raise ValueError(
                f"pipeline.class_weights must name some of the data's {len(class_names)} classes. "
                f"Received: {some(strangers)}"
            )
        of_class = np.array([settings.class_weights.get(name, 1.0) for name in class_names])
    else:
        return images
    given = 1.0 if images.weights is None else images.weights
    if images.labels.ndim == 2:
        heaviest = np.where(images.labels > 0, of_class, -np.inf).max(axis=1)
        own = np.where(images.labels.any(axis=1), heaviest, 1.0)
    else:
        own = of_class[images.labels]
    return dataclasses.replace(images, weights=(own * given).astype(np.float32))


def _refuse_too_few(images: AnyImages, least: int, class_names: list[str]) -> None:
    """Each split takes at least one image of every class."""
    counts = class_counts(images.labels, len(class_names))
    if least > 1 and counts.min() < least:
        raise ValueError(
            f"Every class needs at least {least} readable images to be split. "
            f"Received: {counts.min()} in class {class_names[int(counts.argmin())]!r}"
        )


def _split_off(images: AnyImages, count: int, seed: int, class_names: list[str]) -> tuple[AnyImages, AnyImages]:
    """Splits a stratified, seeded `count` of images off: returns the rest and the part, both in their old order.

    Of images with several labels it is about so many.
    """
    from sklearn.model_selection import train_test_split

    _refuse_too_few(images, 2, class_names)
    count = min(max(count, len(class_names)), len(images.labels) - len(class_names))
    if images.labels.ndim == 2:
        chosen = even_part(images.labels, count, seed)
        return images.subset(np.flatnonzero(~chosen)), images.subset(np.flatnonzero(chosen))
    everything = np.arange(len(images.labels))
    rest, part = train_test_split(everything, test_size=count, stratify=images.labels, random_state=seed)
    return images.subset(np.sort(rest)), images.subset(np.sort(part))
