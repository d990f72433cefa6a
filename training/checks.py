"""Which image files training can read, and why not the others."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_inception.training.images import decode_bytes
from keras_inception.training.parts import BadFile

EMPTY, UNREADABLE, TRUNCATED, DAMAGED = "empty file", "cannot be read", "truncated image", "damaged image"
UNKNOWN = "not a JPEG, PNG, GIF, BMP or WebP image"
UNSUPPORTED = "a variant that TensorFlow does not read"
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND", b"GIF8": b";"}
_TAIL = 64  # bytes in which a whole file's end is looked for: some writers pad
_BMP_HEADER, _BMP_BITS = 14, 28


def find_bad(paths: Sequence[str], channels: int) -> list[BadFile]:
    """Decodes every file once, since a file's name and first bytes tell too little about its end."""

    def check(path: str) -> BadFile | None:
        _, reason = decode(path, channels)
        return BadFile(path, reason) if reason else None

    with ThreadPoolExecutor() as pool:
        return [bad for bad in pool.map(check, paths) if bad is not None]


def decode(path: str, channels: int) -> tuple[np.ndarray | None, str]:
    """Decodes a file as training does.

    Returns:
        (pixels, "") or (None, the reason why it cannot be used).
    """
    try:
        content = Path(path).read_bytes()
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
