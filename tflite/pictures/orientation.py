"""Photographs turned upright: phones store the sensor's rows and say in EXIF how the camera was held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_HEAD = 1 << 17  # bytes of a file that are looked at; a segment has 64 KiB at most, and EXIF is among the first
_ENTRIES = 256  # of the first image directory; cameras write a dozen
_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"


def upright(image: Any, content: Any) -> Any:
    """Turns a decoded picture as the EXIF data of its file, a JPEG, says; others come back as they are.

    Args:
        image: [height, width, channels].
        content: The file's bytes, a scalar string tensor.
    """
    import tensorflow as tf

    kind = orientation(content)

    def where(kinds: tuple[int, ...], change: Callable[[Any], Any], picture: Any) -> Any:
        return tf.cond(tf.reduce_any(kind == tf.constant(kinds, tf.int64)), lambda: change(picture), lambda: picture)

    image = where((5, 6, 7, 8), lambda picture: tf.transpose(picture, (1, 0, 2)), image)
    image = where((2, 3, 6, 7), lambda picture: tf.reverse(picture, (1,)), image)
    return where((3, 4, 7, 8), lambda picture: tf.reverse(picture, (0,)), image)


def orientation(content: Any) -> Any:
    """The EXIF orientation of a JPEG, an int64 scalar from 1 to 8; 1, upright, where it says nothing."""
    import tensorflow as tf

    # Zeros behind the end: whatever a damaged file points to reads as nothing.
    head = tf.concat([tf.io.decode_raw(tf.strings.substr(content, 0, _HEAD), tf.uint8), tf.zeros(16, tf.uint8)], 0)
    end = tf.size(head, tf.int64) - 1

    def byte(at: Any) -> Any:
        inside = tf.clip_by_value(tf.convert_to_tensor(at, tf.int64), tf.constant(0, tf.int64), end)
        return tf.cast(tf.gather(head, inside), tf.int64)

    def is_segment(at: Any, tiff: Any) -> Any:
        picture_begins = byte(at + 1) == 0xDA
        return (tiff == 0) & (byte(at) == 0xFF) & ~picture_begins

    def next_segment(at: Any, _: Any) -> tuple[Any, Any]:
        marker, length = byte(at + 1), byte(at + 2) * 256 + byte(at + 3)
        name = byte(at + 4 + tf.range(len(_EXIF), dtype=tf.int64))
        is_exif = (marker == 0xE1) & tf.reduce_all(name == tf.constant(list(_EXIF), tf.int64))
        is_filling = marker == 0xFF
        return at + tf.where(is_filling, tf.constant(1, tf.int64), 2 + length), tf.where(
            is_exif, at + 10, tf.constant(0, tf.int64)
        )

    start = tf.where((byte(0) == 0xFF) & (byte(1) == 0xD8), tf.constant(2, tf.int64), end)
    _, tiff = tf.while_loop(is_segment, next_segment, (start, tf.constant(0, tf.int64)))
    is_little = byte(tiff) == ord("I")

    def number(at: Any, size: int) -> Any:
        parts = [byte(at + index) for index in range(size)]
        return tf.where(is_little, _joined(parts[::-1]), _joined(parts))

    directory = tiff + number(tiff + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), _ENTRIES))
    found = tf.reduce_max(tf.where(number(entries, 2) == _ORIENTATION, number(entries + 8, 2), 0))
    return tf.where((tiff > 0) & (found >= 1) & (found <= 8), found, 1)


def _joined(parts: list[Any]) -> Any:
    value = parts[0]
    for part in parts[1:]:
        value = value * 256 + part
    return value
