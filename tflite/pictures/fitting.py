"""From a picture of any size to a network's pixels, as evaluation prepares it, in TensorFlow operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ExportError

INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")


@dataclass(frozen=True)
class Fitting:
    """How a picture is made to fit a network's input: as the training's evaluation does it.

    Attributes:
        interpolation: Of the antialiased resize: one of `INTERPOLATIONS`.
        central_crop: Share of the shorter side that is kept.

    Raises:
        ExportError: Another interpolation, or a share outside 0 to 1.
    """

    interpolation: str = "bilinear"
    central_crop: float = 1.0

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise ExportError(f"The interpolation must be one of {known}. Received: {self.interpolation!r}.")
        if not 0 < self.central_crop <= 1:
            raise ExportError(f"The central crop is a share above 0, 1 at most. Received: {self.central_crop}.")


def decode(content: Any, shape: tuple[int, int, int], fitting: Fitting = Fitting()) -> Any:
    """Reads a JPEG or PNG; in colour, also a GIF (its first frame), BMP or WebP.

    Args:
        content: The file's bytes, a scalar string tensor.
        shape: Height, width and channels of the result.
        fitting: See `fit`.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    image = tf.io.decode_image(content, channels=shape[-1], expand_animations=False)
    image.set_shape([None, None, shape[-1]])
    return fit(image, shape, fitting)


def fit(image: Any, shape: tuple[int, int, int], fitting: Fitting = Fitting()) -> Any:
    """Resizes a picture so that it just covers the network's input, and keeps its centre.

    No aspect ratio is changed. For a square input that is the shorter side resized and the central square kept, as
    evaluation does; without a central crop, a picture of the input's size comes back as it is.

    Args:
        image: [height, width, channels], values in 0..255.
        shape: Height, width and channels of the result.
        fitting: How to resize, and how much of the shorter side to keep.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    size = tf.constant(shape[:2], tf.int32)
    given = tf.cast(tf.shape(image)[:2], tf.float64)
    scale = tf.reduce_max(tf.cast(size, tf.float64) / fitting.central_crop / given)
    covering = tf.maximum(tf.cast(tf.round(given * scale), tf.int32), size)
    resized = tf.image.resize(image, covering, fitting.interpolation, antialias=True)
    top, left = tf.unstack((covering - size) // 2)
    cropped = resized[top : top + shape[0], left : left + shape[1]]
    pixels = tf.saturate_cast(tf.round(tf.cast(cropped, tf.float32)), tf.uint8)
    return tf.ensure_shape(pixels, shape)
