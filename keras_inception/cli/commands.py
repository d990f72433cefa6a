"""The sub-commands of `keras-inception`: typed functions, from which tyro makes the command line.

A function here turns arguments into calls of the rooms and results into tables. The rooms are imported inside the
functions that use them, so that help costs no import of TensorFlow.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from tyro.extras import SubcommandApp

import keras_inception as ki
from keras_inception.cli import apps, data, deployment, evaluation, hub, networks, photos, tables
from keras_inception.cli.arguments import (
    by_default,
    registry,
)
from keras_inception.cli.common import DEFAULT_RECIPE, PROGRAM, need_tensorflow, parse, recipe_in
from keras_inception.cli.embed import embed
from keras_inception.cli.lr_find import lr_find_command
from keras_inception.cli.training import new_folder, train_command
from keras_inception.cli.tuning import tune_command
from keras_inception.cli.verification import EXPORT, verify
from keras_inception.photos.shipping import export_run
from keras_inception.training.recipes import load_recipe


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
    tables.show_evaluation(training.evaluate(run))
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
    photos.fit, evaluation.evaluate, evaluation.predict, embed, deployment.export, verify,
    deployment.benchmark, apps.app, hub.card, hub.push, quickstart,
)  # fmt: skip
FOR_A_RECIPE: dict[str, Callable[[str, Sequence[str]], Callable[..., int]]] = {
    "train": train_command,
    "tune": tune_command,
    "lr-find": lr_find_command,
}
