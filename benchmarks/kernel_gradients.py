"""Gradients of kernels: TensorFlow's own against products of matrices, for the shapes of the networks.

Run it with `python benchmarks/kernel_gradients.py`. Both are called in turns on one thread, batches of 16; times are
medians of the thread's own processor time, so that other work on the machine changes little. It also prints where a
training step takes the product.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

from keras_inception.training.engine.convolutions import kernel_gradient, pays

SHAPES = [  # side of the map, channels, filters, kernel
    (64, 16, 96, (1, 1)), (32, 24, 144, (1, 1)), (8, 96, 576, (1, 1)), (4, 960, 320, (1, 1)), (14, 768, 192, (1, 1)),
    (8, 728, 728, (1, 1)), (6, 1280, 320, (1, 1)), (35, 64, 96, (3, 3)), (17, 192, 192, (1, 7)), (17, 160, 160, (7, 1)),
    (14, 96, 96, (3, 3)), (8, 448, 384, (3, 3)), (8, 384, 384, (1, 3)), (6, 160, 160, (1, 7)),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    print(
        f"{'type':9} {'map':>4} {'channels':>8} {'filters':>8} {'kernel':>7} {'own ms':>8} {'product':>8} {'ratio':>6}"
    )
    for dtype in ("float32", "bfloat16"):
        for side, channels, filters, kernel in SHAPES:
            own, product = compared(dtype, options.batch, side, channels, filters, kernel, options.rounds)
            taken = "taken" if pays(dtype, [*kernel, channels, filters], (None, side, side, channels)) else ""
            size = f"{kernel[0]}x{kernel[1]}"
            print(
                f"{dtype:9} {side:4} {channels:8} {filters:8} {size:>7} {own:8.2f} {product:8.2f} {own / product:6.2f} "
                f"{taken}",
                flush=True,
            )


def compared(
    dtype: str, batch: int, side: int, channels: int, filters: int, kernel: tuple[int, int], rounds: int
) -> tuple[float, float]:
    """Milliseconds of both ways."""
    inputs = tf.cast(tf.random.stateless_normal((batch, side, side, channels), (0, 0)), dtype)
    upstream = tf.cast(tf.random.stateless_normal((batch, side, side, filters), (0, 1)), dtype)
    shape = [*kernel, channels, filters]

    def own(inputs: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=shape, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
        )

    ways = [
        tf.function(own, autograph=False),
        tf.function(lambda inputs, upstream: kernel_gradient(inputs, upstream, shape, "same"), autograph=False),
    ]
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for place in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            ways[place](inputs, upstream)
            if turn:  # the first one traces
                times[place].append(1e3 * (time.process_time() - start))
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
