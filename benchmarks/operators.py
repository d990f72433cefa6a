"""Operators that a training step on a CPU computes in another way than TensorFlow, both ways, at the networks' shapes.

Run it with `python benchmarks/operators.py`. Both are called in turns on one thread, batches of 16; times are medians
of the process's own time, so that other work on the machine changes little. "taken" says that training has the second
way.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

from keras_inception.training.engine.batch_norm import normalise, wants_whole_registers
from keras_inception.training.engine.convolutions import depthwise, is_slow_depthwise, kernel_gradient, pays

DTYPES = ("float32", "bfloat16")
KERNELS = [  # side of the map, channels, filters, kernel, groups
    (64, 16, 96, (1, 1), 1), (32, 24, 144, (1, 1), 1), (8, 96, 576, (1, 1), 1), (4, 960, 320, (1, 1), 1),
    (14, 768, 192, (1, 1), 1), (8, 728, 728, (1, 1), 1), (6, 1280, 320, (1, 1), 1), (35, 64, 96, (3, 3), 1),
    (17, 192, 192, (1, 7), 1), (17, 160, 160, (7, 1), 1), (14, 96, 96, (3, 3), 1), (8, 448, 384, (3, 3), 1),
    (8, 384, 384, (1, 3), 1), (6, 160, 160, (1, 7), 1), (16, 240, 60, (1, 1), 3), (8, 120, 480, (1, 1), 3),
    (4, 960, 240, (1, 1), 3),
]  # fmt: skip
NORMS = [(8, 728), (16, 728), (32, 24), (16, 60), (8, 384)]  # side of the map, channels
DEPTHWISE = [(64, 96, 2), (32, 144, 2), (16, 192, 2), (8, 576, 2), (32, 144, 1)]  # side, channels, stride

Way = Callable[..., Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    print(f"{'type':9} {'what':65} {'own ms':>8} {'ours':>8} {'ratio':>6}")
    for dtype in DTYPES:
        for case in cases(dtype, options.batch):
            what, ways, taken, *shapes = case
            values = [random(shape, dtype, seed) for seed, shape in enumerate(shapes)]
            own, ours = compared(ways, values, options.rounds)
            print(f"{dtype:9} {what:65} {own:8.2f} {ours:8.2f} {own / ours:6.2f} {'taken' * taken}", flush=True)


def cases(dtype: str, batch: int) -> Iterator[tuple[Any, ...]]:
    """What it is, both ways, whether the second is taken, and the shapes of what they are called with."""
    for side, channels, filters, (height, width), groups in KERNELS:
        shape = [height, width, channels // groups, filters]
        what = f"gradient of a {height}x{width} kernel, {channels} to {filters} at {side}x{side}"
        what += f", {groups} groups" if groups > 1 else ""
        taken = pays(dtype, shape, (None, side, side, channels))
        yield what, _kernel(shape), taken, (batch, side, side, channels), (batch, side, side, filters)
    for side, channels in NORMS:
        taken = wants_whole_registers(dtype) and bool(channels % 16)
        shape = (batch, side, side, channels)
        yield f"batch norm and gradients, {channels} at {side}x{side}", [_norm(False), _norm(True)], taken, shape, shape
    for side, channels, stride in DEPTHWISE:
        what = f"gradients of a depthwise 3x3 kernel and inputs, {channels} at {side}x{side}, stride {stride}"
        strides, small = (stride, stride), side // stride
        shapes = (batch, side, side, channels), (batch, small, small, channels), (3, 3, channels, 1)
        ways = [_depthwise(own_depthwise, strides), _depthwise(depthwise, strides)]
        yield what, ways, is_slow_depthwise(dtype, strides), *shapes


def _kernel(shape: list[int]) -> list[Way]:
    def own(inputs: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=shape, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
        )

    return [own, lambda inputs, upstream: kernel_gradient(inputs, upstream, shape, "same")]


def _norm(whole_registers: bool) -> Way:
    def way(inputs: tf.Tensor, upstream: tf.Tensor) -> Any:
        gamma = tf.ones(inputs.shape[-1])
        with tf.GradientTape() as tape:
            tape.watch([inputs, gamma])
            outputs, *_ = normalise(inputs, gamma, None, 1e-3, whole_registers=whole_registers)
        return tape.gradient(outputs, [inputs, gamma], upstream)

    return way


def own_depthwise(inputs: tf.Tensor, kernel: tf.Tensor, strides: tuple[int, int], padding: str) -> tf.Tensor:
    """TensorFlow's depthwise convolution."""
    return tf.nn.depthwise_conv2d(inputs, kernel, [1, *strides, 1], padding.upper())


def _depthwise(function: Way, strides: tuple[int, int]) -> Way:
    def way(inputs: tf.Tensor, upstream: tf.Tensor, kernel: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([inputs, kernel])
            outputs = function(inputs, kernel, strides, "same")
        return tape.gradient(outputs, [inputs, kernel], upstream)

    return way


def random(shape: tuple[int, ...], dtype: str, seed: int) -> tf.Tensor:
    """Values of a normal distribution."""
    return tf.cast(tf.random.stateless_normal(shape, (0, seed)), dtype)


def compared(ways: list[Way], values: list[tf.Tensor], rounds: int) -> tuple[float, float]:
    """Milliseconds of both ways."""
    functions = [tf.function(way, autograph=False) for way in ways]
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for place in (0, 1) if turn % 2 else (1, 0):
            start = time.process_time()
            functions[place](*values)
            if turn:  # the first one traces
                times[place].append(1e3 * (time.process_time() - start))
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
