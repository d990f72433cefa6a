"""Exact counts of every published form of every network: trainable weights, all weights, multiply-adds.

Each row: registry id, builder arguments, trainable weights, all weights (with the moving statistics), multiply-adds.
None: no figure is known for it. The figures are those of the reference implementations, not of this package.
"""

import math

import pytest

import keras_inception as ki
from keras_inception import numerics
from keras_inception.graph import multiply_adds

INCEPTION_V1 = [
    ("inception_v1", {}, 6_617_624, 6_632_184, 1_498_376_192),
    ("inception_v1", {"classes": 1001}, 6_618_649, 6_633_209, 1_498_377_216),
    ("inception_v1", {"include_top": False}, 5_592_624, 5_607_184, None),
    ("inception_v1", {"numerics": numerics.TORCHVISION_GOOGLENET}, 6_624_904, 6_639_464, 1_498_376_192),
    ("inception_v1", {"numerics": numerics.TORCHVISION_GOOGLENET, "aux_heads": True}, 13_004_888, 13_019_960, None),
    ("inception_v1", {"variant": "bn"}, 6_998_552, None, 1_582_671_872),
    ("inception_v1", {"variant": "bn", "numerics": numerics.KERAS}, 7_005_832, None, 1_582_671_872),
    ("inception_v1", {"variant": "paper"}, 6_998_552, 6_998_552, 1_582_671_872),
    ("inception_v1", {"variant": "paper", "aux_heads": True}, 13_378_280, 13_378_280, 1_591_044_096),
    ("inception_v1", {"variant": "paper", "naive": True}, 97_526_008, 97_526_008, None),
]

ROWS = [*INCEPTION_V1]


def _label(row) -> str:
    name, arguments, *_ = row
    shown = (value.__class__.__name__ if key == "numerics" else value for key, value in arguments.items())
    return "-".join([name, *(f"{key}={value}" for key, value in zip(arguments, shown, strict=True))])


@pytest.mark.parametrize("row", ROWS, ids=_label)
def test_counts(row):
    name, arguments, trainable, total, macs = row
    model = ki.create_model(name, **arguments)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == trainable
    if total is not None:
        assert model.count_params() == total
    if macs is not None:
        assert multiply_adds(model) == macs


@pytest.mark.parametrize("name", ki.list_models())
def test_the_registry_tells_the_same_counts(name):
    entry = ki.get_entry(name)
    model = ki.create_model(name)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == entry.parameters
    assert multiply_adds(model) == entry.multiply_adds
