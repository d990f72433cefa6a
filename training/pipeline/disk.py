"""Decoded images kept on disk: made once, shared by all runs on the same images, checked whenever they are opened.

Each set of them is a folder of `pipeline.cache_dir`, named after all that its pixels follow from: `pixels`, one image
after the other; `shapes.npy`; and `index.json`, which is written last and holds the others' checksums.
"""

import errno
import hashlib
import json
import platform
import shutil
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..data.images import AnyImages, ArrayImages, PictureImages, StreamImages
from ..data.mapped import MappedFile
from ..data.parallel import calls, untuned
from ..files import alone, read_json, remove_half_written, sha256, write_atomically, write_text

PIXELS, SHAPES, INDEX = "pixels", "shapes.npy", "index.json"
_FORMAT = 1  # one more whenever an image is decoded or prepared in another way
_PIECE = 2**24  # bytes of a checksum
_SAMPLE = 64  # pictures whose mean size tells how much room all of them take


def kept_on_disk(
    images: AnyImages, config: TrainConfig, whole: bool, pictures: Callable[[], Iterable[np.ndarray]]
) -> AnyImages:
    """Images whose pixels lie in `pipeline.cache_dir`, put there where they are not yet.

    Args:
        images: the images.
        config: the run's configuration.
        whole: whether they are whole pictures, instead of what evaluation makes of them.
        pictures: makes them, in order: uint8 [height, width, channels].

    Raises:
        ValueError: where the folder cannot be written to, or has not enough room.
    """
    folder = Path(config.pipeline.cache_dir).expanduser() / _key(images, config, whole)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, "Keeping decoded images", wait=True):
            shapes = _read(folder)
            if shapes is None:
                shapes = _write(folder, pictures(), config, _bytes_of(images, config, whole))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room("the decoded images", folder) from error
        raise ValueError(
            f"pipeline.cache_dir must be a folder that can be written to. Received: {folder.parent} ({error.strerror})"
        ) from error
    file = MappedFile(folder / PIXELS)
    if not whole:
        pixels = file.values.reshape(len(shapes), *shapes[0])
        return ArrayImages(pixels, images.labels, images.names, images.weights, is_prepared=True, file=file)
    lengths = np.prod(shapes, axis=1)
    starts = np.cumsum(lengths) - lengths
    return PictureImages(file.values, starts, shapes, images.labels, images.names, images.weights, file)


def _key(images: AnyImages, config: TrainConfig, whole: bool) -> str:
    """Names all that the pixels follow from: the files in their order, what is made of them, and what decodes them."""
    settings, size = config.pipeline, config.model.image_size
    facts = [
        _FORMAT,
        (tf.__version__, platform.machine()),
        _content(images),
        config.model.channels,
        None if whole else (size, settings.central_crop, settings.interpolation),
        getattr(images, "accurate", False),
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _content(images: AnyImages) -> str:
    """A digest of what the images are decoded from, in order; files are read for it, and not decoded."""
    if isinstance(images, ArrayImages):
        return images.content()
    if isinstance(images, StreamImages) and images.digest:  # that of all shards
        return f"{images.digest} {hashlib.sha256(images.positions.tobytes()).hexdigest()}"
    digest = hashlib.sha256()
    if isinstance(images, PictureImages):
        for values in (images.starts, images.shapes, images.values):
            digest.update(values.data)
        return digest.hexdigest()
    contents = images.elements().map(lambda _, handle: images.encoded(handle), num_parallel_calls=calls())
    for content in untuned(contents).prefetch(_SAMPLE).as_numpy_iterator():
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _read(folder: Path) -> np.ndarray | None:
    """The shapes of the images that a folder holds; None, with a warning, of one that is damaged."""
    if not (folder / INDEX).is_file():
        return None
    try:
        index = read_json(folder / INDEX)
        if index["shapes"] != sha256(folder / SHAPES) or index["pixels"] != _checksums(folder / PIXELS):
            raise ValueError("other bytes than were written")
        shapes: np.ndarray = np.load(folder / SHAPES)
    except (OSError, ValueError, KeyError) as error:
        warnings.warn(
            f"What pipeline.cache_dir holds must be as it was written, and is made anew. Received: {folder} ({error})",
            stacklevel=2,
        )
        return None
    return shapes


def _write(folder: Path, pictures: Iterable[np.ndarray], config: TrainConfig, expected: int) -> np.ndarray:
    """Fills a folder, and returns the images' shapes."""
    remove_half_written(folder)
    for name in (INDEX, PIXELS, SHAPES):
        (folder / name).unlink(missing_ok=True)
    if expected > shutil.disk_usage(folder).free:
        raise _no_room(f"about {expected / 2**20:,.0f} MB of decoded images", folder)
    shapes = []

    def write(path: Path) -> None:
        with path.open("wb", buffering=_PIECE) as file:
            for picture in pictures:
                file.write(picture.data)
                shapes.append(picture.shape)

    write_atomically(folder / PIXELS, write)
    made = np.array(shapes, np.int64)
    write_atomically(folder / SHAPES, lambda path: np.save(path, made))
    index = {
        "format": _FORMAT,
        "data": config.data,
        "images": len(made),
        "shapes": sha256(folder / SHAPES),
        "pixels": _checksums(folder / PIXELS),
    }
    write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    return made


def _checksums(path: Path) -> list[str]:
    """The SHA-256 of each piece of a file."""

    def checksum(start: int) -> str:
        with path.open("rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(_PIECE)).hexdigest()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(checksum, range(0, path.stat().st_size, _PIECE)))


def _bytes_of(images: AnyImages, config: TrainConfig, whole: bool) -> int:
    """How much room the decoded images take, about where they are of several sizes."""
    count = len(images.labels)
    if not whole:
        return count * config.model.image_size**2 * config.model.channels
    if isinstance(images, StreamImages):
        sample: Any = images.elements().take(_SAMPLE)
    else:
        sample = images.subset(np.unique(np.linspace(0, count - 1, _SAMPLE).astype(int))).elements()
    sizes = [int(size) for size in sample.map(lambda _, handle: tf.size(images.decode(handle))).as_numpy_iterator()]
    return int(np.mean(sizes) * count)


def _no_room(what: str, folder: Path) -> ValueError:
    free = shutil.disk_usage(folder).free / 2**20
    return ValueError(
        f"pipeline.cache_dir must have room for {what}. Received: {folder.parent} with {free:,.0f} MB free"
    )
