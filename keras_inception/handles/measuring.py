"""How good a model is on labelled images, whatever it was read from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_inception.handles.images import open_labelled
from keras_inception.handles.opened import OpenedModel

if TYPE_CHECKING:
    from keras_inception.training import Evaluation


@dataclass(frozen=True)
class Measured:
    """What was measured of a model.

    Attributes:
        model: The model.
        evaluation: Its figures.
        images_per_second: How many images it answers in a second, reading and preparing them not counted.
        published: Top-1 and top-5 accuracy on ImageNet in percent, as its weights' publisher gives them; None where
            none is known.
    """

    model: OpenedModel
    evaluation: Evaluation
    images_per_second: float
    published: tuple[float | None, float | None]

    def row(self) -> dict[str, Any]:
        """The figures by column, in percent where they are shares."""
        found, fitting = self.evaluation, self.model.fitting
        return {
            "model": self.model.handle,
            "kind": self.model.kind,
            "data": found.data,
            "images": found.images,
            "top1": round(found.accuracy * 100, 3),
            "top5": None if found.top5 is None else round(found.top5 * 100, 3),
            "cross_entropy": round(found.loss, 5),
            "calibration_error": round(found.calibration.error * 100, 3),
            "images_per_second": round(self.images_per_second, 2),
            "published_top1": self.published[0],
            "published_top5": self.published[1],
            "crops": found.crops,
            "image_size": self.model.image_shape[0],
            "central_crop": fitting.central_crop,
            "interpolation": fitting.interpolation,
        }


def measure(
    model: OpenedModel,
    data: str,
    *,
    ground_truth: str | None = None,
    crops: int = 1,
    advance: Callable[[int, int], Any] = lambda _, __: None,
) -> Measured:
    """Measures a model on labelled images.

    Args:
        model: The model.
        data: Where they come from, in the words of a configuration's `data`, such as `folder:PATH`: a folder a class,
            by its name or, of ImageNet's classes, by its WordNet id; or a flat folder whose files' names begin with
            that.
        ground_truth: Of a flat folder, a text file with `IMAGE CLASS` in each line, or a class in each line for the
            images in the order of their names; a class is a name, a WordNet id or, beside an image, an index from 0.
        crops: Views of each image whose answers are averaged: 1, 2, 6, 10, 12 or 144.
        advance: Called with the number of images that were just done, and of all.

    Raises:
        FileNotFoundError: There is no such data.
        ValueError: Its classes are not those of the model, or the model takes pictures that are not square.
    """
    from keras_inception.training.data.sources import held_out
    from keras_inception.training.evaluation.evaluate import answers_of
    from keras_inception.training.evaluation.result import summarise, summarise_labels
    from keras_inception.training.pipeline.crops import check_crops

    check_crops(crops)
    parts, config = open_labelled(model, data, ground_truth)
    images = held_out(parts)
    names = list(model.class_names)
    spent: list[tuple[int, float]] = []

    def call(pixels: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        answers = model(pixels.astype(np.uint8))
        spent.append((len(pixels), time.perf_counter() - began))
        return _probabilities(answers, model)

    probabilities = answers_of(call, images, config, crops, lambda count: advance(count, len(images.labels)))
    shown = probabilities, images.labels, list(images.names), names, data
    if images.labels.ndim == 2:
        thresholds = np.full(len(names), 0.5) if model.thresholds is None else np.array(model.thresholds)
        evaluation = summarise_labels(*shown, thresholds)
    else:
        evaluation = summarise(*shown)
    # The first call compiles; where there is no other, it is all that is known.
    timed = spent[1:] or spent
    speed = sum(count for count, _ in timed) / max(sum(seconds for _, seconds in timed), 1e-9)
    return Measured(model, replace(evaluation, crops=crops), speed, _published(model))


def _probabilities(answers: np.ndarray, model: OpenedModel) -> np.ndarray:
    """What a model answers as probabilities: of an export that answers logits, their softmax."""
    if model.export is None or model.export.manifest["output"]["kind"] != "logits":
        return answers
    powers = np.exp(answers - answers.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _published(model: OpenedModel) -> tuple[float | None, float | None]:
    known = model.weight_set
    return (None, None) if known is None else (known.top1, known.top5)
