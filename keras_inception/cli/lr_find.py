"""The sub-command lr-find."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import by_default
from keras_inception.cli.training import need_backend, with_options
from keras_inception.training.config import TrainConfig
from keras_inception.training.recipes import load_recipe

INTERRUPTED = 130


def lr_find_command(recipe: str, arguments: Sequence[str]) -> Callable[..., int]:
    """Make the lr-find command; the recipe's values are the defaults that its help shows.

    Args:
        recipe: Name of the recipe.
        arguments: The command line.
    """
    defaults = dataclasses.replace(load_recipe(recipe), recipe=recipe)

    def lr_find(
        config: Annotated[TrainConfig, arg(name="")] = defaults,
        *,
        steps: int = 100,
        lowest: float = 1e-6,
        highest: float = 10.0,
        out: Annotated[tuple[Path, ...], by_default("none", "FILE ...")] = (),
    ) -> int:
        """Suggest a learning rate for a recipe: train a few steps while it rises, and see where the loss breaks.

        Nothing but the files of --out is written. Ctrl-C ends it with what it has found.

        Args:
            config: The run that the rate is for.
            steps: Updates, each at its own learning rate.
            lowest: Learning rate of the first one.
            highest: Learning rate of the last one, which a loss that has grown fourfold never sees.
            out: Files for the curve: .svg or .png for a picture, .csv for a table.
        """
        need_backend()
        from keras_inception import training
        from keras_inception.training.learning_rate import check_output

        for file in out:
            check_output(file)
        config = with_options(config, defaults, arguments)
        found = training.find_learning_rate(config, steps=steps, lowest=lowest, highest=highest)
        for file in out:
            found.write(file)
        tables.show_learning_rates(found, config.optimizer.learning_rate, out)
        return INTERRUPTED if found.ended == "interrupted" else 0

    return lr_find
