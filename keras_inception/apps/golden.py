"""golden/: pictures, what the network sees of them, and what the right app answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.apps.kit import Kit
from keras_inception.tflite import Predictor

FOLDER, EXPECTED = "golden", "expected.json"
PICTURES = 16
LARGEST = 1024
"""Pixels of a golden picture's longer side at most: a kit is to stay small."""

# Largest difference of a probability, by mode: on CPU kernels, and on a GPU, which computes in half precision. Kernels
# of integers differ by steps of their rounding, and a pixel may differ by one level where a resize ends on a half.
_PROBABILITY = {
    "float32": {"cpu": 0.005, "gpu": 0.03},
    "float16": {"cpu": 0.005, "gpu": 0.03},
    "dynamic": {"cpu": 0.03, "gpu": 0.05},
    "int8": {"cpu": 0.03, "gpu": 0.06},
    "int16x8": {"cpu": 0.02, "gpu": 0.05},
}
_UNFAMILIAR_TIMES = 5
"""As many times as far may `unfamiliar` be off, as a share of the value or, below 1, of 1: distances are squares."""
_LEVELS = 1  # of 255, that a prepared pixel may differ by


def tolerance(mode: str) -> dict[str, Any]:
    """How far an app's answers may be from the expected ones: by processor, and of prepared pixels."""
    by_processor = {
        name: {"probability": share, "unfamiliar": _UNFAMILIAR_TIMES * share}
        for name, share in _PROBABILITY[mode].items()
    }
    return {**by_processor, "pixel": _LEVELS}


def write_golden(kit: Kit, folder: Path, pictures: Iterable[np.ndarray]) -> dict[str, Any]:
    """Writes pictures as PNG files, and what `Predictor` makes of them on the kit's own file.

    Args:
        kit: The kit.
        folder: An empty folder.
        pictures: uint8 [height, width, channels] each, of any size.

    Returns:
        The content of expected.json. Of each picture its file, the file of what the network sees of it, its
        probabilities by class, and how unfamiliar it is, null where the network does not tell.
    """
    fitting = kit.fitting
    predict = Predictor(kit.file, interpolation=fitting.interpolation, central_crop=fitting.central_crop)
    rows = []
    for number, pixels in enumerate(pictures):
        picture, seen = folder / f"{number:02}.png", folder / f"{number:02}.seen.png"
        _write_png(picture, _shrunk(pixels))
        _write_png(seen, predict.prepare(picture))
        answer = predict(picture)
        rows.append(
            {
                "picture": picture.name,
                "seen": seen.name,
                "unfamiliar": answer.unfamiliar,
                "probabilities": [float(value) for value in answer.probabilities],
            }
        )
    expected = {"file": kit.description["file"], "tolerance": tolerance(kit.mode), "pictures": rows}
    (folder / EXPECTED).write_text(json.dumps(expected, indent=1) + "\n", "utf-8")
    return expected


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    """A picture whose longer side is `LARGEST` at most."""
    import tensorflow as tf

    share = LARGEST / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    size = [max(1, round(side * share)) for side in pixels.shape[:2]]
    shrunk = tf.image.resize(pixels, size, "bilinear", antialias=True)
    return tf.saturate_cast(tf.round(shrunk), tf.uint8).numpy()


def _write_png(path: Path, pixels: np.ndarray) -> None:
    import tensorflow as tf

    path.write_bytes(tf.io.encode_png(pixels).numpy())
