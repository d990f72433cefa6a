"""The kinds of argument that several commands take: the word that usage shows for each, and how its text is read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from keras_inception.training.config import OptionValue

Options = dict[str, OptionValue]
Mode = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
Split = Literal["test", "validation", "train"]

Handle = Positional[Annotated[str, arg(metavar="MODEL")]]
MoreHandles = Positional[Annotated[tuple[str, ...], arg(metavar="[MODEL ...]", help_behavior_hint="")]]
Files = Positional[Annotated[tuple[Path, ...], arg(metavar="[FILE ...]", help_behavior_hint="")]]
Json = FlagCreatePairsOff[bool]


def by_default(value: str, metavar: str) -> Any:
    """Say what an option that is not given comes to, where None is not the word for it."""
    return arg(metavar=metavar, help_behavior_hint=f"(default: {value})")


@dataclass(frozen=True)
class ModelOptions:
    """What may be said beside MODEL; each for the kinds of model that lack it."""

    weights: Annotated[str | None, by_default("imagenet", "TAG|FILE")] = None
    """Of a network by name: a released weight set, as `keras-inception weights` lists them, or a weights file."""
    options: Annotated[Options | None, by_default("none", "KEY=VALUE ...")] = None
    """Of a network: further keywords of its builder, such as alpha=0.5."""
    labels: Annotated[str | None, by_default("the model's own", "FILE|imagenet")] = None
    """Text file with the name of a class in each line."""
    preprocessing: Annotated[str | None, by_default("what is inside", "NAME")] = None
    """Of a .keras file without one inside: what pixels need first, such as inception, torch or none."""
    interpolation: Annotated[str | None, by_default("the model's own", "NAME")] = None
    """How pictures are resized."""
    central_crop: Annotated[float | None, by_default("the model's own", "SHARE")] = None
    """Share of a picture's shorter side that is kept."""
    accept_license: FlagCreatePairsOff[bool] = False
    """Accept a licence that forbids commercial use."""


UNSAID = ModelOptions()
TheModel = Annotated[ModelOptions, arg(name="")]


def registry() -> ConstructorRegistry:
    """Teach tyro to read builder keywords as KEY=VALUE; its own dictionaries cannot take a key that has no default."""
    rules = ConstructorRegistry()

    @rules.primitive_rule
    def read_options(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Options] | None:
        if info.type_origin is not dict:
            return None
        return PrimitiveConstructorSpec(
            nargs="*",
            metavar="KEY=VALUE",
            instance_from_str=lambda pairs: dict(map(_read_pair, pairs)),
            is_instance=lambda value: isinstance(value, dict),
            str_from_instance=lambda value: [f"{key}={_as_text(item)}" for key, item in value.items()],
        )

    return rules


def _read_pair(text: str) -> tuple[str, OptionValue]:
    """Read `key=value`, where a value is what JSON makes of it and a word is a word."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"an option is KEY=VALUE, not {text!r}")
    try:
        parsed = json.loads(value.lower() if value in ("True", "False") else value)
    except json.JSONDecodeError:
        parsed = value
    return key, parsed if isinstance(parsed, bool | int | float) else value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
