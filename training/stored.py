"""Sources that are neither folders nor shards: the digits of scikit-learn, arrays in a file, TFDS."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_inception.training.config import TrainConfig
from keras_inception.training.files import write_atomically
from keras_inception.training.images import ArrayImages, StreamImages
from keras_inception.training.parts import Parts, some


def open_digits(config: TrainConfig) -> ArrayImages:
    """The 1,797 scans of handwritten digits that scikit-learn ships: UCI Optdigits' test set, 8x8, 17 grey levels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    pixels = np.repeat(grey, config.model.channels, axis=-1)
    names = [f"digits/{i}" for i in range(len(pixels))]
    return ArrayImages(pixels, digits.target.astype(np.int64), names)


def open_arrays(place: str, config: TrainConfig) -> Parts:
    """Opens what `write_arrays` wrote.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it holds something else.
    """
    path = Path(place).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"array:FILE.npz must name a file. Received: {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"array:FILE.npz must be a whole .npz file without objects. Received: {path}") from error

    def images(part: str) -> ArrayImages | None:
        prefix = "" if part == "train" else f"{part}_"
        if f"{prefix}images" not in arrays:
            return None
        pixels, labels = arrays[f"{prefix}images"], arrays.get(f"{prefix}labels", np.empty(0))
        pixels = _checked(pixels, labels, path, config.model.channels)
        weights = arrays.get(f"{prefix}weights")
        if weights is not None and (weights.shape != labels.shape or not (weights >= 0).all()):
            raise ValueError(f"Weights must be one number of at least 0 an image. Received: {path}")
        names = [f"{path.stem}/{part}/{i}" for i in range(len(pixels))]
        return ArrayImages(pixels, labels.astype(np.int64), names, weights)

    train = images("train")
    if train is None:
        raise ValueError(f"array:FILE.npz must hold images and labels. Received: {path} with {some(sorted(arrays))}")
    class_names = [str(name) for name in arrays.get("class_names", np.arange(train.labels.max() + 1))]
    parts = Parts(train, images("validation"), images("test"), class_names, [])
    largest = max(part.labels.max() for part in (parts.train, parts.validation, parts.test) if part is not None)
    if largest >= len(class_names) or len(class_names) < 2:
        raise ValueError(
            f"Labels must number at least two classes from 0. Received: {path} with the label {largest} "
            f"and {len(class_names)} classes"
        )
    return parts


def write_arrays(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    test: tuple[np.ndarray, np.ndarray] | None = None,
) -> str:
    """Writes images in memory as a file that runs can be trained on, and can find again.

    Args:
        path: the .npz file to write.
        images: uint8 [n, height, width] or [n, height, width, channels].
        labels: whole numbers [n], from 0.
        class_names: names by label; the numbers themselves where it is None.
        weights: how much each image counts in training [n].
        validation: images and labels to validate on; split off `images` where it is None.
        test: images and labels to test on; split off `images` where it is None.

    Returns:
        The `data` of a configuration: `array:PATH`.

    Raises:
        ValueError: where the arrays are not such.
    """
    path = Path(path).with_suffix(".npz")
    arrays: dict[str, Any] = {}
    for part, pair in (("", (images, labels)), ("validation_", validation), ("test_", test)):
        if pair is not None:
            _checked(*pair, path, None)
            arrays |= {f"{part}images": pair[0], f"{part}labels": pair[1]}
    if class_names is not None:
        arrays["class_names"] = np.array(class_names)
    if weights is not None:
        arrays["weights"] = np.asarray(weights, np.float32)
    write_atomically(path, lambda temporary: np.savez(temporary, **arrays))
    return f"array:{path}"


def _checked(pixels: np.ndarray, labels: np.ndarray, path: Path, channels: int | None) -> np.ndarray:
    """The pixels with `channels` channels: grey is repeated where colour is asked for."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (1,), (3,)):
        raise ValueError(
            "Images in an array must be uint8 [n, height, width] or [n, height, width, 1 or 3]. "
            f"Received: {pixels.dtype} {list(pixels.shape)} for {path}"
        )
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu" or not len(labels) or labels.min() < 0:
        raise ValueError(
            f"Labels must be one whole number of at least 0 an image ({len(pixels)}). "
            f"Received: {labels.dtype} {list(labels.shape)} for {path}"
        )
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if channels in (None, pixels.shape[-1]):
        return pixels
    if channels == 1:
        raise ValueError(f"model.channels must be 3 for images in colour. Received: 1 for {path}")
    return np.repeat(pixels, 3, axis=-1)


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
