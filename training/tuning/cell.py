"""The search over the Inception module itself."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras_tuner

from ..config import TrainConfig
from ..recipes import load_recipe
from .hypermodel import RecipeHyperModel, Value
from .space import PUT, WORDS, dimensions_of, own_value

NETWORK = "inception_cell"
TRAINING = (
    "image_size", "aux_weight", "dropout", "label_smoothing", "optimizer", "learning_rate", "weight_decay", "schedule",
    "warmup_epochs", "augment", "batch_size",
)  # fmt: skip
"""Dimensions of `HyperInception` that this space knows as well."""
_STEMS = {"low_resolution": (1, 128), "half_resolution": (32, 128), "imagenet": (65, 10_000)}  # sizes that suit each
_CELL_WORDS = {
    "factorisation": ("5x5", "two_3x3", "1x5_5x1", "1x7_7x1"),
    "pool": ("max", "avg"),
}
_NEEDS = {"factorisation": "branch_5x5", "pool": "branch_pool"}  # dimension: the branch without which it means nothing


class HyperInceptionCell(RecipeHyperModel):
    """A search space of Inception modules, for every tuner of Keras Tuner.

    A candidate is the recipe with another network: `keras_inception.InceptionCell`, one module repeated. The
    dimensions are that builder's options:

    - stem: by default the one that the recipe's image size suits, or both
    - width: channels of a module of the first stage; later stages have 2 and 4 times as many
    - modules: their number in all
    - branch_1x1, branch_3x3, branch_5x5, branch_pool: shares of a module's channels, as whole numbers in proportion to
      each other; 0 leaves a branch out
    - reduction: channels of the 1x1 reductions relative to those of their branch
    - factorisation: of the large kernel, active where there is a 5x5 branch
    - pool: its kind, active where there is a pool branch

    Those of training that `search` may name are `TRAINING`; they are the ones of `HyperInception`.

    A candidate without any branch, with a branch without a channel, with images too small for its stages or beyond a
    limit is rejected with a reason before anything is built.

    Args:
        recipe: The configuration to vary, or the name of a recipe. Of its network stay image size and channels,
            `aux_heads` and `batch_norm_momentum`; where it trains an `inception_cell`, everything stays.
        search: The dimensions to search; None: all of the module's and none of training's.
        choices: Values of some of the searched dimensions in place of their own.
        limits: The most `parameters` or `multiply_adds` that a candidate may have.

    Raises:
        ValueError: There is no such recipe, dimension, limit or value, or the recipe starts from weights.

    Example:
    ```py
    space = HyperInceptionCell("digits", limits={"multiply_adds": 10e6}, choices={"modules": [2, 3, 4]})
    objective = keras_tuner.Objective("val_predictions_accuracy", "max")
    tuner = keras_tuner.BayesianOptimization(space, objective=objective, max_trials=12)
    tuner.search()
    ```
    """

    def __init__(
        self,
        recipe: TrainConfig | str = "digits",
        *,
        search: Sequence[str] | None = None,
        choices: Mapping[str, Sequence[Value]] | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
        cell = _cell_dimensions(recipe)
        recipe = _with_cell(recipe, {name: own for name, (own, _) in cell.items()})
        dimensions = {name: values for name, (_, values) in cell.items()}
        training = dimensions_of(recipe, TRAINING)
        dimensions |= {name: training[name] for name in TRAINING}
        super().__init__(
            recipe,
            dimensions=dimensions,
            search=list(cell) if search is None else search,
            choices=choices,
            limits=limits,
            words={**WORDS, **_CELL_WORDS},
        )

    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Registers every hyperparameter of the space; builds nothing."""
        options = self.recipe.model.options
        for name, values in self.dimensions.items():
            branch = _NEEDS.get(name, "")
            shares = self.dimensions.get(branch, [options.get(branch, 1)])
            present = [share for share in shares if share != 0]
            if not present:
                continue
            scope = branch in self.dimensions and len(present) < len(shares)
            own = options[name] if name in options else own_value(self.recipe, name)
            with hp.conditional_scope(branch, present) if scope else nullcontext():
                hp.Choice(name, list(values), default=own if own in values else values[0])

    def config(self, hp: keras_tuner.HyperParameters) -> TrainConfig:
        """Returns the recipe with the values of the hyperparameters, all of which have been declared, put into it."""
        config = self.recipe
        chosen = {name: hp.values[name] for name in self.dimensions if name in hp.values}
        options = {name: value for name, value in chosen.items() if name not in TRAINING}
        config = _with_options(config, options)
        for name, put in PUT.items():
            if name in TRAINING and name in chosen:
                config = put(config, chosen[name])
        return config


def _cell_dimensions(recipe: TrainConfig) -> dict[str, tuple[Value, list[Value]]]:
    """The dimensions of the module: the value where a grid begins, and all values."""
    size = recipe.model.image_size
    stems = [stem for stem, (least, most) in _STEMS.items() if least <= size <= most]
    stem = str(recipe.model.options.get("stem", stems[0]))
    low = stem == "low_resolution"
    return {
        "stem": (stem, list(stems)),
        "width": (64, [32, 48, 64, 96, 128]) if low else (128, [64, 96, 128, 192, 256]),
        "modules": (5, [2, 3, 4, 5, 7, 9]),
        "branch_1x1": (2, [0, 1, 2, 4]),  # GoogLeNet's first module has 2 : 4 : 1 : 1
        "branch_3x3": (4, [0, 1, 2, 4]),
        "branch_5x5": (1, [0, 1, 2, 4]),
        "branch_pool": (1, [0, 1, 2, 4]),
        "reduction": (0.5, [0.25, 0.5, 0.75, 1.0]),
        "factorisation": ("5x5", list(_CELL_WORDS["factorisation"])),
        "pool": ("max", list(_CELL_WORDS["pool"])),
    }


def _with_cell(recipe: TrainConfig, options: Mapping[str, Value]) -> TrainConfig:
    """The recipe with the cell for its network; every option of the module is spelt out.

    Raises:
        ValueError: The recipe starts from weights.
    """
    model = recipe.model
    if model.weights:
        raise ValueError(
            f"A search over the module needs a recipe that starts from random weights. Received: {model.weights}"
        )
    kept: Mapping[str, Any] = model.options if model.name == NETWORK else {}
    alpha = model.alpha if model.name == NETWORK else 1.0
    unfreeze_from = model.unfreeze_from if model.name == NETWORK else ""
    model = dataclasses.replace(
        model, name=NETWORK, alpha=alpha, unfreeze_from=unfreeze_from, options={**options, **kept}
    )
    return dataclasses.replace(recipe, model=model)


def _with_options(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    model = dataclasses.replace(config.model, options={**config.model.options, **options})
    return dataclasses.replace(config, model=model)
