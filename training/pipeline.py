"""One tf.data pipeline: images in, batches out; the same epoch is the same images, whatever the number of threads.

Every random choice is a function of (run seed, epoch, image index). Epochs follow each other inside one data set, so
the next epoch's first batches are prepared while the last one's are still being trained on.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_inception.training.config import AugmentConfig, TrainConfig
from keras_inception.training.images import AnyImages, ArrayImages


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
        A data set of (pixels float32 [batch, size, size, channels] in 0..255, targets float32 [batch, classes]) and,
        where samples are weighted, weights float32 [batch].

    Raises:
        ValueError: where the batch cannot be cut into equal slices.
    """
    if config.pipeline.augment.min_area == 1:
        images = cached(images, config)
    batch_size = min(config.pipeline.batch_size, len(images.labels))
    worker, workers = shard
    if batch_size % workers:
        raise ValueError(f"A batch must divide evenly among {workers} workers. Received: {batch_size} images")
    slice_size = batch_size // workers
    per_epoch = steps_per_epoch(images, config) * batch_size
    labels = tf.constant(images.labels)

    def epoch_elements(epoch: tf.Tensor) -> tf.data.Dataset:
        # Sets the seed of this traced function alone: `shuffle` mixes it with its own, and where it is the process's
        # instead, the order would depend on more than (run seed, epoch).
        tf.random.set_seed(1)
        elements = images.elements(fold_seed(config.seed, epoch)[0]).take(per_epoch)
        elements = elements.skip(tf.where(epoch == first_epoch, tf.constant(first_step * batch_size, tf.int64), 0))
        if workers > 1:
            numbered = elements.enumerate().filter(lambda place, _: place % batch_size // slice_size == worker)
            elements = numbered.map(lambda _, element: element)
        return elements.map(lambda index, handle: (epoch, index, handle))

    def example(epoch: tf.Tensor, index: tf.Tensor, handle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = fold_seed(config.seed, epoch, index)
        target = tf.one_hot(tf.gather(labels, index), classes)
        return augment(images.decode(handle), config, seed), target

    elements = tf.data.Dataset.range(first_epoch, config.epochs).flat_map(epoch_elements)
    batches = elements.map(example, num_parallel_calls=_parallel(config)).batch(slice_size, drop_remainder=True)
    return _finish(batches, config)


def evaluation_batches(images: AnyImages, config: TrainConfig, batch_size: int | None = None) -> tf.data.Dataset:
    """Batches in index order without augmentation, the last one maybe smaller; pixels are whole numbers in 0..255."""

    def example(index: tf.Tensor, handle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(prepare(images.decode(handle), config), tf.float32), tf.gather(labels, index)

    labels = tf.constant(images.labels)
    elements = images.elements(None).map(example, num_parallel_calls=_parallel(config))
    return _finish(elements.batch(batch_size or config.pipeline.batch_size), config)


def cached(images: AnyImages, config: TrainConfig) -> AnyImages:
    """Decodes and resizes all images once where they fit into `pipeline.cache_mb`, else returns them as they are."""
    size = config.model.image_size
    megabytes = len(images.labels) * size * size * config.model.channels / 2**20
    if megabytes > config.pipeline.cache_mb:
        return images
    pixels = np.empty((len(images.labels), size, size, config.model.channels), np.uint8)
    place = 0
    for batch, _ in evaluation_batches(images, config, 256).as_numpy_iterator():
        pixels[place : place + len(batch)] = batch
        place += len(batch)
    return ArrayImages(pixels, images.labels, images.names)


def prepare(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """The un-augmented form of an image: its shorter side resized, its central square kept, uint8.

    Whole numbers, because an exported model is fed uint8 and must see what evaluation saw.
    """
    size = config.model.image_size
    shape = tf.shape(image)[:2]
    scale = size / tf.reduce_min(shape)
    resized = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32), size)
    top, left = tf.unstack((resized - size) // 2)
    return _to_pixels(_resize(image, resized, config)[top : top + size, left : left + size], config)


def augment(image: tf.Tensor, config: TrainConfig, seed: tf.Tensor) -> tf.Tensor:
    """A random variation of an image: float32 [size, size, channels] in 0..255.

    Order: crops first, on the fewest pixels that later operations then work on; colour last, clipped once.
    """
    settings, size = config.pipeline.augment, config.model.image_size
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
    if settings.min_area < 1:
        image = _to_pixels(_resize(_crop_area(image, settings, seeds[0]), (size, size), config), config)
    else:
        image = prepare(image, config)
    if settings.crop_padding:
        pad = settings.crop_padding
        padded = tf.pad(image, [[pad, pad], [pad, pad], [0, 0]], mode="REFLECT")
        image = tf.image.stateless_random_crop(padded, (size, size, config.model.channels), seeds[1])
    if settings.flip:
        image = tf.image.stateless_random_flip_left_right(image, seeds[2])
    image = tf.cast(image, tf.float32)
    if settings.brightness:
        image = tf.image.stateless_random_brightness(image, 255 * settings.brightness, seeds[3])
    if settings.contrast:
        image = tf.image.stateless_random_contrast(image, 1 - settings.contrast, 1 + settings.contrast, seeds[4])
    if settings.saturation:
        image = tf.image.stateless_random_saturation(image, 1 - settings.saturation, 1 + settings.saturation, seeds[5])
    return tf.clip_by_value(image, 0.0, 255.0)


def fold_seed(*values: Any) -> tf.Tensor:
    """Mixes whole numbers into a seed [2] for stateless operations."""
    seed = tf.zeros(2, tf.int64)
    for value in values:
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(value, tf.int64))
    return seed


def _crop_area(image: tf.Tensor, settings: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """A random part of the image: area and aspect ratio (3/4 to 4/3) as in the Inception papers."""
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image), whole, seed, min_object_covered=0.0, aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(settings.min_area, 1.0), use_image_if_no_bounding_boxes=True,
    )  # fmt: skip
    return tf.slice(image, begin, size)


def _resize(image: tf.Tensor, shape: Any, config: TrainConfig) -> tf.Tensor:
    return tf.image.resize(image, shape, config.pipeline.interpolation, antialias=True)


def _to_pixels(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    image = tf.saturate_cast(tf.round(tf.cast(image, tf.float32)), tf.uint8)
    return tf.ensure_shape(image, (config.model.image_size, config.model.image_size, config.model.channels))


def _parallel(config: TrainConfig) -> int:
    return config.pipeline.threads or int(tf.data.AUTOTUNE)


def _finish(batches: tf.data.Dataset, config: TrainConfig) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    if config.pipeline.threads:
        options.threading.private_threadpool_size = config.pipeline.threads
    return batches.with_options(options).prefetch(2)
