"""How fast pictures become predictions: `Predictor` against the ways that keras.applications' users take.

Run it with `python benchmarks/predict.py` on a quiet machine; names of networks limit it to them, and `--size` makes
the pictures smaller, for a look at whether it runs. Every contestant is called once a round, in an order that changes,
on the same picture(s); medians and the tenth and ninetieth percentiles are printed, and the ratio to `Predictor`. The
answers are compared first: both networks have the same weights. The aims are `model.predict` at 1.8 and calling the
model at 5 times the Predictor's time for one picture, and the compiled graph at 1.15 times in batches of 16.
"""

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf
from peers import THEIRS, give_weights

import keras_inception as ki
import keras_inception.tflite as kt


def contestants(name: str, size: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions from uint8 pixels to probabilities, on the same weights."""
    theirs = THEIRS[name](weights=None, input_shape=(size, size, 3), classes=1000)
    ours = ki.create_model(name, input_shape=(size, size, 3), include_preprocessing=True)
    give_weights(theirs, ours)
    predictor = kt.Predictor(ours)
    graph = tf.function(lambda images: theirs(images, training=False), autograph=False)

    def scaled(images: np.ndarray) -> np.ndarray:
        return ki.preprocess_input(images, name)

    return {
        "Predictor": predictor.probabilities,
        "model.predict": lambda images: theirs.predict(scaled(images), verbose=0),
        "model(x)": lambda images: theirs(scaled(images), training=False).numpy(),
        "compiled graph": lambda images: graph(tf.constant(scaled(images))).numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["inception_v3"], help=f"of {', '.join(THEIRS)}")
    parser.add_argument("--size", type=int, default=299, help="height and width of the pictures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    print(f"{'network':<20} {'batch':>5} {'contestant':<16} {'ms: 10 %':>10} {'median':>10} {'90 %':>10} {'ratio':>7}")
    for name in options.networks:
        calls = contestants(name, options.size)
        for batch in options.batches:
            images = np.random.default_rng(0).integers(0, 256, (batch, options.size, options.size, 3), dtype=np.uint8)
            expected = calls["compiled graph"](images)
            difference = max(float(np.abs(call(images) - expected).max()) for call in calls.values())
            if difference > 1e-4:
                raise SystemExit(f"The contestants must agree within 1e-4. Received: {difference:.2g} for {name}.")
            rows = kt.benchmark(calls, images, runs=options.runs, warmup=2)
            for row in rows:
                ratio = row.median_ms / rows[0].median_ms
                times = f"{row.low_ms:>10.1f} {row.median_ms:>10.1f} {row.high_ms:>10.1f}"
                print(f"{name:<20} {batch:>5} {row.name:<16} {times} {ratio:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
