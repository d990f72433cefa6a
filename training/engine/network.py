"""The network of a run."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

import keras_inception as ki

from ..config import ModelConfig, OptionValue, TrainConfig
from ..data.images import AnyImages
from .beginning import begin_as_identities, whiten
from .optimizer import add_penalty

AUTO = "auto"
"""As `model.unfreeze_from`: where the last third of the network begins."""


def build_model(
    config: TrainConfig, classes: int, several: bool = False, images: AnyImages | None = None
) -> keras.Model:
    """Builds a run's network, taking raw pixels in 0..255, under its dtype policy; the global one stays as it was.

    Where it starts from weights, their preprocessing and numerics are built in, and the classifiers are new. Where an
    image may have `several` labels, all of them end in sigmoids. `model.whitened` is done by `images`, and without them
    left out, as where a network's size is all that matters.

    Raises:
        FileNotFoundError: where the weights are meant to be a file and there is none.
        ValueError: for an unknown network, block or weight set, or an option or size that the network does not take.
    """
    settings = config.model
    arguments: dict[str, Any] = {
        "classes": classes,
        "input_shape": (settings.image_size, settings.image_size, settings.channels),
        "include_preprocessing": True,
        **settings.options,
    }
    if several:
        arguments["classifier_activation"] = "sigmoid"
    if settings.alpha != 1:
        arguments["alpha"] = settings.alpha
    if settings.aux_heads:
        arguments["aux_heads"] = True
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        model = _create(settings, arguments)
    except TypeError as error:
        given = ", ".join(sorted({*settings.options, "alpha", "aux_heads"} & set(arguments)))
        raise ValueError(f"{settings.name} must take the options it is given. Received: {given} ({error})") from error
    finally:
        keras.config.set_dtype_policy(before)
    if settings.batch_norm_momentum is not None:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = settings.batch_norm_momentum
    batch_norm = settings.batch_norm
    if batch_norm == "auto":
        batch_norm = "frozen" if settings.weights else "trainable"
    first = last_third(model, settings.name) if settings.unfreeze_from == AUTO else settings.unfreeze_from
    ki.unfreeze(model, first or None, batch_norm)
    if settings.whitened and images is not None:
        whiten(model, config, images)
    if settings.identity:
        begin_as_identities(model)
    add_penalty(model, config.optimizer)
    return model


def _create(settings: ModelConfig, arguments: dict[str, Any]) -> keras.Model:
    if not settings.weights:
        model: keras.Model = ki.create_model(settings.name, weights=None, **arguments)
        return model
    from keras_inception import weights

    if Path(settings.weights).is_absolute() and not Path(settings.weights).exists():
        raise FileNotFoundError(f"A file of weights must exist. Received: {settings.weights}")
    model, _ = weights.build(
        settings.weights,
        network=settings.name,
        trunk_only=True,
        accept_license=settings.accept_license,
        **arguments,
    )
    return model


def options_of_another(name: str, options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Those of a recipe's builder keywords that hold for another network than the recipe's.

    Keywords that its builder does not know are left out, and so is `variant`, whose forms are each network's own. In
    the place of a stem for small images that it lacks comes the one that all have.
    """
    builder = ki.get_entry(name).load_builder()
    known = inspect.signature(builder).parameters
    kept = {key: value for key, value in options.items() if key in known and key != "variant"}
    if "stem" in kept and kept["stem"] not in vars(builder)["choices"]["stem"]:
        kept["stem"] = "low_resolution"
    return kept


def last_third(model: keras.Model, name: str) -> str:
    """The first of the last blocks that have at most a third of a network's multiply-adds; auxiliary heads count none.

    Late blocks are what is special to the classes of the old weights; training them costs no pass back through the
    early ones.
    """
    rows = [row for row in ki.block_table(model) if row.name not in ki.get_entry(name).aux_heads]
    limit = sum(row.multiply_adds or 0 for row in rows) / 3
    first, cost = rows[-1].name, 0
    for row in reversed(rows):
        cost += row.multiply_adds or 0
        if cost > limit:
            break
        first = row.name
    return first
