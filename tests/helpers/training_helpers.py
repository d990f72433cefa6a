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
