"""Batches of pictures as the files take them: whole pixels of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..errors import ExportError

MOST_CALIBRATION_IMAGES = 2048  # the ranges settle after a hundred or two; a data set that repeats never ends


def calibration_images(source: Iterable[Any] | np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Collects the images that calibrate integer files, the first `MOST_CALIBRATION_IMAGES` of them.

    Args:
        source: Batches [n, h, w, c], (images, labels) pairs of them, or single images [h, w, c]; pixels 0..255.
        shape: Height, width and channels that the network takes.

    Returns:
        uint8 [n, h, w, c].

    Raises:
        ExportError: There are no images, or they have another size, or values that are not pixels in 0..255.
    """
    batches, count = [], 0
    for images, _ in _pairs(() if source is None else source):
        batches.append(pixels(images, shape)[: MOST_CALIBRATION_IMAGES - count])
        count += len(batches[-1])
        if count == MOST_CALIBRATION_IMAGES:
            break
    if not count:
        raise ExportError("Integer modes are calibrated on real images. Received: an empty calibration set.")
    return _of_a_picture(np.concatenate(batches), "Calibration images")


def collect(batches: Iterable[Any], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Gathers images as uint8 [n, h, w, c] and their labels, [n] or [n, classes], or None where there are none.

    Raises:
        ExportError: As `calibration_images`, or not every image has a label.
    """
    images, labels = [], []
    for batch, of_batch in _pairs(batches):
        images.append(pixels(batch, shape))
        if of_batch is not None:
            array = np.asarray(of_batch)
            labels.append(array if array.ndim == 2 and array.shape[1] > 1 else array.reshape(-1))
    if not sum(map(len, images)):
        raise ExportError("A verification needs real images. Received: none.")
    together = _of_a_picture(np.concatenate(images), "Images")
    if len({array.shape[1:] for array in labels}) > 1:
        shapes = ", ".join(map(str, dict.fromkeys(array.shape for array in labels)))
        raise ExportError(f"Labels must be of one kind, [n] or [n, classes]. Received: batches of shapes {shapes}.")
    known = np.concatenate(labels) if labels else None
    if known is not None and len(known) != len(together):
        raise ExportError(f"Each image must have a label, or none. Received: {len(known)} for {len(together)} images.")
    return together, known


def pixels(images: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns a batch of images (or a single one) as uint8 pixels.

    Args:
        images: [n, h, w, c] or [h, w, c], values in 0..255 of any number type.
        shape: Height, width and channels that are wanted; None: any.

    Raises:
        ExportError: Another size, or values outside 0..255.
    """
    array = np.asarray(images)
    array = array[None] if array.ndim == 3 else array
    fits = array.ndim == 4 and all(size in (None, given) for size, given in zip(shape, array.shape[1:], strict=True))
    if not fits:
        wanted = "x".join(str(size or "any") for size in shape)
        raise ExportError(f"Images must be {wanted}, as the network takes them. Received: shape {np.shape(images)}.")
    check_values(array)
    return array if array.dtype == np.uint8 else np.rint(array).astype(np.uint8)


def check_values(array: np.ndarray, *, alone: bool = False) -> None:
    """Raises `ExportError` unless values are pixels in 0..255.

    Args:
        array: Of any size.
        alone: Whether it is all that will be seen: fractions up to 1 are then taken for pixels that were divided.
    """
    if not array.size or array.dtype == np.uint8:
        return
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # written so that a NaN fails
        raise ExportError(f"Images must have pixel values in 0..255. Received: values from {low:g} to {high:g}.")
    if alone and high <= 1 and (array != np.rint(array)).any():
        raise ExportError("Images must have pixel values in 0..255. Received: fractions, and no value above 1.")


def _of_a_picture(images: np.ndarray, what: str) -> np.ndarray:
    if images.max() <= 1:
        raise ExportError(f"{what} must have pixel values in 0..255. Received: no value above 1.")
    return images


def _pairs(source: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Images with their labels, or None: of tuples, and of lists whose second part is no image."""
    for item in source:
        is_pair = isinstance(item, tuple) or (isinstance(item, list) and len(item) > 1 and np.ndim(item[1]) < 3)
        yield (item[0], item[1] if len(item) > 1 else None) if is_pair else (item, None)
