"""Our TFLite files against keras.applications' through TensorFlow's plain converter: time to convert, size, latency.

Run it with `python benchmarks/tflite_vs_keras_applications.py` on a quiet machine; names of networks limit it to them.
Both networks have the same random weights. Theirs is converted as the guides say: `model.export` and
`TFLiteConverter.from_saved_model`, with the mode's options; it takes floats that the app has normalised. Ours is what
`keras_inception.tflite.export` writes; it takes pixels. The answers of the float32 files are compared first. Latency is
of one image, all files called in turns in an order that changes; ratios are medians over the rounds, ours to theirs in
the same mode and, in the last column, theirs in float32 to ours: how much faster a user of their float32 file gets.

The aims, for InceptionV3: int8 2.5 and dynamic 3.5 times as fast as their float32 file, float32 no slower, and at most
0.6 of the time to convert.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from peers import THEIRS, give_weights

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.errors import quiet
from keras_inception.tflite.running.litert import LiteRTModel, cores
from keras_inception.tflite.running.timing import interleaved

MODES = ("float32", "float16", "dynamic", "int8")
CALIBRATION_IMAGES = 16


def pair(name: str) -> tuple[keras.Model, keras.Model, int]:
    """Both networks, with the same weights and batch norms that have seen pictures."""
    size = ki.get_entry(name).input_size
    keras.utils.set_random_seed(0)
    theirs = THEIRS[name](weights=None, classes=1000)
    ours = ki.create_model(name, include_preprocessing=True)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    theirs(ki.preprocess_input(photographs(16, size), name), training=True)
    give_weights(theirs, ours)
    return theirs, ours, size


def photographs(count: int, size: int) -> np.ndarray:
    """Patches of colour, uint8: smooth enough that a network's activations have a usual range."""
    patches = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3)).astype("float32")
    return np.clip(tf.image.resize(patches, (size, size), "bicubic").numpy(), 0, 255).astype("uint8")


def convert_theirs(model: keras.Model, mode: str, images: np.ndarray, name: str) -> bytes:
    """The plain converter, as TensorFlow's guides use it."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if mode != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if mode == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if mode == "int8":
            scaled = ki.preprocess_input(images, name)

            def samples() -> Iterator[list[np.ndarray]]:
                for image in scaled:
                    yield [image[None]]

            converter.representative_dataset = samples
        content: bytes = converter.convert()
    return content


def convert_ours(model: keras.Model, mode: str, images: np.ndarray, folder: Path) -> bytes:
    """One mode of `export`, as a user calls it."""
    export = kt.export(model, folder, modes=mode, saved_model=False, calibration=images, overwrite=True)
    return export.files[mode].read_bytes()


class Theirs:
    """Their file as a function of pixels; normalising them is the app's work and part of the time."""

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        with quiet():
            self.interpreter = Interpreter(model_content=content, num_threads=cores())
            self.run = self.interpreter.get_signature_runner("serving_default")
        (self.input,) = self.run.get_input_details()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The file's answer to pixels."""
        (answer,) = self.run(**{self.input: ki.preprocess_input(images, self.name)}).values()
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(THEIRS))
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    print(f"{'network':<20} {'mode':<8} {'convert s':>15} {'ratio':>6} {'MB':>13} {'ratio':>6} "
          f"{'latency ms':>15} {'ratio':>6} {'their float32 / ours':>21}")  # fmt: skip
    for name in options.networks:
        theirs, ours, size = pair(name)
        images = photographs(CALIBRATION_IMAGES, size)
        calls, seconds, sizes = {}, {}, {}
        with tempfile.TemporaryDirectory() as folder:
            for mode in dict.fromkeys(["float32", *options.modes]):
                for who in ("theirs", "ours"):
                    start = time.perf_counter()
                    if who == "theirs":
                        content = convert_theirs(theirs, mode, images, name)
                    else:
                        content = convert_ours(ours, mode, images, Path(folder) / "ours")
                    seconds[who, mode], sizes[who, mode] = time.perf_counter() - start, len(content) / 1e6
                    path = Path(folder) / f"{who}_{mode}.tflite"
                    path.write_bytes(content)
                    calls[who, mode] = Theirs(content, name) if who == "theirs" else LiteRTModel(path)
            difference = np.abs(calls["theirs", "float32"](images[:1]) - calls["ours", "float32"](images[:1])).max()
            if not difference < 1e-4:
                raise SystemExit(f"The float32 files must agree within 1e-4. Received: {difference:.2g} for {name}.")
            with quiet():
                times = interleaved({row: partial(call, images[:1]) for row, call in calls.items()}, runs=options.runs)
        plain = times["theirs", "float32"]
        for mode in options.modes:
            rows = [("theirs", mode), ("ours", mode)]
            latency = [np.median(times[row]) * 1e3 for row in rows]
            print(
                f"{name:<20} {mode:<8} {seconds[rows[0]]:>7.1f} {seconds[rows[1]]:>7.1f} "
                f"{seconds[rows[1]] / seconds[rows[0]]:>6.2f} {sizes[rows[0]]:>6.1f} {sizes[rows[1]]:>6.1f} "
                f"{sizes[rows[1]] / sizes[rows[0]]:>6.2f} {latency[0]:>7.1f} {latency[1]:>7.1f} "
                f"{np.median(times[rows[1]] / times[rows[0]]):>6.2f} {np.median(plain / times[rows[1]]):>21.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
