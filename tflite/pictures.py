"""From a picture of any size to a network's pixels, as evaluation prepares it, in TensorFlow operations."""

from __future__ import annotations

from typing import Any

from keras_inception.tflite.errors import ExportError

INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")


def check_interpolation(name: str) -> str:
    """Returns the name of a way to resize.

    Raises:
        ExportError: There is none of that name.
    """
    if name not in INTERPOLATIONS:
        raise ExportError(f"The interpolation must be one of {', '.join(INTERPOLATIONS)}. Received: {name!r}.")
    return name


def decode(content: Any, shape: tuple[int, int, int], interpolation: str = "bilinear") -> Any:
    """Reads a JPEG, PNG, GIF (its first frame) or BMP.

    Args:
        content: The file's bytes, a scalar string tensor.
        shape: Height, width and channels of the result.
        interpolation: See `fit`.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    image = tf.io.decode_image(content, channels=shape[-1], expand_animations=False)
    image.set_shape([None, None, shape[-1]])
    return fit(image, shape, interpolation)


def fit(image: Any, shape: tuple[int, int, int], interpolation: str = "bilinear") -> Any:
    """Resizes a picture so that it just covers the network's input, and keeps its centre.

    No aspect ratio is changed. For a square input that is the shorter side resized and the central square kept, as
    evaluation does; a picture of the input's size comes back as it is.

    Args:
        image: [height, width, channels], values in 0..255.
        shape: Height, width and channels of the result.
        interpolation: Of the antialiased resize: one of `INTERPOLATIONS`.

    Returns:
        uint8 [height, width, channels].
    """
    import tensorflow as tf

    size = tf.constant(shape[:2], tf.int32)
    given = tf.cast(tf.shape(image)[:2], tf.float64)
    scale = tf.reduce_max(tf.cast(size, tf.float64) / given)
    covering = tf.maximum(tf.cast(tf.round(given * scale), tf.int32), size)
    resized = tf.image.resize(image, covering, interpolation, antialias=True)
    top, left = tf.unstack((covering - size) // 2)
    cropped = resized[top : top + shape[0], left : left + shape[1]]
    pixels = tf.saturate_cast(tf.round(tf.cast(cropped, tf.float32)), tf.uint8)
    return tf.ensure_shape(pixels, shape)
