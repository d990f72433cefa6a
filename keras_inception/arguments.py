"""The rules of the arguments that builders share, each with its sentence."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_inception.layers import Tensor, channel_axis, image_shape
from keras_inception.numerics import Numerics
from keras_inception.registry import ModelEntry


def check_choice(argument: str, value: Any, choices: Sequence[Any]) -> None:
    """Checks that an argument is one of the values that the rule allows.

    Raises:
        ValueError: It is not.
    """
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument} must be one of {allowed}. Received: {argument}={value!r}.")


def check_number(argument: str, value: Any, rule: str, valid: Callable[[Any], bool], *, whole: bool = True) -> Any:
    """Checks that an argument is a number that a rule allows, of Python's or NumPy's types.

    Returns:
        The number as Python's int, or float where it need not be whole.

    Raises:
        ValueError: It is none; the message is the rule after the argument's name.
    """
    kind: Any = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not valid(value):
        raise ValueError(f"{argument}{rule}. Received: {argument}={value!r}.")
    return int(value) if whole else float(value)


def check_arguments(
    entry: ModelEntry, arguments: Mapping[str, Any], choices: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Checks the arguments of a builder that need no shape: the shared ones, and of its own those that are choices.

    Returns:
        The arguments, numbers as Python's own.

    Raises:
        ValueError: An argument breaks a rule.
    """
    checked = dict(arguments)
    pooling, numerics, activation = (arguments[name] for name in ("pooling", "numerics", "classifier_activation"))
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be None, 'avg' or 'max'. Received: pooling={pooling!r}.")
    checked["classes"] = check_number(
        "classes", arguments["classes"], " must be a positive whole number", lambda classes: classes > 0
    )
    for name in ("dropout", "stochastic_depth"):
        if arguments.get(name) is not None:
            rule = " must be at least 0 and less than 1"
            checked[name] = check_number(name, arguments[name], rule, lambda rate: 0 <= rate < 1, whole=False)
    if "alpha" in arguments:
        rule = ", the width multiplier, must be greater than 0"
        checked["alpha"] = check_number(
            "alpha", arguments["alpha"], rule, lambda alpha: 0 < alpha < math.inf, whole=False
        )
    if numerics is not None and not isinstance(numerics, Numerics):
        raise ValueError(
            f"numerics must be None or a Numerics, such as keras_inception.numerics.TORCH. Received: {numerics!r}."
        )
    if arguments["aux_heads"] and not entry.aux_heads:
        raise ValueError(
            f"{entry.function_name} has no auxiliary heads: {entry.no_aux_reason} Received: aux_heads=True."
        )
    if arguments["aux_heads"] and not arguments["include_top"]:
        raise ValueError(
            "aux_heads=True needs include_top=True: the heads are classifiers. Received: include_top=False."
        )
    try:
        keras.activations.get(activation)
    except ValueError:
        raise ValueError(
            "classifier_activation must be None, the name of an activation of Keras, or a function. "
            f"Received: classifier_activation={activation!r}."
        ) from None
    for name, allowed in choices.items():
        check_choice(name, arguments[name], allowed)
    return checked


def given_shape(input_shape: Any, input_tensor: Tensor | None) -> tuple[int | None, int | None, int | None] | None:
    """The checked shape of one image that the arguments tell, in Keras's data format; None where they tell none.

    Raises:
        ValueError: It is no shape of an image, or the tensor is none of Keras or has another shape.
    """
    if input_tensor is not None:
        if not isinstance(input_tensor, keras.KerasTensor):
            raise ValueError(
                "input_tensor must be a Keras tensor, such as keras.Input gives. "
                f"Received: {type(input_tensor).__name__}."
            )
        tensor_shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and _plain(input_shape) != tensor_shape:
            raise ValueError(
                f"input_shape must be the shape of input_tensor, {tensor_shape}. Received: input_shape={input_shape}."
            )
        input_shape = tensor_shape
    elif input_shape is None:
        return None
    axis, shape = channel_axis(), _plain(input_shape)
    order = "(channels, height, width)" if axis == 1 else "(height, width, channels)"
    if len(shape) != 3:
        raise ValueError(f"input_shape must be {order}. Received: input_shape={input_shape!r}.")
    if shape[min(axis, 0)] not in (1, 2, 3, 4):
        raise ValueError(f"input_shape must be {order} with 1 to 4 channels. Received: input_shape={input_shape}.")
    return shape[0], shape[1], shape[2]


def _plain(shape: Any) -> tuple[int | None, ...]:
    """A shape as a tuple of Python's numbers; empty for what is none."""
    try:
        sides = tuple(shape)
    except TypeError:
        return ()
    if any(side is not None and (isinstance(side, bool) or not isinstance(side, numbers.Integral)) for side in sides):
        return ()
    return tuple(side if side is None else int(side) for side in sides)


def sides_and_channels(shape: Sequence[int | None]) -> tuple[Sequence[int | None], int | None]:
    """Height and width, and the channels, of the shape of one image in Keras's data format."""
    return (shape[1:], shape[0]) if channel_axis() == 1 else (shape[:2], shape[2])


def image_shape_for(
    entry: ModelEntry, input_shape: Any, input_tensor: Tensor | None, include_top: bool, min_size: int
) -> tuple[int | None, int | None, int | None]:
    """The checked shape of one image: what the arguments tell, or the network's own.

    Raises:
        ValueError: It is no shape of an image, or smaller than the network takes.
    """
    shape = given_shape(input_shape, input_tensor)
    if shape is None:
        return image_shape(entry.input_size if include_top else None)
    if any(side is not None and side < min_size for side in sides_and_channels(shape)[0]):
        raise ValueError(
            f"{entry.function_name} needs images of at least {min_size}x{min_size} pixels in this form. "
            f"Received: input_shape={shape}."
        )
    return shape
