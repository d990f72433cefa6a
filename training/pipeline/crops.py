"""Several views of an image, whose probabilities are averaged: 2 or 6 of its whole, or 10, 12 and GoogLeNet's 144.

https://arxiv.org/abs/1409.4842, section 7: the image is resized to four scales, shorter side 256, 288, 320 and 352 for
an input of 224; of each scale the left, central and right square are taken (top, central and bottom of portraits); of
each square the four corners and the centre at the size of the input, and the square itself resized to it; of each of
those the mirror image as well. 4 x 3 x 6 x 2 = 144. Networks with another input size scale by the same ratios.

10 crops are Krizhevsky's: corners, centre and mirrors in the central square of the smallest scale. The Inception v4
paper (https://arxiv.org/abs/1602.07261) reports 12 crops and does not define them: here they are those ten, with the
whole square and its mirror.

2 are the image as it is evaluated and its mirror image: for pictures that their object fills, of which a crop would cut
off a part, as of CIFAR-10's. 6 are these two, and both of them shifted by a thirty-second of the side, down to the
right and up to the left, as "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", Jordan, 2024,
https://arxiv.org/abs/2404.00498, shifts 32 pixels by one; reflections come in. There shifted ones weigh half as much.
"""

from dataclasses import dataclass

import tensorflow as tf

from ..config import TrainConfig
from .preparing import prepare, shortened


@dataclass(frozen=True)
class _Views:
    scales: tuple[float, ...]
    """Shorter sides that the image is resized to, by the size of the input."""
    all_squares: bool
    """The squares at both ends of the longer side, beside the central one."""
    whole_square: bool
    """The square resized to the size of the input, beside the crops from it."""


_VIEWS = {
    10: _Views((8 / 7,), all_squares=False, whole_square=False),
    12: _Views((8 / 7,), all_squares=False, whole_square=True),
    144: _Views((8 / 7, 9 / 7, 10 / 7, 11 / 7), all_squares=True, whole_square=True),
}
CROPS = (1, 2, 6, *_VIEWS)
_SHIFT = 32  # of how many parts of the side one is shifted by


def check_crops(count: int) -> None:
    """Raises `ValueError` where no such set of crops is defined."""
    if count not in CROPS:
        raise ValueError(f"The number of crops must be one of {', '.join(map(str, CROPS))}. Received: {count}")


def crops(image: tf.Tensor, config: TrainConfig, count: int) -> tf.Tensor:
    """Cuts the views of one image: uint8 [count, size, size, channels], the mirror images in the second half.

    Args:
        image: uint8 [height, width, channels].
        config: the configuration of the run, for the size of the input and the interpolation.
        count: one of CROPS but 1.
    """
    size, channels = config.model.image_size, config.model.channels
    if count in _VIEWS:
        found = _crops(image, config, _VIEWS[count])
    else:
        whole = prepare(image, config)
        found = [whole] if count == 2 else [whole, *_shifted(whole, max(1, round(size / _SHIFT)))]
    plain = tf.ensure_shape(tf.stack(found), (count // 2, size, size, channels))
    return tf.concat([plain, tf.reverse(plain, axis=[2])], axis=0)


def _crops(image: tf.Tensor, config: TrainConfig, views: _Views) -> list[tf.Tensor]:
    """The views before they are mirrored."""
    size, found = config.model.image_size, []
    image = shortened(image, ends=views.all_squares)
    for scale in views.scales:
        side = round(size * scale)
        shape = tf.shape(image)[:2]
        factor = side / tf.reduce_min(shape)
        resized_shape = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * factor), tf.int32), side)
        resized = _resize(image, resized_shape, config)
        spare = resized_shape - side  # along the longer side; the other one has none
        for start in (tf.zeros_like(spare), spare // 2, spare) if views.all_squares else (spare // 2,):
            square = resized[start[0] : start[0] + side, start[1] : start[1] + side]
            end, middle = side - size, (side - size) // 2
            for top, left in ((0, 0), (0, end), (end, 0), (end, end), (middle, middle)):
                found.append(square[top : top + size, left : left + size])
            if views.whole_square:
                found.append(_resize(square, (size, size), config))
    return found


def _shifted(image: tf.Tensor, pixels: int) -> list[tf.Tensor]:
    """An image shifted down to the right, and up to the left."""
    around = tf.pad(image, ((pixels, pixels), (pixels, pixels), (0, 0)), "REFLECT")
    return [around[: -2 * pixels, : -2 * pixels], around[2 * pixels :, 2 * pixels :]]


def _resize(image: tf.Tensor, shape: tf.Tensor | tuple[int, int], config: TrainConfig) -> tf.Tensor:
    resized = tf.image.resize(image, shape, config.pipeline.interpolation, antialias=True)
    return tf.saturate_cast(tf.round(tf.cast(resized, tf.float32)), tf.uint8)
