"""The search over networks of the family and over how they are trained."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import keras_tuner
import numpy as np

import keras_inception as ki

from ..config import AugmentConfig, TrainConfig
from ..engine.network import options_of_another
from ..recipes import load_recipe
from .costs import block_names
from .hypermodel import RecipeHyperModel, Value

USUAL_RATES = {"sgd": 0.1, "rmsprop": 0.05, "adamw": 0.002}
"""Peak learning rates that suit the optimizers alike: a rate meant for one becomes another's in this proportion."""
DEFAULT_SEARCH = ("alpha", "aux_weight", "label_smoothing", "learning_rate", "augment", "batch_size")
LOW_RESOLUTION_SIZE = 8

Put: TypeAlias = Callable[[TrainConfig, Any], TrainConfig]


class HyperInception(RecipeHyperModel):
    """A search space of networks and of how they are trained, for every tuner of Keras Tuner.

    The dimensions:

    - network: all networks that take the recipe's images
    - alpha: width multiplier, of the networks that have one
    - image_size: height and width of the images, by default around the recipe's
    - stem: of the networks that have one for low resolutions
    - aux_weight: weight of each auxiliary head's loss, of the networks that have such heads; 0 builds none
    - dropout: before the classifier
    - label_smoothing
    - optimizer, learning_rate: the rate is the recipe's optimizer's; another takes it in proportion (`USUAL_RATES`)
    - weight_decay, schedule, warmup_epochs
    - augment: how many times as strong as the recipe's augmentation; 0 is none
    - batch_size
    - frozen_depth: share of the blocks that stay as the recipe's weights have them; 1 trains the classifier alone

    A dimension that a network lacks is not active where that network is chosen. Combinations that make no network,
    such as images too small for a stem, are rejected with a reason before anything is built.

    Args:
        recipe: The configuration to vary, or the name of a recipe.
        search: The dimensions to search; None: `DEFAULT_SEARCH`, without what the recipe's network lacks.
        choices: Values of some of the searched dimensions in place of their own.
        limits: The most `parameters` or `multiply_adds` that a candidate may have.

    Raises:
        ValueError: There is no such recipe, dimension, limit, network or value, or a dimension is searched that
            nothing has.

    Example:
    ```py
    space = HyperInception("cifar10", search=["alpha", "learning_rate"], choices={"alpha": [0.25, 0.5]})
    objective = keras_tuner.Objective("val_predictions_accuracy", "max")
    tuner = keras_tuner.RandomSearch(space, objective=objective, max_trials=10)
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
        if search is None:
            search = [name for name in DEFAULT_SEARCH if _has(recipe.model.name, name)]
        dimensions = dimensions_of(recipe, search)
        super().__init__(recipe, dimensions=dimensions, search=search, choices=choices, limits=limits, words=WORDS)
        for name in (*self.dimensions.get("network", ()), self.recipe.model.name):
            ki.get_entry(str(name))
        for name in self.dimensions:
            if not self._networks_with(name):
                who = ", ".join(map(str, self._networks))
                raise ValueError(f"A searched dimension must be one that a network has. Received: {name} for {who}")
        if "frozen_depth" in self.dimensions and not self.recipe.model.weights:
            raise ValueError("frozen_depth is searched where a recipe starts from weights. Received: model.weights ''")

    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Registers every hyperparameter of the space; builds nothing."""
        for name, values in self.dimensions.items():
            having = self._networks_with(name)
            everywhere = name == "network" or "network" not in self.dimensions or len(having) == len(self._networks)
            with nullcontext() if everywhere else hp.conditional_scope("network", having):
                own = own_value(self.recipe, name)
                hp.Choice(name, list(values), default=own if own in values else values[0])

    def config(self, hp: keras_tuner.HyperParameters) -> TrainConfig:
        """Returns the recipe with the values of the hyperparameters, all of which have been declared, put into it."""
        config = self.recipe
        for name, put in PUT.items():
            if name in self.dimensions and name in hp.values and _has(config.model.name, name):
                config = put(config, hp.values[name])
        return config

    @property
    def _networks(self) -> list[str]:
        return [str(name) for name in self.dimensions.get("network", [self.recipe.model.name])]

    def _networks_with(self, dimension: str) -> list[str]:
        return [name for name in self._networks if _has(name, dimension)]


