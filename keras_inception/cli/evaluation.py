"""The sub-commands that look at pictures with a model: evaluate and predict."""

import csv
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tyro.conf import FlagCreatePairsOff, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import (
    UNSAID,
    Files,
    Handle,
    Json,
    ModelOptions,
    MoreHandles,
    Split,
    TheModel,
    by_default,
)
from keras_inception.cli.common import USAGE_ERROR, need_tensorflow
from keras_inception.cli.tables import print_json

if TYPE_CHECKING:
    from keras_inception.handles.measuring import Measured


def evaluate(
    model: Handle,
    more: MoreHandles = (),
    /,
    said: TheModel = UNSAID,
    split: Split = "test",
    data: Annotated[str | None, by_default("the run's own", "DATA")] = None,
    ground_truth: Annotated[str | None, by_default("folders or names tell", "FILE")] = None,
    crops: Literal[1, 2, 6, 10, 12, 144] = 1,
    without: Annotated[tuple[str, ...], by_default("none", "[CLASS|IMAGE|FILE ...]")] = (),
    csv: Annotated[Path | None, by_default("none", "FILE")] = None,
    overwrite: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> None:
    """Measure a model on labelled images: a run on its own, or any model on --data; or several models.

    Runs beside one another are averaged, as the papers' ensembles are; other models, and all with --csv, are measured
    each by itself.

    Args:
        model: A run folder, the name of a network, a .keras, .tflite or .onnx file, or the folder of an export.
        more: Further ones.
        said: What the models do not say themselves.
        split: Which of the run's images.
        data: Labelled images, such as folder:PATH, of folders named by class or WordNet id; or a flat folder.
        ground_truth: Of a flat folder, a text file with IMAGE CLASS, or in the images' order CLASS, in each line.
        crops: Views of each image whose probabilities are averaged, as the papers define them.
        without: Of runs: leave out classes, images by name, or all that the lines of a text file name; also prints the
            figures with them.
        csv: Write a row a model to this file.
        overwrite: Replace an older file.
        json: Print JSON instead of tables.
    """
    need_tensorflow()
    from keras_inception.handles.hub import is_of_hub
    from keras_inception.handles.opening import kind_of

    handles = [model, *more]
    if csv is None and all(kind_of(handle) == "run" and not is_of_hub(handle) for handle in handles):
        if ground_truth is not None:
            raise ValueError("--ground-truth is for other models than runs, or with --csv. Received: it beside runs")
        _check_plain(handles, said)
        _evaluate_runs([Path(handle) for handle in handles], split, data, crops, without, json)
        return
    if data is None:
        raise ValueError(f"--data names the images to measure on, such as folder:PATH. Received: {model} without it")
    if without:
        raise ValueError(f"--without is for runs, without --csv. Received: it beside {model}")
    if csv is not None and csv.exists() and not overwrite:
        raise ValueError(f"--csv names a new file, or an old one with --overwrite. Received: {csv}")
    measured = list(_measured(handles, said, data, ground_truth, crops, csv))
    if json:
        print_json([one.row() for one in measured])
    elif len(measured) == 1 and csv is None:
        tables.show_evaluation(measured[0].evaluation)
    else:
        tables.show_measured([one.row() for one in measured])


def _check_plain(handles: Sequence[str], said: ModelOptions) -> None:
    """Raises where something was said that no run lacks."""
    from keras_inception.handles.opening import open_models

    open_models(handles, **dataclasses.asdict(said))


def _evaluate_runs(
    folders: Sequence[Path], split: str, data: str | None, crops: int, without: tuple[str, ...], json: bool
) -> None:
    from keras_inception import training

    runs = [training.Run.open(folder) for folder in folders]
    result = training.evaluate(runs, split=split, data=data, crops=crops, without=without)
    if json:
        print_json(dataclasses.asdict(result))
    else:
        tables.show_evaluation(result)


def _measured(
    handles: Sequence[str],
    said: ModelOptions,
    data: str,
    ground_truth: str | None,
    crops: int,
    file: Path | None,
) -> Iterator["Measured"]:
    """Each model's figures; after each, the file has what is known so far."""
    from keras_inception.handles.measuring import measure
    from keras_inception.handles.opening import open_models
    from keras_inception.training.files import write_atomically

    rows: list[dict[str, Any]] = []

    def write(place: Path) -> None:
        with place.open("w", encoding="utf-8", newline="") as out:
            table = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    for model in open_models(handles, **dataclasses.asdict(said)):
        with progress(f"evaluating {model.handle}") as advance:
            done = 0

            def count(more: int, total: int, advance: Callable[[int, int], Any] = advance) -> None:
                nonlocal done
                done += more
                advance(done, total)

            found = measure(model, data, ground_truth=ground_truth, crops=crops, advance=count)
        rows.append(found.row())
        if file is not None:
            write_atomically(file, write)
        yield found


def predict(
    model: Handle,
    images: Files = (),
    /,
    said: TheModel = UNSAID,
    top: int = 5,
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE", help_behavior_hint="(default: none)")] = None,
    overwrite: FlagCreatePairsOff[bool] = False,
    json: Json = False,
) -> int:
    """Name what is in pictures, by any model: a trained run, a network with released weights, a file.

    Args:
        model: A run folder, the name of a network, a .keras, .tflite or .onnx file, or the folder of an export.
        images: Pictures, and folders of them.
        said: What the model does not say itself.
        top: How many classes to name; of several labels a picture, how many of those above their thresholds.
        output: Write a line a picture to this file, CSV or JSON Lines by its suffix; broken off, the same command goes
            on. Exits with 1 where some picture cannot be read.
        overwrite: Replace an older file.
        json: Print JSON instead of a table.
    """
    from keras_inception.handles import open_model
    from keras_inception.handles.opening import kind_of
    from keras_inception.handles.predicting import pictures_in, predict_files, write_predictions

    if not images:
        print(f"keras-inception: predict takes a model and pictures. Received: {model} alone", file=sys.stderr)
        return USAGE_ERROR
    if top < 1:
        raise ValueError(f"--top must be at least 1. Received: {top}")
    if kind_of(model) != "network":
        need_tensorflow()
    files = pictures_in(images)
    opened = open_model(model, **dataclasses.asdict(said))
    top = min(top, len(opened.class_names))
    if output is None:
        rows = [named.row() for named in predict_files(opened, files, top=top)]
        if json:
            print_json(rows)
        else:
            tables.show_predictions(rows)
        return 0
    if json:
        raise ValueError(f"--json prints, and --output writes JSON Lines to FILE.jsonl. Received: both, with {output}")
    with progress("predicting") as advance:
        bad = write_predictions(opened, files, output, top=top, overwrite=overwrite, advance=advance)
    tables.show_lines(
        ("pictures", f"{len(files):,}"), *([("unreadable", f"{bad:,}")] if bad else []), ("predictions", output)
    )
    return 1 if bad else 0


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], Any]]:
    """A bar on stderr with the time left, shown on terminals only; what it gives takes done and total."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
