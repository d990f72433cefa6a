"""Recipes: one file each, whose docstring gives the command, the time and the accuracy to expect."""

import difflib
import importlib
import pkgutil
from pathlib import Path

from ..config import TrainConfig


def list_recipes() -> list[str]:
    """Returns the names of the recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load_recipe(name: str) -> TrainConfig:
    """Returns a recipe's configuration; change it with `dataclasses.replace`.

    Args:
        name: of a recipe of this package, or a JSON file, such as a run's config.json or what `tune` writes.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for an unknown name, with the nearest known one, or a file that holds no configuration.
    """
    if name.endswith(".json"):
        return TrainConfig.from_json(Path(name).read_text(encoding="utf-8"))
    known = list_recipes()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"A recipe is one of {', '.join(known)}.{hint} Received: {name!r}")
    config: TrainConfig = importlib.import_module(f"{__name__}.{name}").CONFIG
    return config
