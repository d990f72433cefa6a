"""RandAugment (https://arxiv.org/abs/1909.13719) of one image, of which only the drawn operations are computed.

The paper's 14 operations, with strengths that all grow with the magnitude: the published code's solarize and posterize
grow weaker. What a turned or moved image leaves free becomes grey (128).
"""

import math
from collections.abc import Callable

import tensorflow as tf

_LUMA = (0.299, 0.587, 0.114)
_FREE = 128.0


def randaugment(image: tf.Tensor, draws: tf.Tensor, magnitude: float) -> tf.Tensor:
    """Applies drawn operations to an image.

    Args:
        image: uint8 [size, size, 3].
        draws: float32 [operations, 2] in [0, 1): which operation, and its direction.
        magnitude: from 0 to 10.
    """
    for kind, direction in (tf.unstack(draw) for draw in tf.unstack(draws)):
        strength = tf.where(direction < 0.5, -1.0, 1.0) * (magnitude / 10)
        branches = [_branch(operation, image, strength) for operation in OPERATIONS]
        image = tf.switch_case(tf.cast(kind * len(branches), tf.int32), branches)
    return image


def _branch(
    operation: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], image: tf.Tensor, strength: tf.Tensor
) -> Callable[[], tf.Tensor]:
    return lambda: tf.ensure_shape(operation(image, strength), image.shape)


def _identity(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return tf.identity(image)


def _auto_contrast(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    values = tf.cast(image, tf.float32)
    low, high = tf.reduce_min(values, axis=[0, 1]), tf.reduce_max(values, axis=[0, 1])
    stretched = (values - low) * (255 / tf.maximum(high - low, 1))
    return _pixels(tf.where(high > low, stretched, values))


def _equalize(image: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Evens out each channel's histogram, by Pillow's rule."""
    values = tf.cast(image, tf.int32)
    channels = []
    for channel in tf.unstack(values, axis=-1):
        counts = tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256)
        last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0))
        step = (tf.reduce_sum(counts) - counts[last]) // 255
        table = tf.minimum((tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1), 255)
        channels.append(tf.gather(tf.where(step > 0, table, tf.range(256)), channel))
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    values = tf.cast(image, tf.float32)
    return _pixels(tf.where(values >= 256 * (1 - tf.abs(strength)), 255 - values, values))


def _posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    dropped = tf.cast(tf.round(4 * tf.abs(strength)), tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, dropped), dropped)


def _color(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(_grey(image), image, strength)


def _contrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(tf.round(tf.reduce_mean(_grey(image))), image, strength)


def _brightness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(tf.zeros(()), image, strength)


def _sharpness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    values = tf.cast(image, tf.float32)[None]
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]])[..., None, None] / 13
    smooth = tf.nn.depthwise_conv2d(values, tf.tile(kernel, [1, 1, 3, 1]), [1, 1, 1, 1], "VALID")
    inner = tf.pad(tf.ones_like(smooth), [[0, 0], [1, 1], [1, 1], [0, 0]]) > 0
    smooth = tf.where(inner, tf.pad(smooth, [[0, 0], [1, 1], [1, 1], [0, 0]]), values)  # the border stays
    return _away_from(tf.round(smooth[0]), image, strength)


def _rotate(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    angle = strength * math.radians(30)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _moved(image, cos, -sin, sin, cos)


def _shear_x(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _moved(image, 1.0, strength * 0.3, 0.0, 1.0)


def _shear_y(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _moved(image, 1.0, 0.0, strength * 0.3, 1.0)


def _translate_x(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _moved(image, 1.0, 0.0, 0.0, 1.0, x=strength * 0.45 * image.shape[1])


def _translate_y(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _moved(image, 1.0, 0.0, 0.0, 1.0, y=strength * 0.45 * image.shape[0])


OPERATIONS = (
    _identity, _auto_contrast, _equalize, _rotate, _solarize, _color, _posterize, _contrast, _brightness, _sharpness,
    _shear_x, _shear_y, _translate_x, _translate_y,
)  # fmt: skip


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(image, tf.float32) * tf.constant(_LUMA), axis=-1, keepdims=True)


def _away_from(other: tf.Tensor, image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Blends towards another picture where the strength is negative, away from it where it is positive."""
    return _pixels(other + (tf.cast(image, tf.float32) - other) * (1 + 0.9 * strength))


def _moved(image: tf.Tensor, a: object, b: object, c: object, d: object, x: object = 0.0, y: object = 0.0) -> tf.Tensor:
    """Takes each pixel (column, row) from (a column + b row + x, c column + d row + y), about the image's centre."""
    height, width = image.shape[:2]
    a, b, c, d, x, y = (tf.cast(value, tf.float32) for value in (a, b, c, d, x, y))
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    right = x + middle_x - a * middle_x - b * middle_y
    down = y + middle_y - c * middle_x - d * middle_y
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None], transforms=tf.stack([a, b, right, c, d, down, 0.0, 0.0])[None],
        output_shape=tf.constant([height, width]), interpolation="BILINEAR", fill_mode="CONSTANT", fill_value=_FREE,
    )  # fmt: skip
    return moved[0]


def _pixels(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
