"""Exports: .tflite files by themselves, and the folder."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mutations.weights import CLASSES


@cache
def _deployable() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    logits = keras.layers.Dense(5, name="predictions_logits")(keras.layers.Flatten()(x))
    return keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(logits), name="small")


def _images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), np.uint8)


def _export(folder: Path, *modes: str) -> Any:
    import keras_inception.tflite as kt

    return kt.export(
        _deployable(), folder / "export", class_names=CLASSES, modes=modes, saved_model=False, calibration=_images(),
        rounding="nearest",
    )  # fmt: skip


def make_export(folder: Path) -> None:
    _export(folder, "float32")


def make_tflite(folder: Path) -> None:
    for path in _export(folder, "float32", "int8").files.values():
        path.replace(folder / path.name)
    shutil.rmtree(folder / "export")


def read_tflite(folder: Path) -> Any:
    from keras_inception.tflite.files.metadata import labels_of
    from keras_inception.tflite.running.litert import LiteRTModel

    read = []
    for path in sorted(folder.glob("*.tflite")):
        model = LiteRTModel(path, threads=1)
        answers = model(_images())
        assert answers.shape == (3, model.classes) and answers.dtype == np.float32, answers
        read.append([model.input_shape, answers.tobytes(), labels_of(path)])
    return read


def read_export(folder: Path) -> Any:
    from keras_inception.tflite import Predictor

    predictor = Predictor(folder / "export")
    return [predictor.class_names, predictor.image_shape, predictor.probabilities(_images()).tobytes()]
