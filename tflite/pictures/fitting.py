"""From a picture of any size to a network's pixels, as evaluation prepares it, in TensorFlow operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ExportError
from .orientation import upright

INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")
LONGEST = 4  # times as long as it must be may a side get; a picture that is more of a strip loses its ends first


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
    """Reads a JPEG, turned as its EXIF data says, a PNG, GIF (its first frame), BMP or WebP, as training reads it.

    Args:
        content: The file's bytes, a scalar string tensor.
        shape: Height, width and channels of the result.
        fitting: See `fit`.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    def decoded(channels: int) -> Any:
        return tf.io.decode_image(content, channels=channels, expand_animations=False)

    if shape[-1] == 1:  # only these two kinds of file have decoders that know grey, and that of JPEGs not from CMYK
        is_png = tf.strings.substr(content, 0, 4) == b"\x89PNG"
        knows_grey = is_png | tf.cond(
            tf.io.is_jpeg(content), lambda: tf.io.extract_jpeg_shape(content)[2] < 4, lambda: False
        )
        image = tf.cond(knows_grey, lambda: decoded(1), lambda: tf.image.rgb_to_grayscale(decoded(3)))
    else:
        image = decoded(shape[-1])
    image.set_shape([None, None, shape[-1]])
    return fit(upright(image, content), shape, fitting)


def fit(image: Any, shape: tuple[int, int, int], fitting: Fitting = Fitting()) -> Any:
    """Resizes a picture so that it just covers the network's input, and keeps its centre.

    No aspect ratio is changed, and what it takes of memory does not depend on the picture's. For a square input that is
    the shorter side resized and the central square kept, as evaluation does; without a central crop, a picture of the
    input's size comes back as it is.

    Args:
        image: [height, width, channels], values in 0..255.
        shape: Height, width and channels of the result.
        fitting: How to resize, and how much of the shorter side to keep.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    size = tf.constant(shape[:2], tf.int32)
    given = tf.shape(image)[:2]
    scale = tf.reduce_max(tf.cast(size, tf.float64) / fitting.central_crop / tf.cast(given, tf.float64))
    longest = tf.cast(size, tf.float64) * (LONGEST / fitting.central_crop) / scale
    # A strip of one row would be resized to a strip as wide as the input is high times its length.
    kept = tf.minimum(given, tf.cast(tf.math.ceil(longest), tf.int32))
    kept += (given - kept) % 2  # of an odd rest, one more: the centre stays where it is
    top, left = tf.unstack((given - kept) // 2)
    image = image[top : top + kept[0], left : left + kept[1]]
    covering = tf.maximum(tf.cast(tf.round(tf.cast(kept, tf.float64) * scale), tf.int32), size)
    resized = tf.image.resize(image, covering, fitting.interpolation, antialias=True)
    top, left = tf.unstack((covering - size) // 2)
    cropped = resized[top : top + shape[0], left : left + shape[1]]
    pixels = tf.saturate_cast(tf.round(tf.cast(cropped, tf.float32)), tf.uint8)
    return tf.ensure_shape(pixels, shape)
