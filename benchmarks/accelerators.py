"""Which networks' .tflite files run where: every network at a small size, in all places that this machine has.

Run it with `python benchmarks/accelerators.py`; names of networks limit it to them. Weights are random, batch norms
have the statistics of the pictures, and networks are a quarter as wide where their papers have a width: what a place
takes depends on neither, and what it answers differs from the CPU's by what its arithmetic differs.

docs/figures/accelerators.csv is that of a machine with Debian's chromium, whose SwiftShader stands for a GPU.
"""

import argparse
import os
import tempfile
from inspect import signature

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from peers import take_statistics

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.proving.measuring import Yardstick
from keras_inception.tflite.proving.rehearsal import rehearse
from keras_inception.tflite.running.places import PLACES

MODES = ("float32", "float16", "dynamic", "int8")
PICTURES = 16
SHOWN = ("CPU", "CPU, half precision", "GPU", "OpenVINO")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=ki.list_models())
    parser.add_argument("--modes", nargs="*", default=MODES)
    arguments = parser.parse_args()
    print("| network | file | " + " | ".join(SHOWN) + " |")
    print("|---" * (2 + len(SHOWN)) + "|")
    for name in arguments.networks:
        show(name, arguments.modes)


def show(name: str, modes: tuple[str, ...]) -> None:
    """Prints a network's rows: what each place took, and how far its answers are from the CPU's."""
    keras.utils.set_random_seed(0)
    size = max(32, ki.get_entry(name).min_size)
    builder = ki.get_entry(name).load_builder()
    # A quarter of ShuffleNet has groups of five channels, at which the GPU backend crashes.
    narrow = {"alpha": 0.25} if "alpha" in signature(builder).parameters and name != "shufflenet" else {}
    model = builder(input_shape=(size, size, 3), classes=10, include_preprocessing=True, **narrow)
    patches = np.random.default_rng(0).integers(0, 256, (PICTURES, size // 4 + 1, size // 4 + 1, 3))
    pictures = patches.repeat(4, 1).repeat(4, 2)[:, :size, :size].astype(np.uint8)
    take_statistics(model, pictures)
    with tempfile.TemporaryDirectory() as folder:
        export = kt.export(
            model, f"{folder}/export", modes=modes, saved_model=False, calibration=pictures, rounding="nearest"
        )
        yardstick = Yardstick(
            model, pictures, None, kt.Limits(), classes=10, preprocessing=None, output="probabilities"
        )
        rehearsal, _ = rehearse(export.files, yardstick, [place for place in PLACES if place.name in SHOWN])
    for file in dict.fromkeys(row.file for row in rehearsal.rows):
        rows = {row.place: row for row in rehearsal.rows if row.file == file}
        cells = [cell(rows[place]) if place in rows else "–" for place in SHOWN]
        print(
            f"| {name} | {file.removeprefix('model_').removesuffix('.tflite')} | " + " | ".join(cells) + " |",
            flush=True,
        )
    for note in rehearsal.notes():
        print(f"<!-- {name}: {note} -->", flush=True)


def cell(row: kt.Rehearsed) -> str:
    """What was taken, and the largest difference of a probability from the file's own on the CPU."""
    return row.share if row.difference is None else f"{row.share}, {row.difference:.0e}"


if __name__ == "__main__":
    main()
