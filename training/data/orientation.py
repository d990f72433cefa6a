"""Photographs turned upright: cameras store the sensor's rows, and say in a JPEG's EXIF data how they were held.

The exported network's reader knows the same rule; tests hold the two against one another.
"""

import tensorflow as tf

_HEAD = 1 << 17  # bytes of a file that are looked at; a segment has 64 KiB at most, and EXIF is among the first
_ENTRIES = 256  # of the first image directory; cameras write a dozen
_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_TRANSPOSED, _MIRRORED, _FLIPPED = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)


def has_exif(content: tf.Tensor) -> tf.Tensor:
    """Whether a file may have EXIF data: a search for the name, which costs next to nothing."""
    head = tf.strings.substr(content, 0, _HEAD)
    without = tf.strings.regex_replace(head, rb"Exif\x00\x00", b"", replace_global=False)
    return tf.strings.length(without) < tf.strings.length(head)


def upright(image: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Turns a decoded picture [height, width, channels] as its file's orientation says."""
    image = tf.cond(_is(kind, _TRANSPOSED), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(_is(kind, _MIRRORED), lambda: tf.reverse(image, (1,)), lambda: image)
    return tf.cond(_is(kind, _FLIPPED), lambda: tf.reverse(image, (0,)), lambda: image)


def upright_shape(shape: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Height and width [2] of a picture after it is turned upright."""
    return tf.where(_is(kind, _TRANSPOSED), shape[::-1], shape)


def as_stored(window: tf.Tensor, shape: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Where a window of the upright picture lies in the file's: int32 top, left, height, width.

    Args:
        window: of the upright picture: top, left, height, width, int32 [4].
        shape: height and width of the upright picture, int32 [2].
        kind: the file's orientation.
    """
    begin, size = window[:2], window[2:]
    reversed_axes = tf.stack([_is(kind, _FLIPPED), _is(kind, _MIRRORED)])
    begin = tf.where(reversed_axes, shape - begin - size, begin)
    is_transposed = _is(kind, _TRANSPOSED)
    return tf.concat([tf.where(is_transposed, part[::-1], part) for part in (begin, size)], axis=0)


def _is(kind: tf.Tensor, kinds: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(kind == tf.constant(kinds, tf.int64))


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def orientation(content: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG, an int64 scalar from 1 to 8; 1, upright, where it says nothing."""
    head = tf.strings.substr(content, 0, _HEAD)
    # Zeros behind the end: whatever a damaged file points to reads as nothing.
    values = tf.concat([tf.io.decode_raw(head, tf.uint8), tf.zeros(16, tf.uint8)], axis=0)
    end = tf.size(values, tf.int64) - 1

    def bytes_at(place: tf.Tensor, count: int) -> list[tf.Tensor]:
        return [tf.cast(tf.gather(values, tf.clip_by_value(place + i, 0, end)), tf.int64) for i in range(count)]

    def is_segment(place: tf.Tensor, tiff: tf.Tensor) -> tf.Tensor:
        first, marker = bytes_at(place, 2)
        return (tiff == 0) & (first == 0xFF) & (marker != 0xDA)  # where the picture begins

    def next_segment(place: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        marker, high, low, *name = bytes_at(place + 1, 3 + len(_EXIF))
        is_exif = (marker == 0xE1) & tf.reduce_all(tf.stack(name) == tf.constant(list(_EXIF), tf.int64))
        step = tf.where(marker == 0xFF, tf.constant(1, tf.int64), 2 + high * 256 + low)  # 0xFF may fill up
        return place + step, tf.where(is_exif, place + 10, tf.constant(0, tf.int64))

    first, second = bytes_at(tf.constant(0, tf.int64), 2)
    start = tf.where((first == 0xFF) & (second == 0xD8), tf.constant(2, tf.int64), end)
    _, tiff = tf.while_loop(is_segment, next_segment, (start, tf.constant(0, tf.int64)))
    is_little = bytes_at(tiff, 1)[0] == ord("I")

    def number(place: tf.Tensor, size: int) -> tf.Tensor:
        value, turned = tf.zeros_like(place), tf.zeros_like(place)
        for i, byte in enumerate(bytes_at(place, size)):
            value, turned = value * 256 + byte, turned + byte * 256**i
        return tf.where(is_little, turned, value)

    directory = tiff + number(tiff + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), _ENTRIES))
    found = tf.reduce_max(tf.where(number(entries, 2) == _ORIENTATION, number(entries + 8, 2), 0))
    return tf.where((tiff > 0) & (found >= 1) & (found <= 8), found, 1)
