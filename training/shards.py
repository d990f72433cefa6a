"""Image data packed into TFRecord shards, for data sets of more files than a file system likes.

A packed folder holds shards PART-NUMBER.tfrecord, examples.csv (each record's part, shard, name, label and weight, in
order) and index.json (class names, counts, checksums). A record is a tf.train.Example with the keys that TF-Slim's
ImageNet has, image/encoded, image/class/label and image/filename; the images are the files' own bytes.
"""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_inception.training.config import TrainConfig
from keras_inception.training.images import AnyImages, ArrayImages, FileImages, PictureImages, StreamImages
from keras_inception.training.parts import Parts

INDEX, EXAMPLES = "index.json", "examples.csv"
_COLUMNS = ("part", "shard", "name", "label", "weight")
_FORMAT = 1


def open_shards(place: str, config: TrainConfig) -> Parts:
    """Opens a packed folder: every shard has its size, and examples.csv its checksum; records carry their own.

    Raises:
        FileNotFoundError: where there is no packed folder.
        ValueError: where a file of it is not what was packed.
    """
    folder = Path(place).expanduser()
    index = read_index(folder)
    for name, shard in index["shards"].items():
        size = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if size != shard["bytes"]:
            raise ValueError(f"A shard must be as it was packed ({shard['bytes']} bytes). Received: {folder / name}")
    if _sha256(folder / EXAMPLES) != index["examples_sha256"]:
        raise ValueError(f"{EXAMPLES} must be as it was packed. Received: {folder / EXAMPLES}")
    with (folder / EXAMPLES).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]

    def images(part: str) -> StreamImages | None:
        of_part = [row for row in rows if row[0] == part]
        if not of_part:
            return None
        names, labels = [row[2] for row in of_part], np.array([row[3] for row in of_part], np.int64)
        weights = np.array([row[4] for row in of_part], np.float32) if index["weighted"] else None
        shards = list(dict.fromkeys(row[1] for row in of_part))
        counts = [index["shards"][name]["examples"] for name in shards]
        stream = _stream([str(folder / name) for name in shards], counts)
        buffer, channels = config.pipeline.shuffle_buffer, config.model.channels
        return StreamImages(stream, len(labels), np.arange(len(labels)), channels, buffer, labels, names, weights)

    train = images("train")
    if train is None:
        raise ValueError(f"A packed folder must hold images to train on. Received: {folder} without any")
    return Parts(train, images("validation"), images("test"), index["class_names"], [])


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
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] == _FORMAT:
            return index
        found = f"format {index['format']}"
    except (ValueError, KeyError, TypeError):
        found = "something else"
    raise ValueError(f"{INDEX} must be a packed folder's of format {_FORMAT}. Received: {found} in {folder}")


def damaged_shards(folder: Path) -> list[str]:
    """Names the shards whose content is no longer what was packed, by their checksums."""
    shards = read_index(folder)["shards"]
    return [
        name
        for name, shard in shards.items()
        if not (folder / name).is_file() or _sha256(folder / name) != shard["sha256"]
    ]


def write_shards(
    parts: Parts,
    folder: Path,
    *,
    source: str,
    shuffle_seed: int | None = 0,
    shard_mb: int = 128,
    overwrite: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Packs a source. The folder appears whole or not at all.

    Args:
        parts: what to pack.
        folder: the folder to write.
        source: where the images come from, for the record.
        shuffle_seed: training images are packed in an order of this seed, since readers of more images than
            `pipeline.shuffle_buffer` shuffle neighbours only; None keeps their order.
        shard_mb: about how many megabytes a shard holds.
        overwrite: replace an older packed folder.
        progress: called with 1 after each image.

    Returns:
        The index.

    Raises:
        ValueError: where the folder is there already.
    """
    if folder.exists() and not (overwrite and (folder / INDEX).is_file()):
        raise ValueError(f"A packed folder must be new, or overwrite must be set. Received: {folder}")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        index = _write(parts, partial, source, shuffle_seed, shard_mb * 10**6, progress)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return index


def _write(
    parts: Parts,
    folder: Path,
    source: str,
    shuffle_seed: int | None,
    shard_bytes: int,
    progress: Callable[[int], object],
) -> dict[str, Any]:
    present = {name: getattr(parts, name) for name in ("train", "validation", "test")}
    weighted = any(images is not None and images.weights is not None for images in present.values())
    shards: dict[str, dict[str, Any]] = {}
    with (folder / EXAMPLES).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for part, images in present.items():
            if images is None:
                continue
            names, shard, writer, written = _short_names(images), "", None, 0
            for i, content in _encoded(images, shuffle_seed if part == "train" else None):
                if writer is None or written > shard_bytes:
                    if writer is not None:
                        writer.close()
                    shard, written = f"{part}-{sum(name.startswith(part) for name in shards):05}.tfrecord", 0
                    shards[shard] = {"examples": 0}
                    writer = tf.io.TFRecordWriter(str(folder / shard))
                record = _example(content, int(images.labels[i]), names[i])
                writer.write(record)
                written += len(record)
                shards[shard]["examples"] += 1
                weight = 1.0 if images.weights is None else images.weights[i]
                rows.writerow([part, shard, names[i], images.labels[i], weight])
                progress(1)
            if writer is not None:
                writer.close()
    for name, shard_facts in shards.items():
        shard_facts |= {"bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)}
    index = {
        "format": _FORMAT,
        "source": source,
        "class_names": parts.class_names,
        "images": {
            part: _per_class(images, parts.class_names) for part, images in present.items() if images is not None
        },
        "weighted": weighted,
        "shuffle_seed": shuffle_seed,
        "left_out": [{"path": bad.path, "reason": bad.reason} for bad in parts.bad_files],
        "examples_sha256": _sha256(folder / EXAMPLES),
        "shards": shards,
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return index


def _encoded(images: AnyImages, shuffle_seed: int | None) -> Iterator[tuple[int, bytes]]:
    """Every image as an encoded file, with its index: files as they are, arrays as PNG."""

    def content(handle: tf.Tensor) -> tf.Tensor:
        if isinstance(images, FileImages):
            return tf.io.read_file(tf.gather(images.paths, handle))
        if isinstance(images, ArrayImages | PictureImages):
            return tf.io.encode_png(images.decode(handle))
        return handle

    elements = images.elements()
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(len(images.labels))
        if isinstance(images, StreamImages):
            elements = elements.shuffle(images.shuffle_buffer, seed=shuffle_seed)
        else:
            elements = tf.data.Dataset.from_tensor_slices((order, order))
    for index, encoded in elements.map(lambda index, handle: (index, content(handle))).prefetch(16).as_numpy_iterator():
        yield int(index), encoded


def _short_names(images: AnyImages) -> list[str]:
    """Names without the folder that all of them share."""
    if not isinstance(images, FileImages):
        return images.names
    root = os.path.commonpath(images.names) if len(images.names) > 1 else str(Path(images.names[0]).parent)
    return [Path(name).relative_to(root).as_posix() for name in images.names]


def _example(content: bytes, label: int, name: str) -> bytes:
    def feature(**value: Any) -> Any:
        return tf.train.Feature(**value)

    features = {
        "image/encoded": feature(bytes_list=tf.train.BytesList(value=[content])),
        "image/class/label": feature(int64_list=tf.train.Int64List(value=[label])),
        "image/filename": feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return record


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


def _per_class(images: AnyImages, class_names: list[str]) -> dict[str, int]:
    counts = np.bincount(images.labels, minlength=len(class_names))
    return {name: int(count) for name, count in zip(class_names, counts, strict=True)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
