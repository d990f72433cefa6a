"""report.html: a run on one page, readable offline, made from what lies in the run folder."""

import dataclasses
import json
from typing import Any

import keras
import numpy as np

from ..config import MAIN_HEAD
from ..data.images import AnyImages, StreamImages
from ..evaluation.labels import ClassFigures
from ..evaluation.result import Evaluation
from ..files import write_text
from ..pipeline.preparing import evaluation_batches
from ..pipeline.training import training_batches
from ..runs.history import read_history
from ..runs.run import DATA, ENVIRONMENT, EVALUATION, HISTORY, METRICS, REPORT, Run
from . import figures
from .gradcam import GradCam
from .page import COLOURS, as_text, render, settings_rows

MISSES_SHOWN = 48
CONFUSED_SHOWN = 8
EXAMPLES_SHOWN = 24
EXPLAINED = 6
"""Hits, and as many misses, that Grad-CAM explains."""


@as_text()
def write_report(run: Run, network: keras.Model) -> None:
    """Writes the report of a run that has been trained and evaluated on its test images; `network` is its best."""
    evaluation = Evaluation.from_dict(run.read_json(EVALUATION))
    matrix, several = np.array(evaluation.confusion), evaluation.labels is not None
    page = render(
        "report.html.jinja",
        title=run.folder.name.removeprefix(".").removesuffix(".partial"),
        config=run.config,
        settings=settings_rows(json.loads(run.config.to_json())),
        environment=run.read_json(ENVIRONMENT),
        metrics=run.read_json(METRICS),
        data=run.read_json(DATA),
        evaluation=evaluation,
        labels=sorted(evaluation.labels.by_class.items(), key=_weakest_first) if evaluation.labels else [],
        per_class=[] if several else _per_class(evaluation, matrix, run.class_names),
        confused=[] if several else _most_confused(matrix, run.class_names),
        plots=_plots(read_history(run.folder / HISTORY)),
        confusion=figures.confusion(matrix, run.class_names) if 0 < len(matrix) <= 200 else None,
        temperature=run.temperature,
        reliability=figures.reliability(evaluation.calibration, of_labels=several),
        examples=_examples(run),
        explained={"hits": [], "misses": []} if several else _explained(run, network, run.splits.test, evaluation),
        misses=_misses(run.splits.test, run, evaluation),
        quarantined=run.left_out,
    )
    write_text(run.folder / REPORT, page)


def _plots(history: list[dict[str, float]]) -> list[str]:
    def column(name: str) -> list[float]:
        return [row[name] for row in history]

    present = history[0]
    auxiliary = sorted(
        name.removesuffix("_accuracy")
        for name in present
        if name.endswith("_accuracy") and not name.startswith(("val_", MAIN_HEAD))
    )
    colours = dict(zip([MAIN_HEAD, *auxiliary], COLOURS, strict=False))
    kinds = (("", "train"), ("val_", "validation"))
    losses: list[figures.Curve] = []
    for head in (MAIN_HEAD, *auxiliary):
        loss = f"{head}_loss" if f"{head}_loss" in present else "loss"
        losses += [(f"{head}, {word}", column(prefix + loss), colours[head], not prefix) for prefix, word in kinds]

    def accuracies(head: str) -> list[figures.Curve]:
        return [
            (f"{head}, {word}", column(f"{prefix}{head}_accuracy"), colours[head], not prefix) for prefix, word in kinds
        ]

    plots = [
        figures.curves("Loss", losses),
        figures.curves("Accuracy", accuracies(MAIN_HEAD), percents=True),
    ]
    if (precision := f"{MAIN_HEAD}_mean_average_precision") in present:
        lines = [(word, column(prefix + precision), COLOURS[0], not prefix) for prefix, word in kinds]
        plots.append(figures.curves("Mean average precision", lines, percents=True))
    if auxiliary:
        lines = [curve for head in auxiliary for curve in accuracies(head)]
        plots.append(figures.curves("Accuracy of the auxiliary heads", lines, percents=True))
    return [
        *plots,
        *(
            figures.curves(title, [("", column(name), colour, False)], from_zero=True)
            for title, name, colour in (
                ("Learning rate", "learning_rate", COLOURS[0]),
                ("Images a second, in training", "images_per_second", COLOURS[2]),
            )
        ),
    ]


def _per_class(evaluation: Evaluation, matrix: np.ndarray, class_names: list[str]) -> list[dict[str, Any]]:
    """Rows of the class table, the weakest class first."""
    rows = []
    for i, name in enumerate(class_names):
        predicted = int(matrix[:, i].sum())
        precision = matrix[i, i] / predicted if predicted else None
        rows.append(
            {"name": name, "images": int(matrix[i].sum()), "recall": evaluation.per_class[name], "precision": precision}
        )
    return sorted(rows, key=lambda row: (row["recall"] is None, row["recall"]))


