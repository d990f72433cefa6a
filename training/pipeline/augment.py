"""How training images are varied, from draws in [0, 1) that the pipeline makes of (seed, epoch, index).

A crop is chosen for each image before it is decoded. All else happens to whole batches of resized images at once, in
one compiled pass over the pixels: XLA fuses flips, colours, erasing and mixing, which one after the other would each
read and write the batch.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import AugmentConfig

_FIELDS = (
    "area", "aspect", "top", "left", "padded_top", "padded_left", "flip",
    "brightness", "contrast", "saturation", "hue", "place_0", "place_1", "place_2", "place_3",
    "erase", "erase_area", "erase_aspect", "erase_top", "erase_left", "mix_top", "mix_left",
)  # fmt: skip
_MEAN_GRID = 56
_LUMA = (0.299, 0.587, 0.114)
# RGB to the luma and the two colour differences of NTSC; a turn of these two is a turn of the hue.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_ERASED_AREA, _ERASED_ASPECT = (0.02, 1 / 3), (0.3, 1 / 0.3)  # of the random erasing paper, arXiv:1708.04896


def draws_needed(settings: AugmentConfig) -> int:
    """How many draws an image takes: fixed ones first, then two for each operation of RandAugment."""
    return len(_FIELDS) + 2 * settings.randaugment


def alternating(draws: tf.Tensor, first: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """The draws of images whose flips alternate: by `first`, float32 [images] in [0, 1), in the first epoch.

    As in "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", Jordan, 2024, https://arxiv.org/abs/2404.00498: two epochs
    in a row show both of an image's sides, while by chance half of the images show one of them again.
    """
    place = _FIELDS.index("flip")
    flip = (first + tf.cast(epoch % 2, tf.float32) / 2) % 1.0
    return tf.concat([draws[:, :place], flip[:, None], draws[:, place + 1 :]], axis=1)


def randaugment_draws(draws: tf.Tensor) -> tf.Tensor:
    """The draws of one image that RandAugment takes: which operation and how, [operations, 2]."""
    return tf.reshape(draws[len(_FIELDS) :], [-1, 2])


def crop_window(shape: tf.Tensor, draws: tf.Tensor, settings: AugmentConfig) -> tf.Tensor:
    """A random part of an image: int32 top, left, height, width.

    As in GoogLeNet's training, https://arxiv.org/abs/1409.4842: its area evenly spread between `min_area` and the whole
    image's, its aspect ratio between 1 / `max_aspect` and `max_aspect`, here evenly in its logarithm. Areas that do not
    fit into the image at that ratio are never drawn, so no draw is repeated.
    """
    # Of small tensors each operation costs the same, so there are few of them, on pairs of height and width.
    share, aspect = draws[0], tf.exp((2 * draws[1] - 1) * math.log(settings.max_aspect))
    whole = tf.cast(shape, tf.float32)
    narrowness = tf.stack([1 / aspect, aspect])  # a side squared is the area times this
    largest = tf.reduce_min(whole * whole / narrowness)
    smallest = tf.minimum(settings.min_area * tf.reduce_prod(whole), largest)
    area = smallest + share * (largest - smallest)
    size = tf.clip_by_value(tf.round(tf.sqrt(area * narrowness)), 1.0, whole)
    begin = tf.floor(draws[2:4] * (whole - size + 1))
    return tf.cast(tf.concat([begin, size], axis=0), tf.int32)


def varies_batches(settings: AugmentConfig) -> bool:
    """Whether `vary` has anything to do."""
    flips, colours = ("flip", "alternate_flips"), ("brightness", "contrast", "saturation", "hue")
    return any(getattr(settings, name) for name in ("crop_padding", *flips, *colours, "erase", "mixup", "cutmix"))


def vary(
    pixels: tf.Tensor,
    targets: tf.Tensor,
    draws: tf.Tensor,
    seed: tf.Tensor,
    settings: AugmentConfig,
    batch_size: int,
    worker: int = 0,
    mixing: tf.Tensor | bool = True,
) -> Any:
    """Varies a batch, or a worker's slice of one.

    Args:
        pixels: uint8 [slice, size, size, channels].
        targets: float32 [slice, values]: classes, and whatever else is to be mixed as they are.
        draws: float32 [slice, draws_needed].
        seed: int64 [2], of this batch alone.
        settings: what to do.
        batch_size: images of the whole batch.
        worker: which slice of the batch this is.
        mixing: whether MixUp or CutMix, where they are asked for, mix this batch: bool [].

    Returns:
        (pixels, targets) of the same shapes and types.
    """
    noise_seed, share_seed, kind_seed = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    # These generators stay outside of the compiled part, where they would draw other numbers or are unknown.
    noise = tf.random.stateless_uniform(pixels.shape[1:], noise_seed, maxval=256.0) if settings.erase else 0.0
    share, with_box = 1.0, False
    if settings.mixup or settings.cutmix:
        with_box = tf.random.stateless_uniform((), kind_seed) < (0.5 if settings.mixup else 1.0)
        with_box = tf.logical_and(with_box, bool(settings.cutmix))
        alpha = tf.where(with_box, settings.cutmix, settings.mixup)
        gammas = tf.random.stateless_gamma((batch_size, 2), share_seed, alpha)
        gammas = gammas[worker * pixels.shape[0] :][: pixels.shape[0]]
        share = tf.math.divide_no_nan(gammas[:, 0], tf.reduce_sum(gammas, axis=1))
        share = tf.where(mixing, share, 1.0)
    return _compiled(settings)(pixels, targets, draws, noise, share, with_box)


@cache
def _compiled(settings: AugmentConfig) -> Any:
    """The compiled pass for some settings; one function for all data sets, so that each shape is compiled once."""

    @tf.function(jit_compile=True, autograph=False)
    def varied(
        pixels: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor, noise: tf.Tensor, share: tf.Tensor, with_box: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = _named(draws)
        if settings.crop_padding:
            pixels = _crop_padded(pixels, drawn, settings.crop_padding)
        if settings.flip or settings.alternate_flips:
            pixels = tf.where(_of_images(drawn["flip"] < 0.5), pixels[:, :, ::-1], pixels)
        values = tf.cast(pixels, tf.float32)
        if settings.brightness or settings.contrast or settings.saturation or settings.hue:
            matrix, offset = _colour(pixels, drawn, settings)
            channels = pixels.shape[-1]
            mixed = (values[..., c : c + 1] * matrix[:, None, None, c] for c in range(channels))
            values = tf.clip_by_value(sum(mixed) + offset[:, None, None], 0.0, 255.0)
        if settings.erase:
            box = _erased_box(pixels.shape[1], drawn, settings.erase)
            values = tf.where(_inside(box, pixels.shape[1]), noise[None], values)
        if settings.mixup or settings.cutmix:
            values, targets = _mixed(values, targets, drawn, share, with_box)
        return tf.cast(values + 0.5, tf.uint8), targets

    return varied


def _named(draws: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(zip(_FIELDS, tf.unstack(draws[..., : len(_FIELDS)], axis=-1), strict=True))


def _of_images(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None, None]


def _crop_padded(pixels: tf.Tensor, drawn: dict[str, tf.Tensor], padding: int) -> tf.Tensor:
    """Shifts images by up to `padding` pixels; reflections come in. The padded image itself is never made."""
    size = pixels.shape[1]
    for axis, name in ((1, "padded_top"), (2, "padded_left")):
        shift = tf.cast(tf.floor(drawn[name] * (2 * padding + 1)), tf.int32) - padding
        source = tf.abs(shift[:, None] + tf.range(size)[None])
        pixels = tf.gather(pixels, size - 1 - tf.abs(size - 1 - source), axis=axis, batch_dims=1)
    return pixels


def _colour(pixels: tf.Tensor, drawn: dict[str, tf.Tensor], settings: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Brightness, contrast, saturation and hue in an order of chance, as one matrix and one offset an image.

    All four are affine in RGB here: saturation moves colours away from their luma, hue turns them around the grey axis
    in YIQ (TensorFlow's go through HSV), contrast is about each channel's mean as it is by
    then, and values are clipped once, at the end.
    """
    channels = pixels.shape[-1]
    # A grid of some 56 x 56 pixels tells the mean well enough; all of them cost more than all else here. The sum is of
    # whole numbers, so that it does not depend on its order, and so not on the number of threads.
    stride = max(1, pixels.shape[1] // _MEAN_GRID)
    grid = tf.cast(pixels[:, ::stride, ::stride], tf.int32)
    mean = tf.cast(tf.reduce_sum(grid, axis=[1, 2]), tf.float32) / (grid.shape[1] * grid.shape[2])
    same = tf.broadcast_to(tf.eye(channels), (tf.shape(pixels)[0], channels, channels))
    factor = 1 + (2 * drawn["contrast"] - 1) * settings.contrast
    brighter = (2 * drawn["brightness"] - 1) * settings.brightness * 255
    steps = [same, same * factor[:, None, None]]
    if channels == 3:
        grey = tf.tile(tf.constant(_LUMA)[:, None], [1, 3])
        saturation = (1 + (2 * drawn["saturation"] - 1) * settings.saturation)[:, None, None]
        angle = (2 * drawn["hue"] - 1) * 2 * math.pi * settings.hue
        turn = _turn(angle)
        steps += [same * saturation + grey * (1 - saturation), turn]
    ranks = tf.argsort(tf.stack([drawn[f"place_{i}"] for i in range(len(steps))], axis=1), axis=1)
    matrices = tf.stack(steps, axis=1)
    matrix, offset = same, tf.zeros_like(mean)
    for place in range(len(steps)):
        kind = ranks[:, place]
        step = tf.gather(matrices, kind, axis=1, batch_dims=1)
        about = tf.einsum("bi,bij->bj", mean, matrix) + offset  # the channels' means by now
        added = tf.where((kind == 0)[:, None], brighter[:, None], tf.zeros_like(mean))
        added = tf.where((kind == 1)[:, None], (1 - factor)[:, None] * about, added)
        matrix = tf.matmul(matrix, step)
        offset = tf.einsum("bi,bij->bj", offset, step) + added
    return matrix, offset


def _turn(angle: tf.Tensor) -> tf.Tensor:
    """Matrices [batch, 3, 3], for colours as rows, that turn the hue."""
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    rows = [tf.ones_like(angle), zero, zero, zero, cos, sin, zero, -sin, cos]
    turn = tf.reshape(tf.stack(rows, axis=-1), [-1, 3, 3])
    there = tf.constant(_TO_YIQ.T, tf.float32)
    back = tf.constant(np.linalg.inv(_TO_YIQ).T, tf.float32)
    return tf.einsum("ij,bjk,kl->bil", there, turn, back)


def _erased_box(size: int, drawn: dict[str, tf.Tensor], share: float) -> tf.Tensor:
    """Top, left, bottom and right [4, batch] of the erased rectangles; empty ones for the images that are spared."""
    low, high = _ERASED_AREA
    area = (low + drawn["erase_area"] * (high - low)) * size * size
    aspect = tf.exp(math.log(_ERASED_ASPECT[0]) + drawn["erase_aspect"] * math.log(_ERASED_ASPECT[1] ** 2))
    sides = tf.minimum(tf.round(tf.sqrt(tf.stack([area * aspect, area / aspect]))), float(size))
    sides *= tf.cast(drawn["erase"] < share, tf.float32)
    begin = tf.floor(tf.stack([drawn["erase_top"], drawn["erase_left"]]) * (size - sides + 1))
    return tf.concat([begin, begin + sides], axis=0)


def _inside(box: tf.Tensor, size: int) -> tf.Tensor:
    """Which pixels [batch, size, size, 1] lie in each image's box [4, batch]."""
    place = tf.range(size, dtype=tf.float32)[None]
    top, left, bottom, right = (side[:, None] for side in tf.unstack(box))
    rows, columns = (place >= top) & (place < bottom), (place >= left) & (place < right)
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def _mixed(
    values: tf.Tensor, targets: tf.Tensor, drawn: dict[str, tf.Tensor], share: tf.Tensor, with_box: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """MixUp (https://arxiv.org/abs/1710.09412) or CutMix (https://arxiv.org/abs/1905.04899), images in pairs.

    Images come in a random order, so its neighbour is a random one; pairs stay together where a batch is cut into
    slices of even size. In CutMix the target's share is that of the pixels, after the box is cut at the image's edge.
    """
    count, size = values.shape[:2]
    neighbours = [min(i ^ 1, count - 1) for i in range(count)]
    other, other_targets = tf.gather(values, neighbours), tf.gather(targets, neighbours)
    half = tf.sqrt(1 - share) * size / 2
    middle = tf.stack([drawn["mix_top"], drawn["mix_left"]]) * size
    box = tf.clip_by_value(tf.round(tf.concat([middle - half, middle + half], axis=0)), 0.0, float(size))
    outside = 1 - (box[2] - box[0]) * (box[3] - box[1]) / size**2
    blended = values * _of_images(share) + other * _of_images(1 - share)
    pasted = tf.where(_inside(box, size), other, values)
    kept = tf.where(with_box, outside, share)[:, None]
    return tf.where(with_box, pasted, blended), targets * kept + other_targets * (1 - kept)
