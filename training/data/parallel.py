"""How tf.data works on several images at a time."""

import tensorflow as tf

from keras_inception.processors import cores


def calls(threads: int = 0) -> int:
    """How many images are worked on at a time: `threads`, or where that is 0 as many as there are cores."""
    return threads or cores()


def untuned(images: tf.data.Dataset, threads: int = 0) -> tf.data.Dataset:
    """A data set whose numbers of threads stay as they are, and whose images come in order.

    tf.data's tuner sleeps between its looks, twice as long each time and up to a minute, and whoever drops an iterator
    waits until it wakes: at the end of a training of 12 seconds, ten more.

    Args:
        images: the data set.
        threads: its own threads; 0 takes those that all data sets share.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    # Images are prepared side by side; to divide one's operations among threads as well costs more than they take.
    options.threading.max_intra_op_parallelism = 1
    if threads:
        options.threading.private_threadpool_size = threads
    return images.with_options(options)
