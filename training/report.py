"""report.html: a run on one page, readable offline, made from what lies in the run folder."""

import json
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from keras_inception.training import figures
from keras_inception.training.callbacks import read_history
from keras_inception.training.evaluation import Evaluation
from keras_inception.training.files import write_text
from keras_inception.training.images import AnyImages
from keras_inception.training.objective import MAIN_HEAD
from keras_inception.training.pipeline import evaluation_batches
from keras_inception.training.run import DATA, ENVIRONMENT, EVALUATION, HISTORY, METRICS, QUARANTINE, REPORT, Run

MISSES_SHOWN = 48
CONFUSED_SHOWN = 8


def write_report(run: Run) -> None:
    """Writes the report of a run that has been trained and evaluated on its test images."""
    evaluation = Evaluation.from_dict(run.read_json(EVALUATION))
    matrix = np.array(evaluation.confusion)
    quarantine = run.folder / QUARANTINE
    environment = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("report.html.jinja").render(
        title=run.folder.name.removeprefix(".").removesuffix(".partial"),
        config=run.config,
        settings=_settings(json.loads(run.config.to_json())),
        environment=run.read_json(ENVIRONMENT),
        metrics=run.read_json(METRICS),
        data=run.read_json(DATA),
        evaluation=evaluation,
        per_class=_per_class(evaluation, matrix, run.class_names),
        confused=_most_confused(matrix, run.class_names),
        plots=_plots(read_history(run.folder / HISTORY)),
        confusion=figures.confusion(matrix, run.class_names) if len(run.class_names) <= 200 else None,
        misses=_misses(run.splits.test, run, evaluation),
        quarantined=[line.split("\t") for line in quarantine.read_text().splitlines()] if quarantine.is_file() else [],
    )
    write_text(run.folder / REPORT, page)


def _settings(tree: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Flattens a configuration to rows of (dotted name, value)."""
    rows = []
    for name, value in tree.items():
        if isinstance(value, dict):
            rows += _settings(value, f"{path}{name}.")
        else:
            rows.append((path + name, "none" if value is None else str(value)))
    return rows


def _plots(history: list[dict[str, float]]) -> list[str]:
    def column(name: str) -> list[float]:
        return [row[name] for row in history]

    present = history[0]
    heads = [name.removesuffix("_accuracy") for name in present if name.endswith("_accuracy")]
    heads = [MAIN_HEAD, *sorted(head for head in heads if not head.startswith("val_") and head != MAIN_HEAD)]
    losses: list[figures.Curve] = []
    accuracies: list[figures.Curve] = []
    for head, colour in zip(heads, figures.COLOURS, strict=False):
        loss = f"{head}_loss" if f"{head}_loss" in present else "loss"
        for prefix, word in (("", "train"), ("val_", "validation")):
            losses.append((f"{head}, {word}", column(prefix + loss), colour, not prefix))
            accuracies.append((f"{head}, {word}", column(f"{prefix}{head}_accuracy"), colour, not prefix))
    return [
        figures.curves("Loss", losses),
        figures.curves("Accuracy", accuracies, percent=True),
        figures.curves("Learning rate", [("", column("learning_rate"), figures.COLOURS[0], False)]),
        figures.curves("Images a second, in training", [("", column("images_per_second"), figures.COLOURS[2], False)]),
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


def _most_confused(matrix: np.ndarray, class_names: list[str]) -> list[tuple[str, str, int]]:
    errors = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(errors, axis=None)[::-1][:CONFUSED_SHOWN]
    pairs = [np.unravel_index(i, errors.shape) for i in order]
    return [(class_names[t], class_names[p], int(errors[t, p])) for t, p in pairs if errors[t, p]]


def _misses(images: AnyImages, run: Run, evaluation: Evaluation) -> list[dict[str, Any]]:
    """The most confident misses with their pictures, as the network saw them."""
    shown = sorted(evaluation.misclassified[:MISSES_SHOWN], key=lambda miss: miss.index)
    if not shown:
        return []
    batches = evaluation_batches(images.subset(np.array([miss.index for miss in shown])), run.config)
    pixels = np.concatenate([batch for batch, _ in batches.as_numpy_iterator()])
    sheet = [{"miss": miss, "image": figures.png_uri(image)} for miss, image in zip(shown, pixels, strict=True)]
    return sorted(sheet, key=lambda entry: -entry["miss"].confidence)
