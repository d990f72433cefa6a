"""One tf.data pipeline: images in, batches out; the same epoch is the same images, whatever the number of threads.

Every random choice is a function of (run seed, epoch, image index). Epochs follow each other inside one data set, so
the next epoch's first batches are prepared while the last one's are still being trained on. Pixels stay uint8 to the
end: a quarter of the memory and of the way to a GPU; networks cast them.
"""

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..data.decode import aside
from ..data.images import AnyImages, EncodedImages, StreamImages
from ..data.order import Order, shuffled, stateless_seed, uniforms
from ..data.parallel import calls, untuned
from .augment import alternating, crop_window, draws_needed, randaugment_draws, varies_batches, vary
from .preparing import _to_pixels, cached, is_prepared, looked_at, prepare
from .randaugment import randaugment


def steps_per_epoch(images: AnyImages, config: TrainConfig) -> int:
    """Whole batches in an epoch; the remainder of the shuffled images waits for another epoch's shuffle."""
    return max(1, len(images.labels) // config.pipeline.batch_size)


def training_batches(
    images: AnyImages,
    config: TrainConfig,
    classes: int,
    *,
    first_epoch: int = 0,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Shuffled, augmented batches of every epoch from `first_epoch` to the configuration's last.

    Args:
        images: the training images.
        config: the run's configuration.
        classes: how many classes there are.
        first_epoch: the epoch to begin with.
        first_step: batches of that epoch to leave out; they are skipped by index, without being decoded.
        shard: (i, n): the i-th of n equal slices of every batch, for training on n workers.

    Returns:
        A data set of (pixels uint8 [batch, size, size, channels], targets float32 [batch, classes]) and, where the
        images are weighted, weights float32 [batch].

    Raises:
        ValueError: where the batch cannot be cut into equal slices, or the tf.data service is to stream.
    """
    settings = config.pipeline.augment
    images = cached(images, config, whole=settings.min_area < 1)
    order = _order(images, config, first_epoch, first_step, shard)
    weighted = images.weights is not None
    weights = tf.constant(images.weights if weighted else np.ones(len(images.labels)), tf.float32)
    labels = tf.constant(images.labels)
    by_image = not is_prepared(images, config) or settings.min_area < 1 or settings.randaugment > 0

    @tf.autograph.experimental.do_not_convert
    def with_draws(step: tf.Tensor, indices: tf.Tensor, handles: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epoch = step // order.steps
        draws = uniforms(config.seed, epoch, indices, draws_needed(settings))
        if settings.alternate_flips:
            whole_run = tf.constant(-1, tf.int64)  # a number that no epoch has
            draws = alternating(draws, uniforms(config.seed, whole_run, indices, 1)[:, 0], epoch)
        return tf.fill(tf.shape(indices), step), indices, handles, draws

    @tf.autograph.experimental.do_not_convert
    def with_picture(step: tf.Tensor, index: tf.Tensor, handle: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return step, index, _picture(images, handle, draws, config), draws

    @tf.autograph.experimental.do_not_convert
    def finished(steps: tf.Tensor, indices: tf.Tensor, pixels: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, ...]:
        size, channels = config.model.image_size, config.model.channels
        pixels = pixels if by_image else images.decode(pixels)
        indices = looked_at(images, indices)
        pixels = tf.ensure_shape(pixels, (order.slice_size, size, size, channels))
        weight = tf.gather(weights, indices)[:, None]
        # Weights are mixed as the targets are, so the two travel together.
        targets = tf.gather(labels, indices)
        if targets.dtype.is_integer:  # one label an image, not a target for each class
            targets = tf.one_hot(targets, classes)
        targets = tf.concat([targets, weight], axis=1)
        if varies_batches(settings):
            seed = stateless_seed(config.seed, steps[0])
            mixing = steps[0] // order.steps < config.epochs - settings.unmixed_epochs
            pixels, targets = vary(pixels, targets, draws, seed, settings, order.batch_size, shard[0], mixing)
        targets, weight = targets[:, :classes], targets[:, classes]
        return (pixels, targets, weight) if weighted else (pixels, targets)

    batches = images.batches(order).map(with_draws)
    if by_image:
        pictures = batches.unbatch().map(with_picture, num_parallel_calls=calls(config.pipeline.threads))
        batches = pictures.batch(order.slice_size, drop_remainder=True)
    batches = batches.map(finished, num_parallel_calls=calls(config.pipeline.threads))
    if config.pipeline.service:
        batches = _distributed(batches, images, config)
    return untuned(batches, config.pipeline.threads).prefetch(2)


def names_of_step(
    images: AnyImages, config: TrainConfig, epoch: int, step: int, shard: tuple[int, int] = (0, 1)
) -> list[str]:
    """The names of the images of a training step, without reading any; empty for a stream shuffled by a buffer."""
    indices = indices_of_step(images, config, epoch, step, shard)
    return [] if indices is None else [images.names[i] for i in indices]


def indices_of_step(
    images: AnyImages, config: TrainConfig, epoch: int, step: int, shard: tuple[int, int] = (0, 1)
) -> np.ndarray | None:
    """The indices of the images of a training step, in the batch's order; None for a stream shuffled by a buffer."""
    if isinstance(images, StreamImages) and len(images.labels) > images.shuffle_buffer:
        return None
    places = _order(images, config, 0, 0, shard).places(tf.constant(step, tf.int64))
    chosen: np.ndarray = shuffled(places, config.seed, tf.constant(epoch, tf.int64), len(images.labels)).numpy()
    return chosen


def _picture(images: AnyImages, handle: tf.Tensor, draws: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """One image up to its final size: uint8 [size, size, channels]."""
    settings, size = config.pipeline.augment, config.model.image_size
    if settings.min_area < 1:
        part = images.decode_window(handle, lambda shape: crop_window(shape, draws, settings), size)
        image = _resize_part(part, config)
    else:
        image = images.decode(handle)
        image = image if is_prepared(images, config) else prepare(image, config)
    if settings.randaugment:
        image = randaugment(image, randaugment_draws(draws), settings.randaugment_magnitude)
    return image


def _resize_part(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """Resizes a crop. The filter against aliasing costs several times the resize: above half size it can be spared."""
    size, channels, interpolation = config.model.image_size, config.model.channels, config.pipeline.interpolation

    def plain() -> tf.Tensor:
        # Cast before: TensorFlow resizes three channels of float32 twice as fast as those of uint8, to the same bits.
        values = tf.cast(tf.image.resize(tf.cast(image, tf.float32), (size, size), interpolation), tf.float32)
        if interpolation == "bicubic":  # overshoots
            values = tf.clip_by_value(values, 0.0, 255.0)
        return tf.cast(values + 0.5, tf.uint8)

    def filtered() -> tf.Tensor:
        return _to_pixels(tf.image.resize(image, (size, size), interpolation, antialias=True), size, channels)

    resized = tf.cond(tf.reduce_max(tf.shape(image)[:2]) < 2 * size, plain, lambda: aside(filtered))
    return tf.ensure_shape(resized, (size, size, channels))


def _order(images: AnyImages, config: TrainConfig, first_epoch: int, first_step: int, shard: tuple[int, int]) -> Order:
    batch_size = min(config.pipeline.batch_size, len(images.labels))
    if batch_size % shard[1]:
        raise ValueError(f"A batch must divide evenly among {shard[1]} workers. Received: {batch_size} images")
    steps = steps_per_epoch(images, config)
    return Order(config.seed, config.epochs, steps, batch_size, first_epoch, first_step, shard)


def _distributed(batches: tf.data.Dataset, images: AnyImages, config: TrainConfig) -> tf.data.Dataset:
    """Lets the workers of a tf.data service prepare the batches, each step's on one of them.

    A batch is what it would be here; with several workers, batches may change places.
    """
    if isinstance(images, StreamImages | EncodedImages):
        raise ValueError(
            "pipeline.service needs images that are addressed by index: digits, folder, csv or array. "
            f"Received: {config.data}"
        )
    service = tf.data.experimental.service
    return batches.apply(
        service.distribute(processing_mode=service.ShardingPolicy.DYNAMIC, service=config.pipeline.service)
    )
