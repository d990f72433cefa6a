"""The sub-command train."""

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, arg

from keras_inception import get_entry
from keras_inception.cli import tables
from keras_inception.cli.arguments import by_default
from keras_inception.cli.common import command
from keras_inception.training.config import TrainConfig
from keras_inception.training.recipes import list_recipes, load_recipe

BACKENDS = ("tensorflow", "jax")

Trackers = tuple[Literal["mlflow", "wandb"], ...]


def train_command(recipe: str, arguments: Sequence[str]) -> Callable[..., int]:
    """Make the train command; the recipe's values are the defaults that its help shows.

    Args:
        recipe: Name of the recipe.
        arguments: The command line, which the workers are given again.
    """
    recipes, defaults = ", ".join(list_recipes()), dataclasses.replace(load_recipe(recipe), recipe=recipe)

    def train(
        config: Annotated[TrainConfig, arg(name="")] = defaults,
        *,
        output: Annotated[Path | None, by_default("a new folder under runs/", "FOLDER")] = None,
        overwrite: FlagCreatePairsOff[bool] = False,
        resume: Annotated[Path | None, by_default("begin anew", "RUN")] = None,
        log: Annotated[Trackers, by_default("none; with --resume, those so far", "mlflow|wandb ...")] = (),
        workers: int = 1,
    ) -> int:
        if workers < 1:
            raise ValueError(f"--workers must be at least 1. Received: {workers}")
        if resume is not None and (output is not None or overwrite or config != defaults):
            raise ValueError("A resumed run keeps its own configuration and folder. Received: --resume beside others")
        config = with_options(config, defaults, arguments)
        need_backend()
        if workers > 1:
            return _launch(workers, arguments, [] if resume or output else ["--output", str(new_folder(config.recipe))])
        from keras_inception import training

        if resume is not None:
            run = training.resume(resume, log=log or None)
        else:
            run = training.train(config, output or new_folder(config.recipe), overwrite=overwrite, log=log)
        if "TF_CONFIG" not in os.environ:
            tables.show_lines(("next", command("export", run.folder)))
        return 0

    train.__doc__ = f"""Train a network on images as a recipe says: {recipes}. Help shows the values of the one named.

    Args:
        config: The run.
        output: Folder for the run.
        overwrite: Replace the run that the folder holds.
        resume: Go on with a run that was broken off, at the step after its newest checkpoint.
        log: Trackers that follow the run; each has an extra of its name.
        workers: Processes on this machine that train together, each on a slice of every batch; several machines are
            joined by TF_CONFIG instead.
    """
    return train


def with_options(config: TrainConfig, defaults: TrainConfig, arguments: Sequence[str] = ()) -> TrainConfig:
    """Add a recipe's builder keywords to those of the command line, which would stand alone otherwise.

    Of another network than the recipe's, those that it has; nor does it get auxiliary heads by the recipe alone where
    it has none.

    Args:
        config: What was parsed.
        defaults: The recipe.
        arguments: The command line.
    """
    options, given = defaults.model.options, config.model.options
    if given == options:  # none were given
        given = {}
    heads = config.model.aux_heads
    if config.model.name != defaults.model.name:
        from keras_inception.training.engine.network import options_of_another

        options = options_of_another(config.model.name, options)
        asked = {"--model.aux-heads", "--model.aux_heads"} & set(arguments)
        heads = heads and bool(asked or get_entry(config.model.name).aux_heads)
    model = dataclasses.replace(config.model, aux_heads=heads, options={**options, **given})
    return dataclasses.replace(config, model=model)


def new_folder(name: str, parent: str = "runs") -> Path:
    """Name the first free folder among runs/NAME, runs/NAME-2, runs/NAME-3 and so on."""
    name = Path(name).stem  # of a recipe in a file
    folder, number = Path(parent) / name, 1
    while folder.exists():
        number += 1
        folder = Path(parent) / f"{name}-{number}"
    return folder


def need_backend() -> None:
    """Choose a backend that can train before Keras is imported."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise ValueError(f"Training needs KERAS_BACKEND={' or '.join(BACKENDS)}. Received: {backend}")


def _launch(workers: int, arguments: Sequence[str], more: Sequence[str]) -> int:
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        raise ValueError(f"--workers needs KERAS_BACKEND=tensorflow. Received: {os.environ['KERAS_BACKEND']}")
    from keras_inception.training.engine.launch import launch

    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument == "--workers":
            next(rest)
        elif not argument.startswith("--workers="):
            kept.append(argument)
    start = "import sys; from keras_inception.cli import main; sys.exit(main())"
    return launch(workers, [sys.executable, "-c", start, *kept, *more])
