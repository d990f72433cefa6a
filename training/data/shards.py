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
from .parallel import calls
from .several import BAR, class_counts

INDEX, EXAMPLES = "index.json", "examples.csv"
SEVERAL = "several_labels"  # in index.json: images may have several labels, whose numbers have bars between
FORMAT = 1
SEGMENT = 64  # records that one reader takes at a time; index.json has where they begin
_READERS = 4
_BUFFER = 2**20  # bytes


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
        stream = _stream(folder, {name: in_shard[name] for name in shards}, index)
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
    numbers += [start for shard in index["shards"].values() for start in shard.get("starts", [])]
    numbers += [count for counts in index["images"].values() for count in counts.values()]
    for shard in index["shards"].values():
        starts = shard.get("starts", [0])
        if starts[:1] != [0] or starts != sorted(set(starts)) or starts[-1] >= shard["bytes"]:
            raise ValueError
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


def _stream(folder: Path, counts: dict[str, int], index: dict[str, Any]) -> Callable[[Any], Any]:
    """Opens the records of shards: several readers take a segment each, and give their records in order."""
    segments: list[tuple[str, int, int, int]] = []  # file, byte, records, position of the first of them
    ends, position = [0], 0
    is_parted = all("starts" in index["shards"][name] for name in counts)  # not so where an older version packed
    size = SEGMENT if is_parted else max(counts.values())
    for name, count in counts.items():
        starts = index["shards"][name]["starts"] if is_parted else [0]
        if len(starts) != -(-count // size) and is_parted:
            raise ValueError(f"{INDEX} must have a start for every {SEGMENT} records. Received: {folder / name}")
        for i, start in enumerate(starts):
            segments.append((str(folder / name), start, min(size, count - i * size), position + i * size))
        position += count
        ends.append(len(segments))
    files, *numbers = zip(*segments, strict=True)
    places, edges = np.array(numbers, np.int64).T, np.array(ends, np.int64)
    shape = {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
    readers = _READERS if is_parted else 1

    def records(segment: tf.Tensor) -> tf.data.Dataset:
        start, count, first = tf.unstack(tf.gather(places, segment))
        source = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(files, segment)[None],
            compression_type="",
            buffer_size=_BUFFER,
            byte_offsets=start[None],
        )
        read = tf.data.experimental.from_variant(source, tf.TensorSpec((), tf.string))
        # Counts them too: TensorFlow 2.21 crashes where it optimises a `take` of such a data set.
        return tf.data.Dataset.zip(tf.data.Dataset.range(first, first + count), read)

    def content(place: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return place, tf.io.parse_single_example(record, shape)["image/encoded"]

    def open_stream(seed: Any) -> tf.data.Dataset:
        shards = tf.data.Dataset.range(len(counts))
        if seed is not None:
            order = tf.random.experimental.stateless_shuffle(tf.range(len(counts), dtype=tf.int64), seed)
            shards = tf.data.Dataset.from_tensor_slices(order)
        of_shards = shards.flat_map(lambda i: tf.data.Dataset.range(tf.gather(edges, i), tf.gather(edges, i + 1)))
        read = of_shards.interleave(
            records, cycle_length=readers, block_length=size, num_parallel_calls=readers, deterministic=True
        )
        return read.map(content, num_parallel_calls=calls(), deterministic=True)

    return open_stream
