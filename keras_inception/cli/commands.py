"""The sub-commands of `keras-inception`: typed functions, from which tyro makes the command line.

A function here turns arguments into calls of the rooms and results into tables. The rooms are imported inside the
functions that use them, so that help costs no import of TensorFlow.
"""

import dataclasses
import json as json_module
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo
from tyro.extras import SubcommandApp

import keras_inception as ki
from keras_inception.cli import tables
from keras_inception.training.config import OptionValue, TrainConfig
from keras_inception.training.recipes import list_recipes, load_recipe

if TYPE_CHECKING:
    from keras_inception.training import Run

DEFAULT_RECIPE = "digits"
CALIBRATION_IMAGES = 256
VERIFICATION_IMAGES = 512

Options = dict[str, OptionValue]


def command_line(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the sub-command that they name, and return its exit code."""
    app = SubcommandApp()
    for command in (models, summary, _train_command(_recipe_in(arguments)), evaluate, predict, export, verify, benchmark):
        app.command(command)
    app.command(quickstart)
    description = "The Inception family on Keras 3: train a network on your images, and prove its mobile form equal."
    code = app.cli(prog="keras-inception", description=description, args=list(arguments), registry=_registry())
    return code or 0


def models(json: bool = False) -> None:
    """List the networks: size, cost, accuracy and paper.

    Args:
        json: Print JSON instead of a table.
    """
    entries = [ki.get_entry(name) for name in ki.list_models()]
    if json:
        _print_json([{**dataclasses.asdict(entry), "aux_heads": dict(entry.aux_heads)} for entry in entries])
    else:
        tables.show_models(entries)


def summary(
    name: Positional[str],
    /,
    image_size: int | None = None,
    channels: int = 3,
    classes: int = 1000,
    aux_heads: bool = False,
    options: Options | None = None,
    json: bool = False,
) -> None:
    """Print a network block by block: output shape, weights, multiply-adds.

    Args:
        name: Registry id of the network, such as inception_v1.
        image_size: Height and width of the input in pixels; by default the network's own.
        channels: Colour channels of the input.
        classes: Number of classes.
        aux_heads: Include the auxiliary classifiers.
        options: Further keywords of the network's builder, such as variant=paper naive=true.
        json: Print JSON instead of a table.
    """
    entry = ki.get_entry(name)
    from keras_inception.graph import block_table

    size = image_size or entry.input_size
    shape = {"input_shape": (size, size, channels), "classes": classes}
    model = ki.create_model(name, **shape, **({"aux_heads": True} if aux_heads else {}), **(options or {}))
    rows = block_table(model)
    if json:
        _print_json([dataclasses.asdict(row) for row in rows])
    else:
        tables.show_blocks(f"{name} at {size}x{size}x{channels}", rows)


def _train_command(recipe: str) -> Callable[..., int | None]:
    """Make the train command; the recipe's values are the defaults that its help shows."""
    defaults = dataclasses.replace(load_recipe(recipe), recipe=recipe)

    def train(
        config: Annotated[TrainConfig, arg(name="")] = defaults,
        *,
        output: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        config = dataclasses.replace(
            config,
            model=dataclasses.replace(config.model, options={**defaults.model.options, **config.model.options}),
        )
        run = _train(config, output or _new_folder(config.recipe), overwrite=overwrite)
        tables.show_lines(
            ("report", run.folder / "report.html"),
            ("next", f"keras-inception evaluate {run.folder}"),
        )

    train.__doc__ = f"""Train a network on images.

    The recipe sets what the other options leave open: {", ".join(list_recipes())}. The defaults below are those of
    {recipe}; `train --recipe NAME --help` shows another's.

    Args:
        config: The run.
        output: Folder for the run; by default a new one under runs/.
        overwrite: Replace the run that the folder holds.
    """
    return train


def evaluate(
    run: Positional[Path],
    /,
    split: Literal["test", "validation", "train"] = "test",
    data: str | None = None,
    json: bool = False,
) -> None:
    """Measure a trained network on held-out images.

    Args:
        run: Run folder, as train leaves it.
        split: Which of the run's images.
        data: Other labelled images, such as folder:PATH.
        json: Print JSON instead of tables.
    """
    _need_tensorflow()
    from keras_inception import training

    result = training.evaluate(training.Run.open(run), split=split, data=data)
    if json:
        _print_json(dataclasses.asdict(result))
    else:
        tables.show_evaluation(result)


def predict(
    run: Positional[Path],
    image: Positional[Path],
    images: Positional[tuple[Path, ...]] = (),
    /,
    top: int = 5,
    json: bool = False,
) -> None:
    """Name what is in images: the likeliest classes with their probabilities.

    Args:
        run: Run folder, as train leaves it.
        image: Image file.
        images: More image files.
        top: How many classes to name.
        json: Print JSON instead of a table.
    """
    if top < 1:
        raise ValueError(f"--top must be at least 1. Received: {top}")
    _need_tensorflow()
    import numpy as np

    from keras_inception import training
    from keras_inception.tflite import deploy

    opened = training.Run.open(run)
    files = [image, *images]
    pixels = [opened.read_image(file) for file in files]
    network = deploy(opened.model())
    rows = []
    for file, one in zip(files, pixels, strict=True):
        probabilities = network.predict(one[None], verbose=0)[0]
        best = np.argsort(probabilities)[::-1][:top]
        named = [{"class": opened.class_names[i], "probability": float(probabilities[i])} for i in best]
        rows.append({"image": str(file), "predictions": named})
    if json:
        _print_json(rows)
    else:
        tables.show_predictions(rows)


def _train(config: TrainConfig, folder: Path, *, overwrite: bool = False) -> "Run":
    _need_tensorflow()
    from keras_inception import training

    return training.train(config, folder, overwrite=overwrite)


def _need_tensorflow() -> None:
    """Choose the TensorFlow backend before Keras is imported; training and export run on no other."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ValueError(f"Training, evaluation and export need KERAS_BACKEND=tensorflow. Received: {backend}")


def _recipe_in(arguments: Sequence[str]) -> str:
    """Find the recipe that the arguments name, before they are parsed: it decides the defaults that parsing needs."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--recipe":
            return value
        if option.startswith("--recipe="):
            return option.partition("=")[2]
    return DEFAULT_RECIPE


def _new_folder(name: str) -> Path:
    """Name the first free folder among runs/NAME, runs/NAME-2, runs/NAME-3 and so on."""
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def _registry() -> ConstructorRegistry:
    """Teach tyro to read builder keywords as KEY=VALUE; its own dictionaries cannot take a key that has no default."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def read_options(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Options] | None:
        if info.type_origin is not dict:
            return None
        return PrimitiveConstructorSpec(
            nargs="*",
            metavar="KEY=VALUE",
            instance_from_str=lambda pairs: dict(map(_read_pair, pairs)),
            is_instance=lambda value: isinstance(value, dict),
            str_from_instance=lambda value: [f"{key}={_as_text(item)}" for key, item in value.items()],
        )

    return registry


def _read_pair(text: str) -> tuple[str, OptionValue]:
    """Read `key=value`, where a value is what JSON makes of it and a word is a word."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"an option is KEY=VALUE, not {text!r}")
    try:
        parsed = json_module.loads(value.lower() if value in ("True", "False") else value)
    except json_module.JSONDecodeError:
        parsed = value
    return key, parsed if isinstance(parsed, bool | int | float) else value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_module.dumps(value)


def _print_json(value: Any) -> None:
    print(json_module.dumps(value, indent=2, default=str))
