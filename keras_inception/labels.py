"""Class names: the 1,000 of ImageNet, which ship with the package, and the way from probabilities to names."""

from __future__ import annotations

import csv
import functools
import importlib.resources
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Prediction(NamedTuple):
    """One guess: `class_id` is the WordNet id for ImageNet's classes, else the index as text."""

    class_id: str
    class_name: str
    probability: float


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """WordNet id and short name of the 1,000 classes of ILSVRC2012, in the usual order."""
    text = importlib.resources.files("keras_inception").joinpath("imagenet_classes.csv").read_text("utf-8")
    return tuple((row["wnid"], row["name"]) for row in csv.DictReader(text.splitlines()))


def decode_predictions(
    probabilities: Any, top: int | None = None, class_names: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Names the most probable classes of each image.

    Args:
        probabilities: Array or tensor of shape `(images, classes)`.
        top: How many classes to name; None: five, or all where there are fewer.
        class_names: Names in the order of the model's classes; None: ImageNet's 1,000.

    Returns:
        For each image its `top` predictions, the most probable first.

    Raises:
        ValueError: The number of classes is not the number of names, or `top` is not between 1 and it.
    """
    if class_names is None:
        classes = imagenet_classes()
    else:
        classes = tuple((str(index), name) for index, name in enumerate(class_names))
    values = np.asarray(probabilities)
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise ValueError(
            f"probabilities must have the shape (images, {len(classes)}), one column a class name. "
            f"Received: {values.shape}."
        )
    top = min(5, len(classes)) if top is None else top
    if not 1 <= top <= len(classes):
        raise ValueError(f"top must be between 1 and the {len(classes)} classes. Received: top={top}.")
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(classes[index][0], classes[index][1], float(row[index])) for index in best]
        for row, best in zip(values, order, strict=True)
    ]
