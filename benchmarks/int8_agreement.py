"""What int8 keeps of every network when it is trained: docs/figures/int8.csv, which their pages show.

Run it with `python benchmarks/int8_agreement.py`; names of networks limit it to them, and rows of others stay. Each
network in its full width learns scikit-learn's digits, at the smallest size that it takes and 32 pixels at least, until
it gets 97 % of the validation images right; its int8 file, calibrated on training images, is held against it on 360
test images. Digits are easy: what shows is whether a network survives its quantisation, not how it does on photographs.
"""

import argparse
import csv
import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.running.litert import LiteRTModel
from keras_inception.training import load_recipe, train
from keras_inception.training.config import ModelConfig, OptimizerConfig

CSV = Path(__file__).parents[1] / "docs" / "figures" / "int8.csv"
COLUMNS = ("network", "data", "images", "accuracy", "accuracy_int8", "agreement")
EPOCHS = 12
ENOUGH = 0.97


class Enough(keras.callbacks.Callback):
    """Ends training with the epoch that is good enough."""

    def on_epoch_end(self, _epoch: int, logs: dict[str, float]) -> None:
        """Asks for the end by Keras's flag."""
        self.model.stop_training = logs["val_predictions_accuracy"] >= ENOUGH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=ki.list_models())
    for name in parser.parse_args().networks:
        with tempfile.TemporaryDirectory() as folder:
            row = agreement(name, Path(folder))
        rows = [old for old in csv.DictReader(CSV.open()) if old["network"] != name] if CSV.exists() else []
        rows = sorted([*rows, row], key=lambda one: ki.list_models().index(one["network"]))
        with CSV.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(*row.values(), flush=True)


def agreement(name: str, folder: Path) -> dict[str, str]:
    """Trains a network and holds its int8 file against it."""
    recipe = load_recipe("digits")
    size = max(32, ki.get_entry(name).min_size)
    model = ModelConfig(name=name, aux_heads=False, image_size=size, batch_norm_momentum=0.9)
    pipeline = replace(recipe.pipeline, batch_size=16)
    optimizer = OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-2)
    config = replace(recipe, recipe="", epochs=EPOCHS, model=model, pipeline=pipeline, optimizer=optimizer)
    run = train(config, folder / "run", callbacks=[Enough()])
    network = run.model()
    images, labels = (np.concatenate(parts) for parts in zip(*run.batches("test"), strict=True))
    calibration = np.concatenate([batch for batch, _ in run.batches("train", count=128)])
    export = kt.export(network, folder / "export", modes="int8", saved_model=False, calibration=calibration)
    floats = np.asarray(network.predict(images, verbose=0)).argmax(1)
    int8 = LiteRTModel(export.files["int8"])(images).argmax(1)
    shares = [np.mean(floats == labels), np.mean(int8 == labels), np.mean(floats == int8)]
    said = f"digits, {size} pixels"
    return dict(zip(COLUMNS, [name, said, str(len(images)), *(f"{share:.2%}"[:-1] for share in shares)], strict=True))


if __name__ == "__main__":
    main()
