"""The one owner of the arguments that all builders share: checks them, and puts input, body and heads together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeAlias

import keras
from keras import layers

from keras_inception.heads import AuxHead, auxiliary_classifier, classifier
from keras_inception.layers import FullyConnected, Tensor, channel_axis, image_shape, scale_width
from keras_inception.naming import PREDICTIONS
from keras_inception.numerics import Numerics
from keras_inception.preprocessing import preprocessing_layers
from keras_inception.registry import ModelEntry, get_entry

Body: TypeAlias = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
"""From an input to the features before the head, and the endpoints that auxiliary heads may tap, by name."""

P = ParamSpec("P")


def takes_weights(entry_name: str) -> Callable[[Callable[P, keras.Model]], Callable[P, keras.Model]]:
    """Gives a builder its `weights` argument: `"imagenet"`, the tag of a released set, or a path.

    What it means is found out, and checked against the other arguments, before the builder runs; the builder hands what
    it gets to `assemble`. Where `numerics` is None, the weights' own apply.

    Args:
        entry_name: Registry id of the network.
    """

    def decorate(builder: Callable[P, keras.Model]) -> Callable[P, keras.Model]:
        signature = inspect.signature(builder)

        @functools.wraps(builder)
        def build(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            if given["weights"] is None:
                return builder(*args, **kwargs)
            from keras_inception.weights.fitting import Request, Weights, resolve

            if not isinstance(given["weights"], Weights):
                given["weights"] = resolve(Request(source=given["weights"], network=entry_name, arguments=given))
            given["numerics"] = given["numerics"] or given["weights"].numerics
            return builder(*bound.args, **bound.kwargs)

        return build

    return decorate


def assemble(
    entry_name: str,
    body: Body,
    *,
    include_top: bool,
    weights: Any,
    input_tensor: Tensor | None,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str,
    dropout: float,
    include_preprocessing: bool,
    numerics: Numerics,
    aux_heads: bool = False,
    aux_specs: Sequence[AuxHead] = (),
    alpha: float = 1.0,
    min_size: int | None = None,
    head_bias: bool = True,
    neck: Callable[[Tensor], Tensor] | None = None,
) -> keras.Model:
    """Checks the shared arguments, then builds input, preprocessing, body and heads into one flat functional model.

    Args:
        entry_name: Registry id of the network.
        body: Builds the network's features.
        include_top: Whether to end in the classifier.
        weights: What `takes_weights` made of the builder's argument.
        input_tensor: Symbolic tensor to build on.
        input_shape: Shape of one image in Keras's data format.
        pooling: None, `"avg"` or `"max"`: what follows the features when there is no classifier.
        classes: Number of classes.
        classifier_activation: Activation of all classifiers; None gives logits.
        name: Name of the model.
        dropout: Rate of the dropout before the classifier.
        include_preprocessing: Take raw pixels in 0..255.
        numerics: The conventions under which the network computes.
        aux_heads: Whether to build the auxiliary heads.
        aux_specs: The network's auxiliary heads.
        alpha: Width multiplier.
        min_size: Smallest height and width; None: the registry's.
        head_bias: Whether the classifier has a bias.
        neck: Builds what lies between the dropout and the classifier.

    Returns:
        The model. With auxiliary heads its output is a dictionary by head name, else a single tensor.

    Raises:
        ValueError: An argument breaks a rule. Nothing has been built then.
    """
    entry = get_entry(entry_name)
    check_arguments(
        entry,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        aux_heads=aux_heads,
        dropout=dropout,
        alpha=alpha,
    )
    activation = _activation(classifier_activation)
    shape = _input_shape(entry, input_shape, input_tensor, include_top, min_size or entry.min_size)

    if aux_heads and None in shape and any(isinstance(op, FullyConnected) for head in aux_specs for op in head.ops):
        raise ValueError(
            f"The auxiliary heads of {entry.function_name} end in dense layers and need images of a known size. "
            f"Received: input_shape={shape}."
        )

    file = weights.file() if weights is not None else None
    preprocessing = weights.preprocessing if weights is not None else None
    inputs = keras.Input(shape, name="input") if input_tensor is None else input_tensor
    # In this scope variables are created at its end, outside of the layers' name scopes. That is several times faster
    # in TensorFlow, which keeps a kernel a name: "kernel" recurs where "conv_1a_conv/kernel" does not.
    with keras.StatelessScope():
        x = preprocessing_layers(inputs, preprocessing or entry.preprocessing) if include_preprocessing else inputs
        x, endpoints = body(x)
        outputs: Any
        if include_top:
            x = layers.GlobalAveragePooling2D(name="global_pool")(x)
            outputs = classifier(
                x,
                classes=classes,
                activation=activation,
                name=PREDICTIONS,
                dropout=dropout,
                use_bias=head_bias,
                neck=neck,
            )
            if aux_heads:
                outputs = {PREDICTIONS: outputs} | {
                    head.name: auxiliary_classifier(
                        endpoints[head.tap],
                        head,
                        scale_width(head.ops, alpha),
                        classes=classes,
                        activation=activation,
                        numerics=numerics,
                    )
                    for head in aux_specs
                }
        elif pooling == "avg":
            outputs = layers.GlobalAveragePooling2D(name="global_pool")(x)
        elif pooling == "max":
            outputs = layers.GlobalMaxPooling2D(name="global_pool")(x)
        else:
            outputs = x

    sources = inputs if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    sources = sources[0] if isinstance(sources, list) and len(sources) == 1 else sources
    model = keras.Model(sources, outputs, name=name)
    if weights is not None:
        before = keras.Model(sources, input_tensor).layers if input_tensor is not None else []
        weights.load_into(model, file, skip={layer.name for layer in before})
    return model


def check_arguments(
    entry: ModelEntry, *, include_top: bool, pooling: Any, classes: Any, aux_heads: bool, dropout: Any, alpha: Any
) -> None:
    """Checks the arguments that need no shape.

    Raises:
        ValueError: An argument breaks a rule.
    """
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be None, 'avg' or 'max'. Received: pooling={pooling!r}.")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise ValueError(f"classes must be a positive whole number. Received: classes={classes!r}.")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1. Received: dropout={dropout!r}.")
    if not isinstance(alpha, int | float) or not alpha > 0:
        raise ValueError(f"alpha, the width multiplier, must be greater than 0. Received: alpha={alpha!r}.")
    if aux_heads and not entry.aux_heads:
        raise ValueError(
            f"{entry.function_name} has no auxiliary heads: {entry.no_aux_reason} Received: aux_heads=True."
        )
    if aux_heads and not include_top:
        raise ValueError(
            "aux_heads=True needs include_top=True: the heads are classifiers. Received: include_top=False."
        )


def check_choice(argument: str, value: Any, choices: Sequence[Any]) -> None:
    """Checks that an argument is one of the values that the rule allows.

    Raises:
        ValueError: It is not.
    """
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument} must be one of {allowed}. Received: {argument}={value!r}.")


def _activation(value: Any) -> Callable[[Tensor], Tensor]:
    try:
        return keras.activations.get(value)
    except ValueError:
        raise ValueError(
            "classifier_activation must be None, the name of an activation of Keras, or a function. "
            f"Received: classifier_activation={value!r}."
        ) from None


def _input_shape(
    entry: ModelEntry,
    input_shape: Sequence[int | None] | None,
    input_tensor: Tensor | None,
    include_top: bool,
    min_size: int,
) -> tuple[int | None, ...]:
    """The checked shape of one image in Keras's data format."""
    channels_first = channel_axis() == 1
    if input_tensor is not None:
        if not isinstance(input_tensor, keras.KerasTensor):
            raise ValueError(
                "input_tensor must be a Keras tensor, such as keras.Input gives. "
                f"Received: {type(input_tensor).__name__}."
            )
        tensor_shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != tensor_shape:
            raise ValueError(
                f"input_shape must be the shape of input_tensor, {tensor_shape}. Received: input_shape={input_shape}."
            )
        input_shape = tensor_shape
    elif input_shape is None:
        return image_shape(entry.input_size if include_top else None)
    shape = tuple(input_shape)
    order = "(channels, height, width)" if channels_first else "(height, width, channels)"
    if len(shape) != 3:
        raise ValueError(f"input_shape must be {order}. Received: input_shape={input_shape}.")
    channels = shape[0] if channels_first else shape[2]
    sides = shape[1:] if channels_first else shape[:2]
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"input_shape must be {order} with 1 to 4 channels. Received: input_shape={input_shape}.")
    if any(side is not None and side < min_size for side in sides):
        raise ValueError(
            f"{entry.function_name} needs images of at least {min_size}x{min_size} pixels in this form. "
            f"Received: input_shape={input_shape}."
        )
    return shape
