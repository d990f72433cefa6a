"""From the bytes of a file to pixels: what can be read, and why not the rest."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from .orientation import as_stored, has_exif, orientation, upright, upright_shape

Window = Callable[[tf.Tensor], tf.Tensor]
"""Chooses a part of a picture: from its height and width, int32 [2], to top, left, height and width, int32 [4]."""

_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif"}
_JPEG_REDUCTIONS = (2, 4, 8)
_NEIGHBOURS = 2  # columns beside a part, of which the decoder makes the colours at its edge as in the whole picture


def is_image_name(path: Path) -> bool:
    """Tells whether a file claims to be an image; formats that TensorFlow cannot read count, so that they get named."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def decode_bytes(content: tf.Tensor, channels: int, *, accurate: bool = False) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (first frame), BMP or WebP to uint8 [height, width, channels].

    A JPEG is turned upright as its EXIF data says. The check before training and training itself both come here, so
    what passes the one passes the other.

    Args:
        content: the file's bytes.
        channels: of the result.
        accurate: JPEGs to the last level, as Pillow and phones decode them, which costs some time.
    """
    if tf.executing_eagerly():
        return _decoded(content, channels, accurate)
    return _traced(channels, accurate)(content)


@functools.cache
def _traced(channels: int, accurate: bool) -> tf.types.experimental.ConcreteFunction:
    """The decoder as a graph of its own, which a run's ten pipelines share: to trace it takes a quarter of a second."""
    with tf.init_scope():
        function = tf.function(lambda content: _decoded(content, channels, accurate), autograph=False)
        return function.get_concrete_function(tf.TensorSpec([], tf.string))


def _decoded(content: tf.Tensor, channels: int, accurate: bool) -> tf.Tensor:
    def any_kind(count: int) -> tf.Tensor:
        return tf.io.decode_image(content, channels=count, expand_animations=False)

    def decoded(count: int) -> tf.Tensor:
        if not accurate:
            return any_kind(count)
        exact = functools.partial(tf.io.decode_jpeg, content, channels=count, dct_method="INTEGER_ACCURATE")
        return tf.cond(_is_jpeg_for(content, count), exact, lambda: any_kind(count))

    if channels == 3:
        image = decoded(3)
    else:  # the decoders of the other kinds of file know colours only
        is_png = tf.strings.substr(content, 0, 4) == b"\x89PNG"
        grey = tf.logical_or(is_png, _is_jpeg_for(content, channels))
        image = tf.cond(grey, lambda: decoded(1), lambda: tf.image.rgb_to_grayscale(decoded(3)))
    image = tf.cond(has_exif(content), lambda: aside(lambda: upright(image, orientation(content))), lambda: image)
    image.set_shape([None, None, channels])
    return image


def _is_jpeg_for(content: tf.Tensor, channels: int) -> tf.Tensor:
    """Whether a file is a JPEG that its decoder turns into so many channels; from CMYK it makes colours only."""
    is_jpeg = tf.io.is_jpeg(content)
    if channels == 3:
        return is_jpeg
    return tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(content)[2] < 4, lambda: False)


