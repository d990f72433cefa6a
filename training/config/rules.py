"""The rules that the values of a configuration keep, beyond their types."""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SOURCES = ("folder", "csv", "tfds", "hf", "tfrecord", "array")
_JOINABLE = ("folder:", "csv:")


@dataclass(frozen=True)
class Range:
    """What values a field takes: from `least` (not `least` itself where it is `open`) to `most`."""

    least: float
    most: float = math.inf
    open: bool = False

    def allows(self, value: float) -> bool:
        """Tells whether a value keeps the rule; NaN never does."""
        return (value > self.least if self.open else value >= self.least) and value <= self.most

    @property
    def rule(self) -> str:
        """The rule in words, as in "must be at least 1"."""
        if self.open:
            return f"more than {self.least:g}" + (f" and at most {self.most:g}" if self.most < math.inf else "")
        return f"at least {self.least:g}" if self.most == math.inf else f"between {self.least:g} and {self.most:g}"


POSITIVE, SEED = Range(0, open=True), Range(0, 2**31 - 1)


def check(config: Any) -> None:
    """Raises `ValueError`, one sentence, for the first rule that a `TrainConfig` breaks."""
    for path, value, allowed in _ranged(config, ""):
        if value is not None and not allowed.allows(value):
            raise ValueError(f"{path} must be {allowed.rule}. Received: {value}")
    kinds = [f"{kind}:" for kind in SOURCES]
    if config.data != "digits" and not config.data.startswith(tuple(kinds)):
        raise ValueError(f"data must be digits or begin with {', '.join(kinds)}. Received: {config.data!r}")
    if config.test_data and not config.test_data.startswith(tuple(kinds)):
        raise ValueError(f"test_data must be empty or begin with {', '.join(kinds)}. Received: {config.test_data!r}")
    if config.pipeline.balance_classes and config.pipeline.class_weights:
        raise ValueError(
            "pipeline.balance_classes and pipeline.class_weights exclude each other. "
            f"Received: {config.pipeline.class_weights}"
        )
    for weight in config.pipeline.class_weights.values():  # the command line reads words as well
        if isinstance(weight, bool | str):
            raise ValueError(f"pipeline.class_weights must be numbers. Received: {config.pipeline.class_weights}")
        if not weight >= 0:
            raise ValueError(f"pipeline.class_weights must be at least 0. Received: {config.pipeline.class_weights}")
    if config.quantize:
        for name, wrong, rule in (
            ("model.weights", not config.model.weights, "names the network that is quantised"),
            ("model.aux_heads", config.model.aux_heads, "is false, since int8 files have none"),
            ("precision", config.precision != "float32", "is float32, in which integers are exact"),
            ("calibrate", config.calibrate, "is false: calibrate what is quantised"),
        ):
            if wrong:
                value = config
                for part in name.split("."):
                    value = getattr(value, part)
                raise ValueError(f"With quantize, {name} {rule}. Received: {value!r}")
    if config.objective.teacher_cache and not config.objective.teacher:
        raise ValueError(
            f"objective.teacher_cache needs objective.teacher. Received: {config.objective.teacher_cache!r} without"
        )
    if config.objective.teacher_cache and config.pipeline.service:
        raise ValueError(
            "objective.teacher_cache and pipeline.service exclude each other: its batches come in any order. "
            f"Received: {config.pipeline.service!r}"
        )
    if config.pipeline.cache_dir and config.pipeline.service:
        raise ValueError(
            "pipeline.cache_dir and pipeline.service exclude each other: its workers read the files themselves. "
            f"Received: {config.pipeline.service!r}"
        )
    for name in ("whitened", "identity"):
        if getattr(config.model, name) and config.model.weights:
            raise ValueError(
                f"model.{name} is for networks that start from random weights. "
                f"Received: model.weights {config.model.weights!r}"
            )
    if config.model.channels not in (1, 3):
        raise ValueError(f"model.channels must be 1 or 3. Received: {config.model.channels}")
    for name in ("saturation", "hue", "randaugment"):
        value = getattr(config.pipeline.augment, name)
        if config.model.channels == 1 and value:
            raise ValueError(
                f"pipeline.augment.{name} needs colour images (model.channels 3). Received: {value} with 1 channel"
            )
    if 0 < config.model.image_size <= config.pipeline.augment.crop_padding:
        raise ValueError(
            f"pipeline.augment.crop_padding must be smaller than model.image_size ({config.model.image_size}). "
            f"Received: {config.pipeline.augment.crop_padding}"
        )


def joined_sources(specification: str) -> list[str]:
    """The sources of a data specification: folders and CSV files may be several, `folder:A,folder:B,csv:C`.

    A comma parts them before the next `folder:` or `csv:` only; any other is one of a path.
    """
    if not specification.startswith(_JOINABLE):
        return [specification]
    return re.split(rf",(?={'|'.join(_JOINABLE)})", specification)


def _ranged(values: Any, path: str) -> Iterator[tuple[str, Any, Range]]:
    """The fields of a tree of dataclasses that have a `Range`: dotted name, value and range."""
    hints = typing.get_type_hints(type(values), include_extras=True)
    for field in dataclasses.fields(values):
        value, name = getattr(values, field.name), path + field.name
        if dataclasses.is_dataclass(value):
            yield from _ranged(value, f"{name}.")
        for extra in getattr(hints[field.name], "__metadata__", ()):
            yield name, value, extra
