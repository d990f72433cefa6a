"""Small real inputs that the tests of training share."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from keras_inception.training import TrainConfig, load_recipe


def write_digits(folder: Path, classes: int = 3, each: int = 8, suffix: str = ".png") -> Path:
    """Writes real digits as image files, one sub-folder a class."""
    digits = load_digits()
    for label in range(classes):
        (folder / f"digit_{label}").mkdir(parents=True, exist_ok=True)
        for number, scan in enumerate(digits.images[digits.target == label][:each]):
            image = Image.fromarray(np.round(scan * (255 / 16)).astype(np.uint8)).resize((20, 16))
            image.convert("RGB").save(folder / f"digit_{label}" / f"{number:03}{suffix}")
    return folder


def tiny_config(data: str = "digits", **changes: object) -> TrainConfig:
    """The recipe digits, narrowed and cut short."""
    recipe = load_recipe("digits")
    model = dataclasses.replace(recipe.model, alpha=0.1, image_size=12)
    pipeline = dataclasses.replace(recipe.pipeline, batch_size=8)
    return dataclasses.replace(recipe, **{"data": data, "model": model, "pipeline": pipeline, "epochs": 1, **changes})


def with_pipeline(config: TrainConfig, **changes: object) -> TrainConfig:
    """The configuration with some fields of its pipeline changed."""
    return dataclasses.replace(config, pipeline=dataclasses.replace(config.pipeline, **changes))


def drawn(true_temperature: float, several: bool, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a network, and labels drawn from those that its logits give at another temperature."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(count, 6))
    if several:
        probabilities, right = (1 / (1 + np.exp(-logits / t)) for t in (1, true_temperature))
        return probabilities, (rng.random(right.shape) < right).astype(np.float32)
    probabilities, right = (np.exp(logits / t) for t in (1, true_temperature))
    right = (right / right.sum(1, keepdims=True)).cumsum(1)
    labels = (rng.random((count, 1)) > right).sum(1)
    return probabilities / probabilities.sum(1, keepdims=True), labels
