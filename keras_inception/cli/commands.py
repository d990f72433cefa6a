"""The sub-commands of `keras-inception`: typed functions, from which tyro makes the command line.

A function here turns arguments into calls of the rooms and results into tables. The rooms are imported inside the
functions that use them, so that help costs no import of TensorFlow.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff
from tyro.extras import SubcommandApp

import keras_inception as ki
from keras_inception.cli import data, deployment, networks, photos, tables
from keras_inception.cli.arguments import (
    Files,
    Json,
    MoreRuns,
    Options,
    RunFolder,
    RunOrImage,
    Split,
    by_default,
    registry,
)
from keras_inception.cli.common import DEFAULT_RECIPE, PROGRAM, need_tensorflow, parse, recipe_in
from keras_inception.cli.deployment import EXPORT
from keras_inception.cli.lr_find import lr_find_command
from keras_inception.cli.networks import PREDICTION_BATCH
from keras_inception.cli.tables import print_json
from keras_inception.cli.training import new_folder, train_command
from keras_inception.cli.tuning import tune_command
from keras_inception.photos.shipping import export_run
from keras_inception.training.recipes import load_recipe

USAGE_ERROR = 2


def command_line(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the sub-command that they name, and return its exit code.

    The parser of no other sub-command is made: `train` and `tune` have an option for every field of a recipe.
    """
    name = arguments[0] if arguments else ""
    if name == "--version":
        print(f"{PROGRAM} {ki.__version__}")
        return 0
    if name in FOR_A_RECIPE:
        return parse(FOR_A_RECIPE[name](recipe_in(arguments), arguments), arguments)
    plain = {function.__name__: function for function in SUB_COMMANDS}
    if name in plain:
        return parse(plain[name], arguments)
    app = SubcommandApp()
    for name, make in FOR_A_RECIPE.items():
        app.command(name=name)(make(DEFAULT_RECIPE, ()))
    for function in SUB_COMMANDS:
        app.command(function)
    description = "The Inception family on Keras 3: train a network on your images, and prove its mobile form equal."
    code = app.cli(prog=PROGRAM, description=description, args=list(arguments), registry=registry())
    return code or 0


def evaluate(
    run: RunFolder,
    more: MoreRuns = (),
    /,
    split: Split = "test",
    data: Annotated[str | None, by_default("the run's own", "DATA")] = None,
    crops: Literal[1, 10, 12, 144] = 1,
    without: Annotated[tuple[str, ...], by_default("none", "[CLASS|IMAGE|FILE ...]")] = (),
    json: Json = False,
) -> None:
    """Measure a trained network on held-out images, or several networks together.

    Args:
        run: Run folder, as train leaves it.
        more: Further run folders: the probabilities of all are averaged.
        split: Which of the run's images.
        data: Other labelled images, such as folder:PATH.
        crops: Views of each image whose probabilities are averaged, as the papers define them.
        without: Leave out classes, images by name, or all that the lines of a text file name; also prints the figures
            with them.
        json: Print JSON instead of tables.
    """
    need_tensorflow()
    from keras_inception import training

    runs = [training.Run.open(folder) for folder in (run, *more)]
    result = training.evaluate(runs, split=split, data=data, crops=crops, without=without)
    if json:
        print_json(dataclasses.asdict(result))
    else:
        tables.show_evaluation(result)


def predict(
    first: RunOrImage,
    images: Files = (),
    /,
    model: Annotated[str | None, by_default("the run's", "NAME")] = None,
    weights: Annotated[str | None, by_default("imagenet", "TAG|FILE")] = None,
    options: Annotated[Options | None, by_default("none", "KEY=VALUE ...")] = None,
    accept_license: FlagCreatePairsOff[bool] = False,
    top: int = 5,
    json: Json = False,
) -> int:
    """Name what is in images: by a trained run, or by a network with released weights and their preprocessing.

    Args:
        first: Run folder, as train leaves it; the first image where --model or --weights names a network.
        images: Image files.
        model: Network, such as inception_v3.
        weights: Weight set, as `keras-inception weights` lists them, or a weights file.
        options: Further keywords of the network's builder, such as alpha=0.5; for files that do not tell.
        accept_license: Accept a licence that forbids commercial use.
        top: How many classes to name; of several labels an image, how many of those above their thresholds.
        json: Print JSON instead of a table.
    """
    if top < 1:
        raise ValueError(f"--top must be at least 1. Received: {top}")
    if model is None and weights is None:
        if not images:
            print(f"keras-inception: predict needs a run folder and an image. Received: {first} alone", file=sys.stderr)
            return USAGE_ERROR
        need_tensorflow()
        rows = _predict_with_run(first, images, top)
    else:
        from keras_inception.cli.networks import predict_with_weights

        rows = predict_with_weights([first, *images], model, weights, options or {}, accept_license, top)
    if json:
        print_json(rows)
    else:
        tables.show_predictions(rows)
    return 0


def _predict_with_run(folder: Path, files: Sequence[Path], top: int) -> list[dict[str, Any]]:
    import numpy as np

    from keras_inception import training
    from keras_inception.tflite import deploy

    run = training.Run.open(folder)
    pixels, network = np.stack([run.read_image(file) for file in files]), deploy(run.model())
    batches = [pixels[start : start + PREDICTION_BATCH] for start in range(0, len(pixels), PREDICTION_BATCH)]
    probabilities = np.concatenate([network(batch) for batch in batches])
    if run.thresholds is None:
        named = ki.decode_predictions(probabilities, min(top, len(run.class_names)), run.class_names)
    else:  # of several labels all that are found, and no other
        least = dict(zip(run.class_names, run.thresholds, strict=True))
        every = ki.decode_predictions(probabilities, len(run.class_names), run.class_names)
        named = [[p for p in of_image if p.probability > least[p.class_name]][:top] for of_image in every]
    return tables.prediction_rows(files, named)


def quickstart(output: Annotated[Path | None, by_default("a new one under runs/", "FOLDER")] = None) -> int:
    """Train GoogLeNet on 1,437 real digits, evaluate it on 360 others, export it and prove the exports equal.

    Args:
        output: Folder for the run.
    """
    need_tensorflow()
    from keras_inception import tflite, training

    began = time.monotonic()
    tables.show_heading("Train")
    run = training.train(load_recipe(DEFAULT_RECIPE), output or new_folder("quickstart"))
    tables.show_heading("Evaluate")
    evaluation = training.evaluate(run)
    tables.show_evaluation(evaluation)
    tables.show_heading("Export")
    exported = export_run(run, run.folder / EXPORT)
    tables.show_files(exported.folder, exported.manifest["files"])
    tables.show_heading("Verify")
    proof = tflite.verify(run.model(), exported.folder, run.batches("test"))
    tables.show_proof(proof)
    tables.show_lines(
        ("took", f"{time.monotonic() - began:.0f} s"),
        ("report", run.folder / "report.html"),
        ("exports", exported.folder),
        ("next", "keras-inception fit PHOTOS"),
    )
    return 0 if proof.passed else 1


SUB_COMMANDS: tuple[Callable[..., int | None], ...] = (
    networks.models, networks.summary, networks.plot, networks.weights, networks.convert, data.scan, data.pack,
    photos.fit, evaluate, predict, deployment.export, deployment.verify, deployment.benchmark, quickstart,
)  # fmt: skip
FOR_A_RECIPE: dict[str, Callable[[str, Sequence[str]], Callable[..., int]]] = {
    "train": train_command,
    "tune": tune_command,
    "lr-find": lr_find_command,
}
