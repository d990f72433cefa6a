"""How an image is prepared without chance: evaluation's batches, and the cache of decoded images."""

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..data.images import AnyImages, ArrayImages, PictureImages
from ..data.shards import damage_told

_SAMPLE = 64  # pictures whose mean size tells whether all of them may be kept in memory


def evaluation_batches(images: AnyImages, config: TrainConfig, batch_size: int | None = None) -> tf.data.Dataset:
    """Batches in index order without augmentation, the last one maybe smaller; pixels are whole numbers in 0..255."""

    def example(index: tf.Tensor, handle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(prepare(images.decode(handle), config), tf.float32), tf.gather(labels, index)

    labels = tf.constant(images.labels)
    elements = images.elements().map(example, num_parallel_calls=_parallel(config))
    return _finish(elements.batch(batch_size or config.pipeline.batch_size), config)


@damage_told()
def cached(images: AnyImages, config: TrainConfig, *, whole: bool = False) -> AnyImages:
    """Decodes all images once where they fit into `pipeline.cache_mb`, else returns them as they are.

    Args:
        images: the images.
        config: the run's configuration.
        whole: keep whole pictures, for random crops, instead of what evaluation makes of them.
    """
    budget = config.pipeline.cache_mb * 2**20
    if isinstance(images, ArrayImages | PictureImages) and whole:
        return images
    size, channels = config.model.image_size, config.model.channels
    if whole:
        return _cached_pictures(images, config, budget)
    if len(images.labels) * size * size * channels > budget:
        return images
    pixels = np.empty((len(images.labels), size, size, channels), np.uint8)
    place = 0
    for batch, _ in evaluation_batches(images, config, 256).as_numpy_iterator():
        pixels[place : place + len(batch)] = batch
        place += len(batch)
    return ArrayImages(pixels, images.labels, images.names, images.weights)


def prepare(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """The un-augmented form of an image: its shorter side resized, its central square kept, uint8.

    Whole numbers, because an exported model is fed uint8 and must see what evaluation saw.
    """
    size = config.model.image_size
    shape = tf.shape(image)[:2]
    scale = size / config.pipeline.central_crop / tf.cast(tf.reduce_min(shape), tf.float64)
    resized = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32), size)
    top, left = tf.unstack((resized - size) // 2)
    resized_image = tf.image.resize(image, resized, config.pipeline.interpolation, antialias=True)
    return _to_pixels(resized_image[top : top + size, left : left + size], config)


def _to_pixels(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    image = tf.saturate_cast(tf.round(tf.cast(image, tf.float32)), tf.uint8)
    return tf.ensure_shape(image, (config.model.image_size, config.model.image_size, config.model.channels))


def _cached_pictures(images: AnyImages, config: TrainConfig, budget: int) -> AnyImages:
    """Keeps whole pictures where they fit, which the mean size of the first ones foretells."""
    count, total = len(images.labels), 0
    pictures: list[np.ndarray] = []
    shapes: list[tuple[int, ...]] = []
    if not budget:
        return images
    decoded = images.elements().map(lambda _, handle: images.decode(handle), num_parallel_calls=_parallel(config))
    for picture in _finish(decoded, config).as_numpy_iterator():
        pictures.append(picture.ravel())
        total += picture.size
        shapes.append(picture.shape)
        expected = total / len(pictures) * count if len(pictures) >= min(_SAMPLE, count) else total
        if expected > budget:
            return images
    starts = np.concatenate([[0], np.cumsum([len(picture) for picture in pictures])[:-1]]).astype(np.int64)
    return PictureImages(
        np.concatenate(pictures), starts, np.array(shapes, np.int64), images.labels, images.names, images.weights
    )


def _parallel(config: TrainConfig) -> int:
    return config.pipeline.threads or int(tf.data.AUTOTUNE)


def _finish(batches: tf.data.Dataset, config: TrainConfig) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    if config.pipeline.threads:
        options.threading.private_threadpool_size = config.pipeline.threads
    return batches.with_options(options).prefetch(2)
