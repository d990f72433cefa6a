"""Packing images into TFRecord shards; shards.py reads them."""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import ModelConfig, PipelineConfig, TrainConfig
from ..files import sha256
from .images import AnyImages, ArrayImages, EncodedImages, FileImages, Parts, PictureImages, StreamImages
from .several import BAR, class_counts
from .shards import EXAMPLES, FORMAT, INDEX, SEGMENT, SEVERAL
from .sources import open_parts

Progress = Callable[[int, int], object]

_FRAME = 16  # bytes of a record beside its content: its length and two checksums
_COLUMNS = ("part", "shard", "name", "label", "weight")


def pack(
    data: str,
    folder: str | Path,
    *,
    shuffle_seed: int | None = 0,
    shard_mb: int = 128,
    max_bad_share: float = 0.05,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Packs images into TFRecord shards. The folder appears whole or not at all.

    Args:
        data: what to pack, in the words of `TrainConfig.data`.
        folder: the folder to write.
        shuffle_seed: training images are packed in an order of this seed, since a stream of more images than
            `pipeline.shuffle_buffer` is shuffled among neighbours only; None keeps their order.
        shard_mb: about how many megabytes a shard holds.
        max_bad_share: data of which a larger share cannot be decoded is refused; a smaller one is left out and named.
        overwrite: replace an older packed folder.
        progress: called now and then with the number of images and how many of them are packed.

    Returns:
        What index.json holds.

    Raises:
        FileNotFoundError: where the data is not there.
        ValueError: where the data cannot be used, or the folder is there already.
    """
    folder = Path(folder).expanduser().absolute()
    if folder.exists() and not (overwrite and (folder / INDEX).is_file()):
        raise ValueError(f"A packed folder must be new, or overwrite must be set. Received: {folder}")
    if shard_mb < 1:
        raise ValueError(f"A shard must hold at least 1 megabyte. Received: {shard_mb}")
    # Grey digits stay grey; of all else the files' own bytes are packed, whatever their channels.
    model = ModelConfig(channels=1 if data == "digits" else 3)
    config = TrainConfig(data=data, model=model, pipeline=PipelineConfig(max_bad_share=max_bad_share))
    config.validate()
    parts = open_parts(data, config)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        index = _write(parts, partial, data, shuffle_seed, shard_mb * 10**6, progress)
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
    parts: Parts, folder: Path, source: str, shuffle_seed: int | None, shard_bytes: int, progress: Progress | None
) -> dict[str, Any]:
    present: dict[str, AnyImages] = {}
    for part in ("train", "validation", "test"):
        images: AnyImages | None = getattr(parts, part)
        if images is not None:
            present[part] = images
    total, done = sum(len(images.labels) for images in present.values()), 0
    shards: dict[str, dict[str, Any]] = {}
    with (folder / EXAMPLES).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for part, images in present.items():
            names, shard, number, written, place = _short_names(images), "", 0, shard_bytes, 0
            with ExitStack() as stack:
                for i, content in _encoded(images, shuffle_seed if part == "train" else None):
                    if written >= shard_bytes:
                        stack.close()
                        shard, number, written = f"{part}-{number:05}.tfrecord", number + 1, 0
                        shards[shard], place = {"examples": 0, "starts": []}, 0
                        writer = stack.enter_context(tf.io.TFRecordWriter(str(folder / shard)))
                    labels = np.flatnonzero(images.labels[i]) if images.labels.ndim == 2 else images.labels[i : i + 1]
                    record = _example(content, labels.tolist(), names[i])
                    if shards[shard]["examples"] % SEGMENT == 0:
                        shards[shard]["starts"].append(place)
                    writer.write(record)
                    written, place = written + len(record), place + len(record) + _FRAME
                    shards[shard]["examples"] += 1
                    weight = 1.0 if images.weights is None else images.weights[i]
                    rows.writerow([part, shard, names[i], BAR.join(map(str, labels)), weight])
                    done += 1
                    if progress:
                        progress(total, done)
    for name, shard_facts in shards.items():
        shard_facts |= {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
    index = {
        "format": FORMAT,
        "source": source,
        "class_names": parts.class_names,
        "images": {
            part: _per_class(images, parts.class_names) for part, images in present.items() if images is not None
        },
        "weighted": any(images.weights is not None for images in present.values()),
        SEVERAL: parts.train.labels.ndim == 2,
        "shuffle_seed": shuffle_seed,
        "left_out": [{"path": bad.path, "reason": bad.reason} for bad in parts.bad_files],
        "examples_sha256": sha256(folder / EXAMPLES),
        "shards": shards,
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return index


def _encoded(images: AnyImages, shuffle_seed: int | None) -> Iterator[tuple[int, bytes]]:
    """Every image as an encoded file, with its index: files as they are, arrays as PNG."""

    def content(handle: tf.Tensor) -> tf.Tensor:
        if isinstance(images, FileImages | EncodedImages):
            return images.encoded(handle)
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


def _example(content: bytes, labels: list[int], name: str) -> bytes:
    def feature(**value: Any) -> Any:
        return tf.train.Feature(**value)

    features = {
        "image/encoded": feature(bytes_list=tf.train.BytesList(value=[content])),
        "image/class/label": feature(int64_list=tf.train.Int64List(value=labels)),
        "image/filename": feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
    }
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return record


def _per_class(images: AnyImages, class_names: list[str]) -> dict[str, int]:
    counts = class_counts(images.labels, len(class_names))
    return {name: int(count) for name, count in zip(class_names, counts, strict=True)}
