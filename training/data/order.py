"""Which image comes when, and what chance does to it: functions of (seed, epoch, place or index) alone.

Nothing here has a state, so any step of any epoch can be entered directly, on any machine, with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Order:
    """The order of a run's training images: `steps` batches of `batch_size` an epoch, each epoch shuffled anew."""

    seed: int
    epochs: int
    steps: int
    batch_size: int
    first_epoch: int = 0
    first_step: int = 0
    shard: tuple[int, int] = (0, 1)
    """(i, n): only the i-th of n equal slices of every batch."""

    @property
    def slice_size(self) -> int:
        """Images of a batch that come here."""
        return self.batch_size // self.shard[1]

    def places(self, step: tf.Tensor) -> tf.Tensor:
        """The places in the epoch's order that a step's slice takes: int64 [slice_size]."""
        begin = step * self.batch_size + self.shard[0] * self.slice_size
        return begin + tf.range(self.slice_size, dtype=tf.int64)


def indexed_batches(order: Order, count: int) -> tf.data.Dataset:
    """Batches (step, indices int64 [slice_size]) of `count` images that can be addressed by index.

    Steps are numbered through all epochs.
    """

    @tf.autograph.experimental.do_not_convert
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        places = order.places(step % order.steps)
        return step, shuffled(places, order.seed, step // order.steps, count)

    first = order.first_epoch * order.steps + order.first_step
    return tf.data.Dataset.range(first, order.epochs * order.steps).map(batch)


def streamed_batches(order: Order, count: int, buffer: int, stream: Callable[[Any], Any]) -> tf.data.Dataset:
    """Batches (step, indices, handles) of `count` images that can only be read from front to back.

    As many as fit into the buffer are shuffled as a whole, into the very order of `indexed_batches`; more of them by
    the order that `stream` gives their files and by a buffer.

    Args:
        order: the order.
        count: how many images there are.
        buffer: how many of them, still encoded, may be held in memory.
        stream: opens a data set of (index, handle), in order for None, its files shuffled for a seed int64 [2].
    """

    def in_memory(epoch: tf.Tensor) -> tf.data.Dataset:
        def permuted(indices: tf.Tensor, handles: tf.Tensor) -> tf.data.Dataset:
            places = shuffled(tf.range(count, dtype=tf.int64), order.seed, epoch, count)
            return tf.data.Dataset.from_tensor_slices((tf.gather(indices, places), tf.gather(handles, places)))

        return stream(None).batch(count).flat_map(permuted)

    def through_buffer(epoch: tf.Tensor) -> tf.data.Dataset:
        # Sets the seed of this traced function alone: `shuffle` mixes it with its own, and where it is the process's
        # instead, the order would depend on more than (run seed, epoch).
        tf.random.set_seed(1)
        seed = stateless_seed(order.seed, epoch)
        return stream(seed).shuffle(buffer, seed=seed[0], reshuffle_each_iteration=False)

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        elements = in_memory(epoch) if count <= buffer else through_buffer(epoch)
        begun = tf.cast(epoch == order.first_epoch, tf.int64) * order.first_step
        elements = elements.take(order.steps * order.batch_size).skip(begun * order.batch_size)
        if order.shard[1] > 1:
            worker, size = order.shard[0], order.slice_size
            numbered = elements.enumerate().filter(lambda place, _: place % order.batch_size // size == worker)
            elements = numbered.map(lambda _, element: element)
        whole = elements.batch(order.slice_size, drop_remainder=True).enumerate(epoch * order.steps + begun)
        return whole.map(lambda step, batch: (step, *batch))

    return tf.data.Dataset.range(order.first_epoch, order.epochs).flat_map(batches)


def shuffled(places: tf.Tensor, seed: int, epoch: tf.Tensor, count: int) -> tf.Tensor:
    """The images at some places of an epoch's order, without making the rest of that order."""
    if count == 1:
        return tf.zeros_like(places)
    return tf.random.experimental.index_shuffle(places, stateless_seed(seed, epoch), tf.constant(count - 1, tf.int64))


def uniforms(seed: int, epoch: tf.Tensor, indices: tf.Tensor, count: int) -> tf.Tensor:
    """Draws float32 [images, count] in [0, 1), each image's by its index.

    TensorFlow's stateless generators take one seed a call, and a call an image costs more than a small image's
    decoding. This is SplitMix64 (https://doi.org/10.1145/2660193.2660195) started at a mix of the three numbers.
    """
    state = _mixed(seed, epoch, indices)
    steps = tf.constant(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN))
    bits = tf.bitwise.right_shift(_mix(state[:, None] + steps), tf.constant(40, tf.uint64))
    return tf.cast(tf.bitcast(bits, tf.int64), tf.float32) * 2.0**-24


def stateless_seed(seed: int, *values: tf.Tensor) -> tf.Tensor:
    """A seed int64 [2] for TensorFlow's stateless operations."""
    state = _mixed(seed, *values)
    return tf.bitcast(tf.stack([state, _mix(state + tf.constant(_GOLDEN, tf.uint64))]), tf.int64)


def _mixed(seed: int, *values: tf.Tensor) -> tf.Tensor:
    state = _mix(tf.constant(seed + _GOLDEN, tf.uint64))
    for value in values:
        state = _mix(state + tf.bitcast(tf.cast(value, tf.int64), tf.uint64) * tf.constant(_GOLDEN, tf.uint64))
    return state


def _mix(state: tf.Tensor) -> tf.Tensor:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, tf.constant(shift, tf.uint64)))
        state = state * tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, tf.constant(31, tf.uint64)))
