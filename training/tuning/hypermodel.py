"""What the search spaces share: a recipe, values put into it, and how Keras Tuner builds and fits the outcome."""

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import keras
import keras_tuner

from ..config import TrainConfig
from ..data.sources import Splits, open_splits
from ..engine.network import build_model
from ..engine.objective import make_objective
from ..engine.saving import AverageInValidation
from ..engine.teacher import Teacher, batches_to_learn
from ..engine.trainer import Trainer, make_trainer
from ..pipeline.preparing import cached, evaluation_batches
from ..pipeline.training import steps_per_epoch
from ..recipes import load_recipe
from .costs import Costs, network_costs

Value: TypeAlias = int | float | str

LIMITS = tuple(field.name for field in dataclasses.fields(Costs))
_RECIPE_ARGUMENTS = (
    "x", "y", "batch_size", "class_weight", "sample_weight", "shuffle", "steps_per_epoch", "validation_batch_size",
    "validation_data", "validation_split", "validation_steps",
)  # fmt: skip


class _Exchange(keras.callbacks.Callback):
    """Puts the averages into the weights' place at an epoch's end, or back: before and after what a tuner saves."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Exchanges the two."""
        self.model.average.exchange()


class RecipeHyperModel(keras_tuner.HyperModel):
    """A search space around a recipe, for every tuner of Keras Tuner.

    A hyperparameter is a choice among the values of a *dimension*. Every candidate is a `TrainConfig`: the recipe with
    the chosen values in it, which `train` runs as it is. A subclass tells the dimensions, declares them and puts their
    values into the recipe.

    `Tuner.search` is called without data: candidates train on the recipe's, through its pipeline, and validate on its
    validation images, so that the objective is `val_predictions_accuracy` or `val_loss`. A rejected candidate fails as
    a trial; stock tuners give up after `max_consecutive_failed_trials` of them in a row, 3 by default.

    Args:
        recipe: The configuration to vary, or the name of a recipe.
        dimensions: Every dimension that the space knows, with its values.
        search: The dimensions to search. The others keep the recipe's value.
        choices: Values of some of the searched dimensions in place of their own.
        limits: The most `parameters` or `multiply_adds` that a candidate may have (see `Costs`).
        words: Dimensions that take no other values than these.

    Attributes:
        recipe: The configuration to vary.
        dimensions: The searched dimensions and their values.
        limits: The limits.

    Raises:
        ValueError: There is no such recipe, dimension or limit, or a dimension is left without a value.
    """

    def __init__(
        self,
        recipe: TrainConfig | str,
        *,
        dimensions: Mapping[str, Sequence[Value]],
        search: Sequence[str],
        choices: Mapping[str, Sequence[Value]] | None = None,
        limits: Mapping[str, float] | None = None,
        words: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__()
        self.recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
        self.recipe.validate()
        chosen, self.limits = dict(choices or {}), dict(limits or {})
        _check_names("A searched dimension", search, list(dimensions))
        _check_names("A dimension with choices", chosen, [name for name in dimensions if name in search])
        _check_names("A limit", self.limits, LIMITS)
        chosen = {name: _checked_values(name, values, dimensions[name]) for name, values in chosen.items()}
        for name in words.keys() & chosen.keys():
            for value in chosen[name]:
                if value not in words[name]:
                    raise ValueError(f"{name} must be one of {', '.join(words[name])}. Received: {value!r}")
        for name, limit in self.limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
                raise ValueError(f"The limit of {name} must be a number greater than 0. Received: {limit!r}")
        self.dimensions = {name: list(chosen.get(name, dimensions[name])) for name in dimensions if name in search}
        self._opened: dict[str, Splits] = {}
        self._decoded: tuple[str, Splits] | None = None
        self._declared: keras_tuner.HyperParameters | None = None

    @abstractmethod
    def declare(self, hp: keras_tuner.HyperParameters) -> None:
        """Registers every hyperparameter of the space; builds nothing."""

    @abstractmethod
    def config(self, hp: keras_tuner.HyperParameters) -> TrainConfig:
        """Returns the recipe with the values of the hyperparameters, all of which have been declared, put into it."""

    def reject(self, hp: keras_tuner.HyperParameters) -> str | None:
        """Tells why a candidate should not be trained.

        Returns:
            One sentence, the rule that the candidate breaks and what it has instead; None where it is fine.
        """
        classes = self.classes  # data that is missing is no candidate's fault
        try:
            config = self.config(hp)
            config.validate()
            costs = network_costs(config, classes)
        except ValueError as error:
            return str(error)
        for name, limit in self.limits.items():
            cost = getattr(costs, name)
            if cost > limit:
                return f"A candidate may have at most {limit:,.0f} {name.replace('_', '-')}. Received: {cost:,}"
        return None

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Declares the space to a tuner, which calls this when it is made.

        The tuner then calls `build` once, to see what else it declares: that is nothing, and nothing is built.
        """
        self.declare(hp)
        self._declared = hp

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model | None:
        """Builds and compiles a candidate's network as training does.

        Args:
            hp: Values of the hyperparameters; those that are missing take their defaults.

        Returns:
            The compiled model; None to a tuner that is just being made.

        Raises:
            keras_tuner.errors.FailedTrialError: The candidate is rejected.
        """
        # A tuner that is being made builds a copy of what it had declared; who builds that itself wants the model.
        declared, self._declared = self._declared, None
        if declared is not None and hp is not declared and hp.values == declared.values:
            return None
        self.declare(hp)
        reason = self.reject(hp)
        if reason is not None:
            raise keras_tuner.errors.FailedTrialError(reason)
        config = self.config(hp)
        keras.utils.set_random_seed(config.seed)
        network = build_model(config, self.classes, self.several, self.splits(config).train)
        model = make_trainer(
            config,
            network,
            make_objective(config, self.classes, self.several),
            steps_per_epoch(self.splits(config).train, config),
            kind=Trainer if config.optimizer.ema_momentum is not None else _itself,
        )
        # Else Keras would leave its state out when a tuner loads a checkpoint, as Hyperband does to go on with a trial.
        model.optimizer.build(model.trainable_variables)
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *data: Any,
        epochs: int | None = None,
        initial_epoch: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: Any = 0,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains a candidate on the recipe's data.

        A moving average of the weights is what is scored, and so what a tuner saves and `get_best_models` returns.

        The learning rate follows the recipe's schedule, however few epochs there are: Hyperband's short trials see its
        beginning.

        Args:
            hp: Values of the hyperparameters.
            model: What `build` made of them.
            *data: None: the data is the recipe's.
            epochs: Epoch after which to stop; None: the configuration's last.
            initial_epoch: Epoch to begin with; the schedule begins there as well.
            callbacks: Callbacks of the tuner or the caller.
            verbose: As in `keras.Model.fit`.
            **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            Keras's record of the epochs.

        Raises:
            keras_tuner.errors.FatalValueError: Data, or what the recipe tells of batches, is given.
        """
        given = [f"{len(data)} by position"] * bool(data) + [name for name in _RECIPE_ARGUMENTS if name in kwargs]
        if given:
            raise keras_tuner.errors.FatalValueError(
                f"A search takes data and batches from its recipe: call search() without. Received: {', '.join(given)}"
            )
        self.declare(hp)
        config = self.config(hp)
        config = dataclasses.replace(config, epochs=config.epochs if epochs is None else epochs)
        splits, objective = self.splits(config), make_objective(config, self.classes, self.several)
        steps = steps_per_epoch(splits.train, config)
        if initial_epoch:
            optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
            optimizer._iterations.assign(initial_epoch * steps)  # `iterations` counts updates, not steps
        before: list[keras.callbacks.Callback] = []
        after: list[keras.callbacks.Callback] = []
        if getattr(model, "average", None):
            if initial_epoch:  # what a tuner saved, and has loaded, has the averages in the weights' place
                model.average.exchange()
                model.average.exchanged = False
            before, after = [AverageInValidation(), _Exchange()], [_Exchange()]
        return model.fit(
            batches_to_learn(splits, config, objective, Teacher.of(config, splits), first_epoch=initial_epoch),
            initial_epoch=initial_epoch,
            epochs=config.epochs,
            steps_per_epoch=steps,
            validation_data=objective.batches(evaluation_batches(splits.validation, config)),
            callbacks=[*before, *callbacks, *after],
            verbose=verbose,
            shuffle=False,  # the pipeline has shuffled; Keras warns otherwise
            **kwargs,
        )

    @cached_property
    def classes(self) -> int:
        """Number of classes of the recipe's data, which is opened for it."""
        return len(self._open(self.recipe).class_names)

    @property
    def several(self) -> bool:
        """Whether an image of the recipe's data may have several labels."""
        return self._open(self.recipe).several

    def splits(self, config: TrainConfig) -> Splits:
        """The images of a candidate, decoded where they fit into memory; kept for the next one like it."""
        size, whole = config.model.image_size, config.pipeline.augment.min_area < 1
        key = f"{_data_key(config)} {size} {whole} {config.pipeline.central_crop} {config.pipeline.interpolation}"
        if self._decoded is None or self._decoded[0] != key:
            self._decoded = None  # before there are two of them in memory
            splits = self._open(config)
            train = cached(splits.train, config, whole=whole)
            decoded = dataclasses.replace(splits, train=train, validation=cached(splits.validation, config))
            self._decoded = key, decoded
        return self._decoded[1]

    def _open(self, config: TrainConfig) -> Splits:
        key = _data_key(config)
        if key not in self._opened:
            self._opened[key] = open_splits(config)
        return self._opened[key]


def _data_key(config: TrainConfig) -> str:
    """What `open_splits` reads of a configuration."""
    plain = TrainConfig().pipeline
    kept = dataclasses.replace(config.pipeline, batch_size=plain.batch_size, augment=plain.augment)
    return f"{config.data} {config.test_data} {config.model.channels} {kept}"


def _itself(network: keras.Model) -> Any:
    return network


def _check_names(what: str, given: Any, known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{what} must be one of {', '.join(known)}. Received: {', '.join(map(repr, unknown))}")


def _checked_values(name: str, values: Any, own: Sequence[Value]) -> list[Value]:
    """The values of a dimension: some, of its own values' type, none twice."""
    kind = type(own[0])
    allowed = (int, float) if kind is float else (kind,)
    known = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not known or not all(type(value) in allowed for value in values) or len(set(values)) < len(values):
        raise ValueError(
            f"The choices of {name} must be a list of different values of type {kind.__name__}. Received: {values!r}"
        )
    if kind is not str and not all(math.isfinite(value) for value in values):
        raise ValueError(f"The choices of {name} must be finite numbers. Received: {values!r}")
    return [kind(value) for value in values]
