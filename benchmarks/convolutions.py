"""Training steps with convolutions as `keras_inception.training.engine.convolutions` has them, and with Keras's.

    python benchmarks/convolutions.py --models inception_v3 xception --precision float32 bfloat16
    python benchmarks/convolutions.py --models resnext50 --size 64 --batch 8 --rounds 1

Both sides are our trainer, as in train_step.py, on one thread; they take turns, and times are medians of the process's
own time, so that other work on the machine changes little. The ratio is Keras's time to ours.
"""

import argparse
import contextlib
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
import train_step

from keras_inception.training.engine import trainer

OURS = trainer.quick_convolutions
WAYS = {"ours": OURS, "keras": lambda _layers: contextlib.nullcontext()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["inception_v3", "xception", "mobilenet_v2", "shufflenet"])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], choices=list(train_step.POLICIES))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for name in options.models:
        for precision in options.precision:
            ours, theirs = compared(name, precision, options)
            print(
                f"{name:14} {precision:9} ours {ours:8.0f} ms  Keras's {theirs:8.0f} ms  {theirs / ours:.2f}",
                flush=True,
            )


def compared(name: str, precision: str, options: argparse.Namespace) -> tuple[float, float]:
    """Milliseconds of a step."""
    keras.config.set_dtype_policy(train_step.POLICIES[precision])
    steps, times = {}, {}
    for way, function in WAYS.items():
        trainer.quick_convolutions = function
        steps[way], times[way] = train_step.ours(name, options.size, options.batch, precision, False), []
        steps[way](1)  # traces it
    trainer.quick_convolutions = OURS
    for turn in range(options.rounds):
        for way in sorted(WAYS, reverse=bool(turn % 2)):
            start = time.process_time()
            steps[way](1)
            times[way].append(1e3 * (time.process_time() - start))
    return statistics.median(times["ours"]), statistics.median(times["keras"])


if __name__ == "__main__":
    main()
