"""Data sets of TensorFlow Datasets."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from .images import Parts, StreamImages, some


def open_tfds(place: str, config: TrainConfig) -> Parts:
    """Opens a data set by its TFDS name, which may download it, or by the folder of a prepared one."""
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
        rows = list(stream(*told).as_numpy_iterator())
        labels = np.array([row[0] for row in rows], np.int64)
        ends = [row[1].decode() for row in rows] if len(told) > 1 else map(str, range(len(rows)))
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
