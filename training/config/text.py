"""From JSON to a tree of dataclasses: every name known, every type right."""

import dataclasses
import types
import typing
from typing import Any, Literal


def dataclass_from(cls: type, values: Any, path: str) -> Any:
    """Makes a dataclass of JSON values, checking every name and type; `path` names it in errors."""
    if not isinstance(values, dict):
        raise ValueError(f"{path or 'A training configuration'} must be a JSON object. Received: {values!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        where = f"{path} has" if path else "A training configuration has"
        raise ValueError(f"{where} the fields {', '.join(hints)}. Received: {', '.join(unknown)}")
    return cls(
        **{name: _value_from(hints[name], value, f"{path}.{name}".lstrip(".")) for name, value in values.items()}
    )


def _value_from(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return dataclass_from(typing.cast(type, hint), value, path)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{path} must be one of {', '.join(map(str, arguments))}. Received: {value!r}")
        return value
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{path} must be a JSON object. Received: {value!r}")
        return {key: _value_from(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    allowed = arguments if origin in (types.UnionType, typing.Union) else (hint,)
    if type(value) in allowed:
        return value
    if type(value) is int and float in allowed:
        return float(value)
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in allowed)
    raise ValueError(f"{path} must be {names}. Received: {value!r}")