def decode_bytes_window(content: tf.Tensor, channels: int, window: Window, size: int) -> tf.Tensor:
    """Decodes a part of a picture turned upright. Of a JPEG that is all that is decoded, to the same pixels.

    But a JPEG's part of at least twice, four or eight times `size` comes out reduced by that factor: the decoder does
    it among the frequencies, which costs little and blurs no more than the resize that follows.
    """

    def jpeg(kind: tf.Tensor | None = None) -> tf.Tensor:
        stored = tf.io.extract_jpeg_shape(content)[:2]
        if kind is None:
            part = window(stored)
        else:
            shape = upright_shape(stored, kind)
            part = as_stored(window(shape), shape, kind)

        def as_it_is() -> tf.Tensor:
            more = tf.minimum(part[3] + _NEIGHBOURS, stored[1] - part[1])
            wider = tf.concat([part[:3], more[None]], axis=0)
            return tf.io.decode_and_crop_jpeg(content, wider, channels=channels)[:, : part[3]]

        def reduced() -> tf.Tensor:
            times = tf.reduce_min(part[2:]) // size
            branch = tf.cast(times >= 4, tf.int32) + tf.cast(times >= 8, tf.int32)
            return tf.switch_case(branch, [reduced_by(factor) for factor in _JPEG_REDUCTIONS])

        def reduced_by(factor: int) -> Callable[[], tf.Tensor]:
            return lambda: tf.io.decode_and_crop_jpeg(content, part // factor, channels=channels, ratio=factor)

        is_large = tf.reduce_min(part[2:]) >= _JPEG_REDUCTIONS[0] * size
        image = tf.cond(is_large, lambda: aside(reduced), as_it_is)
        return image if kind is None else upright(image, kind)

    def other() -> tf.Tensor:
        return tf.cond(
            _is_jpeg_for(content, channels),
            lambda: jpeg(orientation(content)),
            lambda: cut(decode_bytes(content, channels), window),
        )

    is_plain = tf.logical_and(_is_jpeg_for(content, channels), tf.logical_not(has_exif(content)))
    image = tf.cond(is_plain, jpeg, lambda: aside(other))
    image.set_shape([None, None, channels])
    return image


def aside(function: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Calls a function as one operation of a graph: inlined, each of its own costs time even where it is not chosen."""
    if tf.executing_eagerly():
        return function()
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})()


def cut(image: tf.Tensor, window: Window) -> tf.Tensor:
    """Cuts a part out of a decoded picture."""
    top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
    return image[top : top + height, left : left + width]


@dataclass(frozen=True)
class BadFile:
    """A file that calls itself an image and cannot be decoded."""

    path: str
    reason: str


EMPTY, UNREADABLE, TRUNCATED, DAMAGED = "empty file", "cannot be read", "truncated image", "damaged image"
BAD_NAME = "a name that is not one line of UTF-8"
UNKNOWN = "not a JPEG, PNG, GIF, BMP or WebP image"
UNSUPPORTED = "a variant that TensorFlow does not read"
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND", b"GIF8": b";"}
_TAIL = 64  # bytes in which a whole file's end is looked for: some writers pad
_BMP_HEADER, _BMP_BITS = 14, 28


def read_file(path: str) -> bytes:
    """The content of a file."""
    return Path(path).read_bytes()


def find_bad(paths: Sequence[str], channels: int, read: Callable[[str], bytes] = read_file) -> list[BadFile]:
    """Decodes every file once, since a file's name and first bytes tell too little about its end."""

    def check(path: str) -> BadFile | None:
        _, reason = decode(path, channels, read)
        return BadFile(printable(path), reason) if reason else None

    with ThreadPoolExecutor() as pool:
        return [bad for bad in pool.map(check, paths) if bad is not None]


def decode(path: str, channels: int, read: Callable[[str], bytes] = read_file) -> tuple[np.ndarray | None, str]:
    """Decodes a file as training does.

    Returns:
        (pixels, "") or (None, the reason why it cannot be used).
    """
    if printable(path) != path:
        return None, BAD_NAME
    try:
        content = read(path)
    except OSError:
        return None, UNREADABLE
    if not content:
        return None, EMPTY
    if _has_coloured_palette(content):  # TensorFlow reads the numbers of the colours as shades of grey
        return None, UNSUPPORTED
    try:
        with tf.device("CPU:0"):
            return decode_bytes(tf.constant(content), channels).numpy(), ""
    except tf.errors.OpError as error:
        return None, _reason(content, error.message)


def printable(path: str) -> str:
    """A path as it can be shown and written: one line, in which bytes that are not UTF-8 are replaced."""
    return "\ufffd".join(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace").splitlines())


def _reason(content: bytes, message: str) -> str:
    if "Unknown image file format" in message:
        return UNKNOWN
    end = next((end for start, end in _ENDS.items() if content.startswith(start)), None)
    if end is not None:
        return DAMAGED if end in content[-_TAIL:] else TRUNCATED
    if content.startswith(b"BM"):
        return TRUNCATED if int.from_bytes(content[2:6], "little") > len(content) else UNSUPPORTED
    if content.startswith(b"RIFF"):
        return TRUNCATED if int.from_bytes(content[4:8], "little") + 8 > len(content) else UNSUPPORTED
    return DAMAGED


def _has_coloured_palette(content: bytes) -> bool:
    if not content.startswith(b"BM") or len(content) < _BMP_BITS + 2:
        return False
    if int.from_bytes(content[_BMP_BITS : _BMP_BITS + 2], "little") > 8:
        return False
    begin = _BMP_HEADER + int.from_bytes(content[14:18], "little")
    pixels = int.from_bytes(content[10:14], "little")
    grey = bytes(value for shade in range(256) for value in (shade, shade, shade, 0))
    return content[begin:pixels] != grey[: pixels - begin]