def dimensions_of(recipe: TrainConfig, searched: Sequence[str] = ("network",)) -> dict[str, list[Value]]:
    """All dimensions and their own values: around the recipe's where a scale is the recipe's to set.

    Which networks take the recipe's images is found out where `network` is searched: it takes the import of each.
    """
    size, batch, rate = recipe.model.image_size, recipe.pipeline.batch_size, recipe.optimizer.learning_rate
    sizes = sorted({max(LOW_RESOLUTION_SIZE, 4 * round(size * share / 4)) for share in (0.75, 1.25)} | {size})
    networks = ki.list_models()
    if "network" in searched:
        networks = [name for name in networks if _takes(name, max(sizes), recipe.model.channels)] or networks
    return {
        "network": list(networks),
        "alpha": [0.25, 0.5, 0.75, 1.0],
        "image_size": list(sizes),
        "stem": ["imagenet", "low_resolution"],
        "aux_weight": [0.0, 0.1, 0.3, 0.5],
        "dropout": [0.0, 0.2, 0.4, 0.6],
        "label_smoothing": [0.0, 0.05, 0.1, 0.2],
        "optimizer": list(USUAL_RATES),
        "learning_rate": [float(f"{rate * share:.4g}") for share in (0.25, 0.5, 1, 2)],
        "weight_decay": [0.0, 1e-5, 1e-4, 5e-4],
        "schedule": list(WORDS["schedule"]),
        "warmup_epochs": [0.0, 1.0, 2.0],
        "augment": [0.0, 0.5, 1.0, 1.5, 2.0],
        "batch_size": sorted({max(1, batch // 2), batch, 2 * batch}),
        "frozen_depth": [0.0, 0.5, 0.75, 0.9, 1.0],
    }


WORDS = {
    "stem": ("imagenet", "low_resolution"),
    "optimizer": tuple(USUAL_RATES),
    "schedule": ("cosine", "linear", "exponential", "constant"),
}
_KEYWORDS = {"alpha": "alpha", "stem": "stem", "dropout": "dropout"}  # dimension: keyword of a builder


@functools.cache
def _has(network: str, dimension: str) -> bool:
    """Whether a network has what a dimension varies."""
    entry = ki.get_entry(network)
    if dimension == "aux_weight":
        return bool(entry.aux_heads)
    if dimension in _KEYWORDS:
        return _KEYWORDS[dimension] in inspect.signature(entry.load_builder()).parameters
    return True


@functools.cache
def _takes(network: str, size: int, channels: int) -> bool:
    """Whether a network takes images of a size, with the stem that suits it, and of so many channels."""
    try:
        ki.preprocess_input(np.zeros((1, 1, channels)), network)
    except ValueError:  # a preprocessing with a value for each colour
        return False
    return size >= (LOW_RESOLUTION_SIZE if _has(network, "stem") else ki.get_entry(network).min_size)


def own_value(recipe: TrainConfig, dimension: str) -> Any:
    """The recipe's own value of a dimension, which is where a grid begins."""
    model, objective = recipe.model, recipe.objective
    own: dict[str, Any] = {
        "network": model.name,
        "alpha": model.alpha,
        "image_size": model.image_size,
        "stem": model.options.get("stem", "imagenet"),
        "aux_weight": objective.aux_weight if model.aux_heads else 0.0,
        "dropout": model.options.get("dropout"),
        "label_smoothing": objective.label_smoothing,
        "optimizer": recipe.optimizer.name,
        "learning_rate": recipe.optimizer.learning_rate,
        "weight_decay": recipe.optimizer.weight_decay,
        "schedule": recipe.schedule.name,
        "warmup_epochs": recipe.schedule.warmup_epochs,
        "augment": 1.0,
        "batch_size": recipe.pipeline.batch_size,
        "frozen_depth": None if model.unfreeze_from else 0.0,
    }
    if dimension == "aux_weight" and own[dimension] is None:
        return next(iter(ki.get_entry(model.name).aux_heads.values()), None)
    return own[dimension]


def _put(part: str, name: str) -> Put:
    """Puts a value into a field of a part of the configuration."""

    def put(config: TrainConfig, value: Any) -> TrainConfig:
        return dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **{name: value})})

    return put


