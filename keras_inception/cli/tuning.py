"""The sub-command tune."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from keras_inception.cli import tables
from keras_inception.cli.arguments import by_default
from keras_inception.cli.common import command, need_tensorflow, parse
from keras_inception.cli.training import new_folder, with_options
from keras_inception.training.config import TrainConfig
from keras_inception.training.recipes import list_recipes, load_recipe
from keras_inception.training.tuning.settings import SearchConfig

if TYPE_CHECKING:
    from keras_inception.training.tuning import Search

Recipe = Positional[Annotated[str, arg(metavar="RECIPE")]]


def tune_command(name: str, arguments: Sequence[str], *, again: bool = False) -> Callable[..., int]:
    """Make the tune command; the recipe's values are the defaults that its help shows.

    Args:
        name: Name of the recipe.
        arguments: The command line, which is parsed again where it turns out to name another recipe.
        again: That has happened.
    """
    recipes, plain = ", ".join(list_recipes()), SearchConfig()
    defaults = dataclasses.replace(load_recipe(name), recipe=name)

    def tune(
        recipe: Recipe = name,
        /,
        config: Annotated[TrainConfig, arg(name="")] = defaults,
        search: Annotated[SearchConfig, arg(name="")] = plain,
        *,
        output: Annotated[Path | None, by_default("a new folder under searches/", "FOLDER")] = None,
        resume: Annotated[Path | None, by_default("begin anew", "SEARCH")] = None,
        best: Annotated[Path | None, by_default("search", "SEARCH")] = None,
        workers: int = 1,
        json: FlagCreatePairsOff[bool] = False,
    ) -> int:
        asked = recipe if recipe != name else config.recipe
        if asked != name:  # it stands behind an option; its values are the defaults of all others
            if again:
                raise ValueError(f"A search starts from one recipe. Received: {name} and {asked}")
            return parse(tune_command(asked, arguments, again=True), arguments)
        kept = resume or best
        if kept is not None and (
            (output is not None and not best) or config != defaults or search != plain or recipe != name
        ):
            raise ValueError("A search that was begun keeps its own plan. Received: --resume or --best beside others")
        need_tensorflow()
        from keras_inception.training import tuning

        if best is not None:
            done = tuning.Search.open(best)
            path = done.write_best(output)
            tables.show_lines(("recipe", path), ("next", command("train", "--recipe", path)))
            return 0
        if resume is not None:
            done = tuning.resume_tuning(resume, workers=workers)
        else:
            place = output or new_folder(recipe, "searches")
            done = tuning.tune(with_options(config, defaults, arguments), place, search, workers=workers)
        if json:
            tables.print_json([dataclasses.asdict(outcome) for outcome in done.outcomes])
        else:
            _show(done)
        return 0

    tune.__doc__ = f"""Search for better values than a recipe's: {recipes}, or a recipe in a JSON file.

    Args:
        recipe: Where the search starts from.
        config: The recipe's values, which all trials share but for what is searched.
        search: The search.
        output: Folder for the search; with --best, file for the recipe.
        resume: Go on with a search that was broken off; its trial in progress goes on at its last epoch.
        best: Write the recipe of a search's best trial, which `train --recipe FILE` runs as it is.
        workers: Trials at a time on this machine. On several machines KerasTuner's own variables say who is chief.
        json: Print JSON when done.
    """
    return tune


def _show(search: "Search") -> None:
    best = search.best
    if best is None:
        return
    tables.show_lines(
        ("best", f"trial {best.trial}"),
        ("report", search.folder / "report.html"),
        ("next", command("train", "--recipe", search.folder / "best.json")),
    )
