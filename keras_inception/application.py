"""From what a builder says is its network's own to the model: arguments, weights, input, body and heads."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import keras
from keras import layers

from keras_inception.arguments import check_arguments, image_shape_for
from keras_inception.docstrings import expand
from keras_inception.heads import auxiliary_classifier, classifier
from keras_inception.layers import Tensor, stages
from keras_inception.naming import PREDICTIONS
from keras_inception.numerics import Numerics
from keras_inception.ops import AuxHead, FullyConnected, Table, scale_width, smallest_size, with_stochastic_depth
from keras_inception.preprocessing import preprocessing_layers
from keras_inception.registry import get_entry

if TYPE_CHECKING:
    from keras_inception.weights.resolved import Weights

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True)
class Network:
    """What is a network's own, in the form that a builder's arguments ask for.

    Attributes:
        table: The network from input to features.
        numerics: The conventions under which it computes.
        dropout: Rate before the classifier where the argument is None.
        aux_heads: The auxiliary heads that it can have, scaled in width by the builder's `alpha` when they are built.
        min_size: Smallest height and width where that is more than the table asks for.
        head_bias: Whether the classifier has a bias.
        neck: Builds what lies between the dropout and the classifier.
    """

    table: Table
    numerics: Numerics
    dropout: float = 0.0
    aux_heads: Sequence[AuxHead] = ()
    min_size: int = 1
    head_bias: bool = True
    neck: Callable[[Tensor], Tensor] | None = None


def network(entry_name: str) -> Callable[[Callable[P, Network]], Callable[P, keras.Model]]:
    """Makes the builder of a network's record the public builder of its model.

    Arguments are checked (of the builder's own, those whose type is a `Literal`), and `weights` (`"imagenet"`, a tag,
    or a path) is found out before a layer is built. The builder documents the arguments that are its own; the shared
    ones are added.

    Args:
        entry_name: Registry id of the network.
    """
    entry = get_entry(entry_name)

    def decorate(builder: Callable[P, Network]) -> Callable[P, keras.Model]:
        signature = inspect.signature(builder)

        @functools.wraps(builder)
        def public(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return build(public, bound.arguments, _weights(entry_name, bound.arguments))

        public.__doc__ = expand(builder.__doc__ or "", entry, signature.parameters)
        hints = typing.get_type_hints(builder)
        choices = {name: typing.get_args(hint) for name, hint in hints.items() if typing.get_origin(hint) is Literal}
        vars(public).update(
            entry_name=entry_name,
            choices=choices,
            __signature__=signature.replace(return_annotation="keras.Model"),
        )
        public.__annotations__["return"] = "keras.Model"
        return public

    return decorate


def _weights(entry_name: str, given: Mapping[str, Any]) -> Weights | None:
    """What a builder's `weights` means, checked against its other arguments."""
    if given["weights"] is None:
        return None
    from keras_inception.weights.fitting import Request, resolve

    return resolve(Request(source=given["weights"], network=entry_name, arguments=given))


def build(builder: Callable[..., keras.Model], arguments: Mapping[str, Any], weights: Weights | None) -> keras.Model:
    """Builds a network, with weights that have been found or without: input, preprocessing, body and heads, flat.

    Args:
        builder: A public builder, such as `InceptionV3`.
        arguments: Its arguments by name; `weights` among them is not read.
        weights: The weights to load. Where `numerics` is None, theirs apply.

    Returns:
        The model. With auxiliary heads its output is a dictionary by head name, else a single tensor.

    Raises:
        ValueError: An argument breaks a rule. Nothing has been built then.
    """
    entry = get_entry(vars(builder)["entry_name"])
    parameters = inspect.signature(builder).parameters
    given = {name: parameter.default for name, parameter in parameters.items()} | dict(arguments)
    if weights is not None and given["numerics"] is None:
        given["numerics"] = weights.numerics
    given = check_arguments(entry, given, vars(builder)["choices"])
    own: Network = inspect.unwrap(builder)(**given)
    heads = own.aux_heads if given["aux_heads"] else ()
    include_top, input_tensor = given["include_top"], given["input_tensor"]
    table = with_stochastic_depth(own.table, given.get("stochastic_depth", 0.0))
    least = smallest_size(own.table, own.numerics, heads, at_least=own.min_size)
    shape = image_shape_for(entry, given["input_shape"], input_tensor, include_top, least)
    if None in shape and any(isinstance(op, FullyConnected) for head in heads for op in head.ops):
        raise ValueError(
            f"The auxiliary heads of {entry.function_name} end in dense layers and need images of a known size. "
            f"Received: input_shape={shape}."
        )

    file = weights.file() if weights is not None else None
    preprocessing = (weights.preprocessing if weights is not None else None) or entry.preprocessing
    inputs = keras.Input(shape, name="input") if input_tensor is None else input_tensor
    # In this scope variables are created at its end, outside of the layers' name scopes. TensorFlow keeps a kernel a
    # name, and "kernel" recurs where "conv_1a_conv/kernel" does not: the first network is built faster.
    with keras.StatelessScope():
        x = preprocessing_layers(inputs, preprocessing) if given["include_preprocessing"] else inputs
        x, endpoints = stages(x, table, numerics=own.numerics)
        outputs = _classifiers(x, endpoints, own, heads, given) if include_top else _features(x, given["pooling"])

    sources = inputs if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    sources = sources[0] if isinstance(sources, list) and len(sources) == 1 else sources
    model = keras.Model(sources, outputs, name=given["name"])
    if weights is not None:
        before = keras.Model(sources, input_tensor).layers if input_tensor is not None else []
        weights.load_into(model, file, skip={layer.name for layer in before})
    return model


def _features(x: Tensor, pooling: str | None) -> Tensor:
    if pooling is None:
        return x
    pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    return pool(name="global_pool")(x)


def _classifiers(
    x: Tensor, endpoints: Mapping[str, Tensor], own: Network, heads: Sequence[AuxHead], given: Mapping[str, Any]
) -> Tensor | dict[str, Tensor]:
    """The main classifier; with auxiliary heads, all of them by name."""
    options = {"classes": given["classes"], "activation": keras.activations.get(given["classifier_activation"])}
    main = classifier(
        _features(x, "avg"),
        name=PREDICTIONS,
        dropout=own.dropout if given["dropout"] is None else given["dropout"],
        use_bias=own.head_bias,
        neck=own.neck,
        **options,
    )
    aux = {
        head.name: auxiliary_classifier(
            endpoints[head.tap],
            head,
            scale_width(head.ops, given.get("alpha", 1.0)),
            numerics=own.numerics,
            **options,
        )
        for head in heads
    }
    return {PREDICTIONS: main} | aux if aux else main
