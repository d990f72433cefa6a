"""What a `weights` argument comes to: a released set or a file, and the way from it into a model."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from keras_inception.numerics import Numerics
from keras_inception.preprocessing import Preprocessing
from keras_inception.weights import matcher, own
from keras_inception.weights.converters import get_converter, recognise
from keras_inception.weights.download import fetch, note_hash
from keras_inception.weights.errors import WeightsError
from keras_inception.weights.readers import open_weights
from keras_inception.weights.sets import WeightSet
from keras_inception.weights.slots import slots


@dataclass(frozen=True)
class Weights:
    """A resolved `weights` argument.

    Attributes:
        weight_set: The released set; for a file of ours, what it says of itself; None for a file that says nothing.
        path: The file that was named; None where the set's own file is meant.
        trunk_only: Builders leave the classifiers, main and auxiliary, as they are.
        network: Registry id of the network that they are for, where it is known.
        arguments: The builder's arguments: those that were given, and those that the weights need.
    """

    weight_set: WeightSet | None
    path: Path | None = None
    trunk_only: bool = False
    network: str = ""
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def numerics(self) -> Numerics | None:
        """The numerics that the weights are exact under, where known."""
        return self.weight_set.numerics if self.weight_set else None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From a picture to the input that the weights were trained on, where known."""
        return self.weight_set.preprocessing if self.weight_set else None

    def file(self) -> Path:
        """The file, checked against its hash where it is a released set's; downloaded where the cache lacks it.

        Raises:
            DownloadError: The file is not in the cache and cannot be had.
            WeightsError: The file is not the one that was published.
        """
        if self.path is not None:
            return self.path
        assert self.weight_set is not None  # one of the two is given
        return fetch(self.weight_set)

    def load_into(
        self, model: Any, file: Path | None = None, *, trunk_only: bool = False, skip: Collection[str] = ()
    ) -> None:
        """Loads the weights into a model: all of them or none.

        Args:
            model: The model.
            file: What `file()` gave; None asks again.
            trunk_only: Leave the classifiers, main and auxiliary, as they are.
            skip: Names of layers that are none of ours.

        Raises:
            DownloadError: The file is not in the cache and cannot be had.
            WeightsError: The file is damaged or does not fit the model.
        """
        model_slots = slots(model, skip)
        released = self.weight_set if self.path is None else None
        file = file or self.file()
        with contextlib.ExitStack() as stack:
            try:
                opened = stack.enter_context(open_weights(file))
            except WeightsError as error:
                if released is None:
                    raise
                raise WeightsError(f"{error} Delete {file} to have it downloaded again.") from error
            converter = get_converter(released.converter) if released else recognise(model_slots, opened)
            steps = matcher.plan(model_slots, opened.tensors, converter, trunk_only=trunk_only or self.trunk_only)
            values = matcher.read(own.read_checked(opened, steps))
        if released is not None:
            note_hash(released, file)
        matcher.assign(values)