def _weakest_first(row: tuple[str, ClassFigures]) -> tuple[bool, float]:
    precision = row[1].average_precision
    return precision is None, precision or 0.0


def _most_confused(matrix: np.ndarray, class_names: list[str]) -> list[tuple[str, str, int]]:
    errors = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(errors, axis=None)[::-1][:CONFUSED_SHOWN]
    pairs = [np.unravel_index(i, errors.shape) for i in order]
    return [(class_names[t], class_names[p], int(errors[t, p])) for t, p in pairs if errors[t, p]]


def _examples(run: Run) -> list[dict[str, str]]:
    """Training images as the network sees them: cropped, distorted, mixed."""
    images, config = run.splits.train, run.config
    count = min(EXAMPLES_SHOWN, len(images.labels))
    chosen = np.arange(count)  # of a stream the first ones: the others would have to be read
    if not isinstance(images, StreamImages):
        chosen = np.sort(np.random.default_rng(config.seed).choice(len(images.labels), count, replace=False))
    config = dataclasses.replace(config, pipeline=dataclasses.replace(config.pipeline, batch_size=count, service=""))
    batch = next(iter(training_batches(images.subset(chosen), config, len(run.class_names)).take(1)))
    sheet = []
    for pixels, target in zip(batch[0].numpy(), batch[1].numpy(), strict=True):
        sheet.append({"image": figures.image_uri(pixels), "label": _told(target, run.class_names)})
    return sheet


def _told(target: np.ndarray, class_names: list[str]) -> str:
    """The classes of a target, the largest first; with their shares where images were mixed."""
    there = [i for i in np.argsort(-target, kind="stable") if target[i] > 0]
    if all(target[i] == 1 for i in there):
        return ", ".join(class_names[i] for i in there) or "no label"
    return ", ".join(f"{class_names[i]} {target[i]:.0%}" for i in there)


def _explained(
    run: Run, network: keras.Model, images: AnyImages, evaluation: Evaluation
) -> dict[str, list[dict[str, Any]]]:
    """Grad-CAM over some hits, chosen by chance, and over the most confident misses."""
    if keras.backend.backend() not in ("tensorflow", "jax"):
        return {"hits": [], "misses": []}
    names = run.class_names
    missed = {miss.index: miss for miss in evaluation.misclassified}
    hits = np.setdiff1d(np.arange(len(images.labels)), list(missed))
    hits = np.random.default_rng(run.config.seed).permutation(hits)[:EXPLAINED]
    chosen = np.sort(np.concatenate([hits, list(missed)[:EXPLAINED]])).astype(np.int64)
    shown = images.subset(chosen)
    pixels = _pixels(shown, run)
    cam = GradCam(network)
    features = cam.features(pixels)
    probabilities = cam.probabilities(features)
    predicted = probabilities.argmax(axis=1)
    for_predicted, for_true = cam.maps(features, predicted), cam.maps(features, shown.labels)
    sheet: dict[str, list[dict[str, Any]]] = {"hits": [], "misses": []}
    for i, index in enumerate(chosen):
        entry = {
            "image": figures.image_uri(pixels[i]),
            "name": shown.names[i],
            "label": names[shown.labels[i]],
            "predicted": names[predicted[i]],
            "confidence": float(probabilities[i, predicted[i]]),
            "for_predicted": figures.image_uri(figures.heat(pixels[i], for_predicted[i])),
            "for_true": figures.image_uri(figures.heat(pixels[i], for_true[i])),
        }
        sheet["misses" if index in missed else "hits"].append(entry)
    sheet["misses"].sort(key=lambda entry: -entry["confidence"])
    return sheet


def _misses(images: AnyImages, run: Run, evaluation: Evaluation) -> list[dict[str, Any]]:
    """The most confident misses with their pictures, as the network saw them."""
    shown = sorted(evaluation.misclassified[:MISSES_SHOWN], key=lambda miss: miss.index)
    if not shown:
        return []
    pixels = _pixels(images.subset(np.array([miss.index for miss in shown])), run)
    sheet = [{"miss": miss, "image": figures.image_uri(image)} for miss, image in zip(shown, pixels, strict=True)]
    return sorted(sheet, key=lambda entry: -entry["miss"].confidence)


def _pixels(images: AnyImages, run: Run) -> np.ndarray:
    batches = evaluation_batches(images, run.config).as_numpy_iterator()
    return np.concatenate([pixels for pixels, _ in batches])