def _put_option(name: str) -> Put:
    return lambda config, value: _put("model", "options")(config, {**config.model.options, name: value})


def _put_network(config: TrainConfig, name: str) -> TrainConfig:
    """Another network, with those of the recipe's settings that it has."""
    if name == config.model.name:
        return config
    model = dataclasses.replace(
        config.model,
        name=name,
        options=options_of_another(name, config.model.options),
        alpha=config.model.alpha if _has(name, "alpha") else 1.0,
        aux_heads=config.model.aux_heads and _has(name, "aux_weight"),
    )
    return dataclasses.replace(config, model=model)


def _put_aux_weight(config: TrainConfig, weight: float) -> TrainConfig:
    config = _put("model", "aux_heads")(config, weight > 0)
    return _put("objective", "aux_weight")(config, weight) if weight else config


def _put_optimizer(config: TrainConfig, name: Any) -> TrainConfig:
    before = config.optimizer
    rate = before.learning_rate * USUAL_RATES[name] / USUAL_RATES[before.name]
    optimizer = dataclasses.replace(before, name=name, learning_rate=float(f"{rate:.4g}"))
    if name != before.name:
        optimizer = dataclasses.replace(optimizer, epsilon=None)
    return dataclasses.replace(config, optimizer=optimizer)


def _put_augment(config: TrainConfig, strength: float) -> TrainConfig:
    """The recipe's augmentation, so many times as strong; mirroring, which has no strength, stays unless it is 0."""
    own, size = config.pipeline.augment, config.model.image_size
    if not strength:
        return _put("pipeline", "augment")(config, AugmentConfig())
    if own == AugmentConfig():
        own = AugmentConfig(crop_padding=max(1, size // 8), brightness=0.1, contrast=0.2)
    stronger = dataclasses.replace(
        own,
        min_area=max(0.05, 1 - strength * (1 - own.min_area)),
        crop_padding=min(round(strength * own.crop_padding), size - 1),
        brightness=min(strength * own.brightness, 0.9),
        contrast=min(strength * own.contrast, 0.9),
        saturation=min(strength * own.saturation, 0.9),
        hue=min(strength * own.hue, 0.5),
        erase=min(strength * own.erase, 1.0),
        randaugment_magnitude=min(strength * own.randaugment_magnitude, 10.0),
        mixup=strength * own.mixup,
        cutmix=strength * own.cutmix,
    )
    return _put("pipeline", "augment")(config, stronger)


def _put_frozen_depth(config: TrainConfig, share: float) -> TrainConfig:
    if not share:
        return _put("model", "unfreeze_from")(config, "")
    names = block_names(config)  # the classifier's block is the last
    return _put("model", "unfreeze_from")(config, names[min(round(share * len(names)), len(names) - 1)])


PUT: dict[str, Put] = {
    "network": _put_network,
    "alpha": _put("model", "alpha"),
    "image_size": _put("model", "image_size"),
    "stem": _put_option("stem"),
    "aux_weight": _put_aux_weight,
    "dropout": _put_option("dropout"),
    "label_smoothing": _put("objective", "label_smoothing"),
    # The rate is put in first: it is the recipe's optimizer's, and another takes it in proportion.
    "learning_rate": _put("optimizer", "learning_rate"),
    "optimizer": _put_optimizer,
    "weight_decay": _put("optimizer", "weight_decay"),
    "schedule": _put("schedule", "name"),
    "warmup_epochs": _put("schedule", "warmup_epochs"),
    "augment": _put_augment,
    "batch_size": _put("pipeline", "batch_size"),
    "frozen_depth": _put_frozen_depth,
}
