"""Evaluation of a trained network: loss, accuracy, what is confused with what, and which images are missed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_inception.training.images import AnyImages
from keras_inception.training.pipeline import evaluation_batches
from keras_inception.training.run import EVALUATION, Run, predictions_of
from keras_inception.training.sources import open_labelled


@dataclass(frozen=True)
class Miss:
    """A misclassified image."""

    index: int
    """Its place in the evaluated split."""
    name: str
    """Its path, or its number in the data set."""
    label: str
    """What it shows."""
    predicted: str
    """What the network takes it for."""
    confidence: float
    """The probability that the network gives its mistake."""


@dataclass(frozen=True)
class Evaluation:
    """How well a network does on a set of images."""

    data: str
    """What was evaluated: the name of a split, or a data specification."""
    images: int
    loss: float
    """Mean cross-entropy, without label smoothing."""
    accuracy: float
    top5: float | None
    """Share of images whose class is among the five likeliest; None with five classes or fewer."""
    per_class: dict[str, float | None]
    """Accuracy of each class; None where the data has no image of it."""
    confusion: list[list[int]]
    """Images by true class (row) and predicted class (column)."""
    misclassified: list[Miss]
    """Every miss, the most confident first."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Evaluation":
        """Reads what `to_dict` returned."""
        return cls(**{**values, "misclassified": [Miss(**miss) for miss in values["misclassified"]]})


def evaluate(run: Run, *, split: str = "test", data: str | None = None) -> Evaluation:
    """Evaluates a run's best checkpoint, un-augmented, and writes the result into the run folder.

    The run's own test set goes to evaluation.json, another split to evaluation-SPLIT.json, other data to
    evaluation-data.json.

    Args:
        run: the run.
        split: train, validation or test.
        data: other data to evaluate on, in the words of `TrainConfig.data`; its classes must be among the run's.

    Raises:
        FileNotFoundError: where there is no checkpoint or no such data.
        ValueError: where classes, checkpoint and data disagree.
    """
    model = run.model()
    if data is None:
        images = run.splits[split]
    else:
        images, _ = open_labelled(data, run.config, run.class_names)
    evaluation = evaluate_model(model, images, run, data or split)
    part = "data" if data is not None else split
    run.write_json(EVALUATION if part == "test" else f"evaluation-{part}.json", evaluation.to_dict())
    return evaluation


def evaluate_model(model: keras.Model, images: AnyImages, run: Run, data: str) -> Evaluation:
    """Evaluates a model in memory on images; writes nothing."""
    batches = evaluation_batches(images, run.config).map(lambda pixels, _: pixels)
    probabilities = np.asarray(predictions_of(model.predict(batches, verbose=0)), np.float64)
    return summarise(probabilities, images.labels, images.names, run.class_names, data)


def summarise(
    probabilities: np.ndarray, labels: np.ndarray, names: list[str], class_names: list[str], data: str
) -> Evaluation:
    """Turns probabilities [n, classes] and labels [n] into an evaluation."""
    count, classes = probabilities.shape
    everything = np.arange(count)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    totals = confusion.sum(axis=1)
    per_class = {name: float(confusion[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(class_names)}
    top5 = None
    if classes > 5:
        likeliest = np.argpartition(probabilities, -5, axis=1)[:, -5:]
        top5 = float((likeliest == labels[:, None]).any(axis=1).mean())
    misses = [
        Miss(int(i), names[i], class_names[labels[i]], class_names[predicted[i]], float(probabilities[i, predicted[i]]))
        for i in np.flatnonzero(predicted != labels)
    ]
    return Evaluation(
        data=data,
        images=count,
        loss=float(-np.log(np.maximum(probabilities[everything, labels], 1e-12)).mean()),
        accuracy=float((predicted == labels).mean()),
        top5=top5,
        per_class=per_class,
        confusion=confusion.tolist(),
        misclassified=sorted(misses, key=lambda miss: -miss.confidence),
    )
