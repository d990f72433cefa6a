"""Image data packed into TFRecord shards, for data sets of more files than a file system likes.

A packed folder holds shards PART-NUMBER.tfrecord, examples.csv (each record's part, shard, name, label and weight, in
order) and index.json (class names, counts, checksums). A record is a tf.train.Example with the keys that TF-Slim's
ImageNet has, image/encoded, image/class/label and image/filename; the images are the files' own bytes.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..files import read_json, sha256
from .images import Parts, StreamImages
from .several import BAR, class_counts

INDEX, EXAMPLES = "index.json", "examples.csv"
SEVERAL = "several_labels"  # in index.json: images may have several labels, whose numbers have bars between
FORMAT = 1


def open_shards(place: str, config: TrainConfig) -> Parts:
    """Opens a packed folder: every shard has its size, and examples.csv its checksum; records carry their own.

    Raises:
        FileNotFoundError: where there is no packed folder.
        ValueError: where a file of it is not what was packed.
    """
    folder = Path(place).expanduser()
    index = read_index(folder)
    class_names = index["class_names"]
    for name, shard in index["shards"].items():
        size = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if size != shard["bytes"]:
            raise ValueError(f"A shard must be as it was packed ({shard['bytes']} bytes). Received: {folder / name}")
    if sha256(folder / EXAMPLES) != index["examples_sha256"]:
        raise ValueError(f"{EXAMPLES} must be as it was packed. Received: {folder / EXAMPLES}")
    with (folder / EXAMPLES).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    if not {row[1] for row in rows} <= set(index["shards"]):
        raise ValueError(f"{INDEX} must list every shard that {EXAMPLES} names. Received: {folder}")

    def images(part: str) -> StreamImages | None:
        of_part = [row for row in rows if row[0] == part]
        if not of_part:
            return None
        names, labels = [row[2] for row in of_part], _labels([row[3] for row in of_part], index)
        counts = class_counts(labels, len(class_names)).tolist()
        if len(counts) != len(class_names) or dict(zip(class_names, counts, strict=True)) != index["images"].get(part):
            raise ValueError(f"{INDEX} must count the {part} images of {EXAMPLES} by class. Received: {folder}")
        weights = np.array([row[4] for row in of_part], np.float32) if index["weighted"] else None
        shards = list(dict.fromkeys(row[1] for row in of_part))
        in_shard = Counter(row[1] for row in of_part)
        stream = _stream([str(folder / name) for name in shards], [in_shard[name] for name in shards])
        buffer, channels = config.pipeline.shuffle_buffer, config.model.channels
        places = np.arange(len(labels))
        digest = hashlib.sha256("".join(index["shards"][name]["sha256"] for name in shards).encode()).hexdigest()
        return StreamImages(stream, len(labels), places, channels, buffer, labels, names, weights, digest)

    train = images("train")
    if train is None:
        raise ValueError(f"A packed folder must hold images to train on. Received: {folder} without any")
    return Parts(train, images("validation"), images("test"), class_names, [])


def _labels(cells: list[str], index: dict[str, Any]) -> np.ndarray:
    if not index.get(SEVERAL):
        return np.array(cells, np.int64)
    labels = np.zeros((len(cells), len(index["class_names"])), np.float32)
    numbers = [[int(number) for number in cell.split(BAR) if number] for cell in cells]
    for row, of_image in zip(labels, numbers, strict=True):
        row[[number for number in of_image if number < len(row)]] = 1  # others are missed when labels are counted
    return labels


def read_index(folder: Path) -> dict[str, Any]:
    """Reads a packed folder's index.json.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where it is not one of ours.
    """
    if not (folder / INDEX).is_file():
        raise FileNotFoundError(
            f"A packed folder, as `keras-inception pack` writes it, holds {INDEX}. Received: {folder}"
        )
    try:
        index = read_json(folder / INDEX)
        found = f"format {index['format']}"
        if index["format"] == FORMAT:
            _check(index)
            return index
    except (ValueError, KeyError, TypeError, AttributeError):
        found = "something else"
    raise ValueError(f"{INDEX} must be a packed folder's of format {FORMAT}. Received: {found} in {folder}")


def _check(index: dict[str, Any]) -> None:
    """Raises one of several errors unless an index holds what is read of it."""
    numbers = [count for shard in index["shards"].values() for count in (shard["bytes"], shard["examples"])]
    numbers += [count for counts in index["images"].values() for count in counts.values()]
    texts = [*index["class_names"], index["examples_sha256"], *(shard["sha256"] for shard in index["shards"].values())]
    if not all(type(number) is int for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise TypeError
    if not isinstance(index["class_names"], list) or not all(
        type(flag) is bool for flag in (index["weighted"], index.get(SEVERAL, False))
    ):
        raise TypeError


@contextmanager
def damage_told() -> Iterator[None]:
    """Says in one sentence that a record is damaged, where a stream of them is read; their checksums tell it then."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise ValueError(
            "A shard must be as it was packed. Received: a damaged record; `keras-inception scan` names its shard"
        ) from error


def damaged_shards(folder: Path) -> list[str]:
    """Names the shards whose content is no longer what was packed, by their checksums."""
    shards = read_index(folder)["shards"]
    return [
        name
        for name, shard in shards.items()
        if not (folder / name).is_file() or sha256(folder / name) != shard["sha256"]
    ]


def _stream(paths: list[str], counts: list[int]) -> Callable[[Any], Any]:
    starts = np.cumsum([0, *counts[:-1]]).astype(np.int64)
    shape = {"image/encoded": tf.io.FixedLenFeature((), tf.string)}

    def open_stream(seed: Any) -> tf.data.Dataset:
        def records(shard: tf.Tensor) -> tf.data.Dataset:
            numbered = tf.data.TFRecordDataset(tf.gather(paths, shard)).enumerate(tf.gather(starts, shard))
            return numbered.map(
                lambda place, record: (place, tf.io.parse_single_example(record, shape)["image/encoded"])
            )

        shards = tf.data.Dataset.range(len(paths))
        if seed is not None:
            order = tf.random.experimental.stateless_shuffle(tf.range(len(paths), dtype=tf.int64), seed)
            shards = tf.data.Dataset.from_tensor_slices(order)
        return shards.flat_map(records)

    return open_stream
