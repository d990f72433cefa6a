"""Whether a file holds the network that it says it holds, found out without making a single weight."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from keras_inception.registry import get_entry
from keras_inception.weights import matcher
from keras_inception.weights.own import own_converter
from keras_inception.weights.readers import open_weights
from keras_inception.weights.sets import WeightSet
from keras_inception.weights.slots import Slot, slots


def check_shapes(weight_set: WeightSet, path: Path) -> None:
    """Checks that a file has every weight of the trunk that it describes, before memory is taken for any.

    Raises:
        ValueError: The network cannot be built.
        WeightsError: A weight is missing or has another shape.
    """
    # Keras keeps its state by thread: with the thread goes all that was noted of a network that is never made.
    with ThreadPoolExecutor(max_workers=1) as thread, open_weights(path) as file:
        trunk = thread.submit(_trunk, weight_set).result()
        matcher.plan(trunk, file.tensors, own_converter(trunk, file.tensors), trunk_only=True)


def _trunk(weight_set: WeightSet) -> list[Slot]:
    import keras

    with keras.StatelessScope(initialize_variables=False):
        builder = get_entry(weight_set.network).load_builder()
        return slots(builder(include_top=False, numerics=weight_set.numerics, **weight_set.arguments))
