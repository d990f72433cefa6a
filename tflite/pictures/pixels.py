"""Batches of pictures as the files take them: whole pixels of one size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import ExportError


def calibration_images(source: Iterable[Any] | np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Collects the images that calibrate integer files.

    Args:
        source: Batches [n, h, w, c], (images, labels) pairs of them, or single images [h, w, c]; pixels 0..255.
        shape: Height, width and channels that the network takes.

    Returns:
        uint8 [n, h, w, c].

    Raises:
        ExportError: There are no images, or they have another size, or values that are not pixels in 0..255.
    """
    batches = [pixels(_images_of(item), shape) for item in (() if source is None else source)]
    if not batches or not sum(map(len, batches)):
        raise ExportError("Integer modes are calibrated on real images. Received: an empty calibration set.")
    images = np.concatenate(batches)
    if images.max() <= 1:
        raise ExportError("Calibration images must have pixel values in 0..255. Received: no value above 1.")
    return images


def collect(batches: Iterable[Any], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Gathers images as uint8 [n, h, w, c] and their labels, or None where there are none."""
    images, labels = [], []
    for item in batches:
        batch, of_batch = item if isinstance(item, tuple) else (item, None)
        images.append(pixels(batch, shape))
        if of_batch is not None:
            labels.append(np.asarray(of_batch).reshape(-1))
    if not images:
        raise ExportError("A verification needs real images. Received: none.")
    together = np.concatenate(images)
    known = np.concatenate(labels) if labels else None
    if known is not None and len(known) != len(together):
        raise ExportError(f"Each image must have a label, or none. Received: {len(known)} for {len(together)} images.")
    return together, known


def pixels(images: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a batch of images (or a single one) as uint8 pixels.

    Args:
        images: [n, h, w, c] or [h, w, c], values in 0..255 of any number type.
        shape: Height, width and channels that are wanted.

    Raises:
        ExportError: Another size, or values outside 0..255.
    """
    array = np.asarray(images)
    array = array[None] if array.ndim == 3 else array
    if array.shape[1:] != shape:
        wanted = "x".join(map(str, shape))
        raise ExportError(f"Images must be {wanted}, as the network takes them. Received: shape {np.shape(images)}.")
    if array.dtype == np.uint8:
        return array
    if not (np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 255):
        raise ExportError(
            f"Images must have pixel values in 0..255. Received: values from {array.min():g} to {array.max():g}."
        )
    return np.rint(array).astype(np.uint8)


def _images_of(item: Any) -> Any:
    return item[0] if isinstance(item, tuple) else item
