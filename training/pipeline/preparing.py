"""How an image is prepared without chance: evaluation's batches, and the cache of decoded images."""

import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..data.decode import aside
from ..data.images import AnyImages, ArrayImages, PictureImages, empty_pixels
from ..data.parallel import calls, untuned
from ..data.shards import damage_told
from .disk import kept_on_disk

_LONGEST = 4  # times as long as it is high may a picture be; of a longer one, only what evaluation shows is resized
_SAMPLE = 64  # pictures whose mean size tells whether all of them may be kept in memory


def evaluation_batches(images: AnyImages, config: TrainConfig, batch_size: int | None = None) -> tf.data.Dataset:
    """Batches in index order without augmentation, the last one maybe smaller; pixels are whole numbers in 0..255."""

    @tf.autograph.experimental.do_not_convert
    def example(index: tf.Tensor, handle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = images.decode(handle)
        return tf.cast(image if prepared else prepare(image, config), tf.float32), tf.gather(labels, index)

    prepared = is_prepared(images, config)
    labels = tf.constant(images.labels)
    elements = images.elements().map(example, num_parallel_calls=calls(config.pipeline.threads))
    batches = elements.batch(batch_size or config.pipeline.batch_size)
    batches = batches.map(lambda pixels, labels: (pixels, looked_at(images, labels)))
    return untuned(batches, config.pipeline.threads).prefetch(2)


@damage_told()
def cached(images: AnyImages, config: TrainConfig, *, whole: bool = False) -> AnyImages:
    """Decodes all images once: into `pipeline.cache_dir`, or into memory where they fit into `pipeline.cache_mb`.

    Args:
        images: the images.
        config: the run's configuration.
        whole: keep whole pictures, for random crops, instead of what evaluation makes of them.

    Returns:
        The decoded images; those given where nothing is to be kept, or nothing decoded.
    """
    if is_prepared(images, config) or (isinstance(images, ArrayImages | PictureImages) and whole):
        return images
    if config.pipeline.cache_dir:
        return kept_on_disk(images, config, whole, lambda: (_pictures if whole else _squares)(images, config))
    budget = config.pipeline.cache_mb * 2**20
    size, channels = config.model.image_size, config.model.channels
    if whole:
        return _cached_pictures(images, config, budget)
    if len(images.labels) * size * size * channels > budget:
        return images
    pixels = empty_pixels((len(images.labels), size, size, channels))
    for place, picture in enumerate(_squares(images, config)):
        pixels[place] = picture
    return ArrayImages(pixels, images.labels, images.names, images.weights, is_prepared=True)


def _pictures(images: AnyImages, config: TrainConfig) -> Iterator[np.ndarray]:
    threads = config.pipeline.threads
    decoded = images.elements().map(lambda _, handle: images.decode(handle), num_parallel_calls=calls(threads))
    yield from untuned(decoded, threads).prefetch(2).as_numpy_iterator()


def _squares(images: AnyImages, config: TrainConfig) -> Iterator[np.ndarray]:
    for batch, _ in evaluation_batches(images, config, 256).as_numpy_iterator():
        yield from batch.astype(np.uint8)


def looked_at(images: AnyImages, values: tf.Tensor) -> tf.Tensor:
    """Returns what belongs to a batch once its pixels have been read: where they are mapped, they are forgotten."""
    return images.file.forget(values) if isinstance(images, ArrayImages | PictureImages) and images.file else values


def is_prepared(images: AnyImages, config: TrainConfig) -> bool:
    """Whether images are already what `prepare` would make of them."""
    if not isinstance(images, ArrayImages):
        return False
    has_size = images.pixels.shape[1:3] == (config.model.image_size,) * 2
    return images.is_prepared or (has_size and config.pipeline.central_crop == 1)


def prepare(image: tf.Tensor, config: TrainConfig) -> tf.Tensor:
    """The un-augmented form of an image: its shorter side resized, its central square kept, uint8.

    Whole numbers, because an exported model is fed uint8 and must see what evaluation saw.
    """
    size, channels = config.model.image_size, config.model.channels
    settings = size, channels, config.pipeline.central_crop, config.pipeline.interpolation
    if tf.executing_eagerly():
        return _prepared(image, *settings)
    return _traced(*settings)(image)


@functools.cache
def _traced(
    size: int, channels: int, central_crop: float, interpolation: str
) -> tf.types.experimental.ConcreteFunction:
    """`prepare` as a graph of its own, which is traced once for all pipelines."""
    with tf.init_scope():
        function = tf.function(
            lambda image: _prepared(image, size, channels, central_crop, interpolation), autograph=False
        )
        return function.get_concrete_function(tf.TensorSpec([None, None, channels], tf.uint8))


def _prepared(image: tf.Tensor, size: int, channels: int, central_crop: float, interpolation: str) -> tf.Tensor:
    image = shortened(image)
    shape = tf.shape(image)[:2]
    scale = size / central_crop / tf.cast(tf.reduce_min(shape), tf.float64)
    resized = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float64) * scale), tf.int32), size)
    top, left = tf.unstack((resized - size) // 2)
    resized_image = tf.image.resize(image, resized, interpolation, antialias=True)
    return _to_pixels(resized_image[top : top + size, left : left + size], size, channels)


def shortened(image: tf.Tensor, *, ends: bool = False) -> tf.Tensor:
    """Leaves out of a strip what no square of the evaluation shows; other pictures come back as they are.

    Resized as a whole, a strip of 1 x 5,000 pixels would be 5,000 times as wide as the network's input.

    Args:
        image: [height, width, channels].
        ends: keep both ends of the strip as well, for squares at the ends.
    """
    shape = tf.shape(image)[:2]
    piece = _LONGEST * tf.reduce_min(shape)

    def kept(length: tf.Tensor) -> tf.Tensor:
        middle = piece + (length - piece) % 2  # of an odd rest, one more: the centre stays where it is
        places = (length - middle) // 2 + tf.range(middle)
        if ends:
            places = tf.concat([tf.range(piece), places, tf.range(length - piece, length)], axis=0)
        return tf.cond(length > tf.size(places), lambda: places, lambda: tf.range(length))

    def cut() -> tf.Tensor:
        return tf.gather(tf.gather(image, kept(shape[0])), kept(shape[1]), axis=1)

    longest = piece * (3 if ends else 1) + 1
    return tf.cond(tf.reduce_max(shape) > longest, lambda: aside(cut), lambda: image)


def _to_pixels(image: tf.Tensor, size: int, channels: int) -> tf.Tensor:
    image = tf.saturate_cast(tf.round(tf.cast(image, tf.float32)), tf.uint8)
    return tf.ensure_shape(image, (size, size, channels))


def _cached_pictures(images: AnyImages, config: TrainConfig, budget: int) -> AnyImages:
    """Keeps whole pictures where they fit, which the mean size of the first ones foretells."""
    count, total = len(images.labels), 0
    values = empty_pixels((0,))
    shapes: list[tuple[int, ...]] = []
    if not budget:
        return images
    for picture in _pictures(images, config):
        shapes.append(picture.shape)
        start, total = total, total + picture.size
        expected = total / len(shapes) * count if len(shapes) >= min(_SAMPLE, count) else total
        if expected > budget:
            return images
        if total > len(values):  # what is asked for is more than is needed, and never written to
            values, begun = empty_pixels((int(min(budget, 2 * expected)),)), values
            values[:start] = begun[:start]
        values[start:total] = picture.ravel()
    lengths = np.prod(np.array(shapes, np.int64), axis=1)
    return PictureImages(
        values[:total],
        np.cumsum(lengths) - lengths,
        np.array(shapes, np.int64),
        images.labels,
        images.names,
        images.weights,
    )
