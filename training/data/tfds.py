"""Data sets of TensorFlow Datasets."""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..config.places import prepared_tfds
from ..files import write_atomically
from .images import Parts, StreamImages, some


def open_tfds(place: str, config: TrainConfig) -> Parts:
    """Opens a data set by its TFDS name, which may download it, or by the folder of a prepared one."""
    import tensorflow_datasets as tfds

    try:
        folder = prepared_tfds(place)
        if folder is not None:
            builder = tfds.builder_from_directory(str(folder))
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
            f"A TFDS data set needs the features image and label. Received: {place} without {some(sorted(missing))}"
        )

    told = ["label", *(["file_name"] if "file_name" in features else [])]

    def images(split: str) -> StreamImages:
        def stream(*parts: str) -> tf.data.Dataset:
            read = tfds.ReadConfig(interleave_cycle_length=1)  # one shard after the other: the order is the index
            decoders = {"image": tfds.decode.SkipDecoding()}
            dataset = builder.as_dataset(split=split, shuffle_files=False, read_config=read, decoders=decoders)
            return dataset.map(lambda example: tuple(example[part] for part in parts))

        # One data set for all epochs: its shards keep their order, the buffer shuffles.
        images = stream("image").map(lambda image: image).enumerate()
        labels, ends = _kept(builder.info, split, lambda: list(stream(*told).as_numpy_iterator()))
        names = [f"{builder.info.name}/{split}/{end}" for end in ends]
        everything = np.arange(len(labels))
        channels, buffer = config.model.channels, config.pipeline.shuffle_buffer
        return StreamImages(lambda _: images, len(labels), everything, channels, buffer, labels, names)

    available = list(builder.info.splits)
    if "train" not in available:
        raise ValueError(f"A TFDS data set needs a split named train. Received: {place} with {some(available)}")
    validation = images("validation") if "validation" in available else None
    test = images("test") if "test" in available else None
    if test is not None and test.labels.min() < 0:  # kept secret, as ImageNet's
        test = None
    return Parts(images("train"), validation, test, list(features["label"].names), [])


def _kept(info: Any, split: str, read: Callable[[], list[tuple[Any, ...]]]) -> tuple[np.ndarray, list[str]]:
    """Labels and file names of a split: read once, since that takes reading all of its pictures, and then kept."""
    files = [(str(path), tf.io.gfile.stat(str(path))) for path in info.splits[split].filepaths]
    facts = [info.full_name, split, *((path, facts.length, facts.mtime_nsec) for path, facts in files)]
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    place = home / "keras_inception" / "tfds" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.npz"
    try:
        with place.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            labels, names = file["labels"], file["names"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        rows = read()
        labels = np.array([row[0] for row in rows], np.int64)
        names = np.array([row[1] if len(row) > 1 else str(i).encode() for i, row in enumerate(rows)], np.bytes_)
        with contextlib.suppress(OSError):  # a home that is not ours to write
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, lambda path: np.savez_compressed(path, labels=labels, names=names))
    return labels, [name.decode() for name in names]
