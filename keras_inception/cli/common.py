"""What several commands share: how they are parsed, the choice of the backend, commands to be copied."""

import os
import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import tyro

from keras_inception.cli.arguments import registry

PROGRAM, DEFAULT_RECIPE = "keras-inception", "digits"
RECIPE_FOR_DATA = "finetune"
USAGE_ERROR = 2


def parse(function: Callable[..., int | None], arguments: Sequence[str]) -> int:
    """Run a sub-command, which the first argument names, as the others say; return its exit code."""
    name, *rest = arguments
    return tyro.cli(function, prog=f"{PROGRAM} {name}", args=rest, registry=registry()) or 0


def recipe_in(arguments: Sequence[str]) -> str:
    """Find the recipe that a command line names before it is parsed, since its values are the defaults of the options.

    It is found by `--recipe`, or as the word that follows `tune`. Whoever parses looks again: it may stand elsewhere.
    Without one, `train` and `lr-find` fine-tune released weights on whatever `--data` brings.
    """
    recipe, data = (_value_of(option, arguments) for option in ("--recipe", "--data"))
    if recipe:
        return recipe
    if arguments[:1] == ["tune"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        return arguments[1]
    brings_data = arguments[:1] in (["train"], ["lr-find"]) and data not in ("", "digits")
    return RECIPE_FOR_DATA if brings_data else DEFAULT_RECIPE


def _value_of(option: str, arguments: Sequence[str]) -> str:
    """The first value that an option is given, as in `--recipe NAME` or `--recipe=NAME`; empty without one."""
    for word, value in pairwise([*arguments, ""]):
        if word == option and value:
            return value
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def need_tensorflow() -> None:
    """Choose the TensorFlow backend before Keras is imported; evaluation and export run on no other."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ValueError(f"Training, evaluation and export need KERAS_BACKEND=tensorflow. Received: {backend}")


def command(*words: str | Path) -> str:
    """Spell a `keras-inception` command out so that it can be copied into a shell."""
    return shlex.join([PROGRAM, *map(str, words)])
