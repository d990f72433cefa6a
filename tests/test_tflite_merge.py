"""Branches merged before an export: fewer operations, the same answers."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers, fit_batch_norms, two_headed

import keras_inception as ki
import keras_inception.tflite as kt


@pytest.mark.parametrize("name", ["inception_v3", "inception_v1"])
def test_merged_branches_equal_the_network(name: str):
    keras.utils.set_random_seed(0)
    size = ki.get_entry(name).min_size
    model = ki.create_model(name, alpha=0.25, input_shape=(size, size, 3), classes=10, include_preprocessing=True)
    pictures = np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype("float32")
    fit_batch_norms(model, pictures)
    folded, merged = kt.deploy(model, fold=True), kt.deploy(model, fold=True, merge=True)
    expected, answer = answers(model, pictures), answers(merged, pictures)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    kinds = [[layer for layer in twin.layers if isinstance(layer, keras.layers.Conv2D)] for twin in (folded, merged)]
    assert len(kinds[1]) < len(kinds[0])  # and no weight is lost or doubled
    assert merged.count_params() == folded.count_params()
    for pool in (layer for layer in merged.layers if isinstance(layer, keras.layers.AveragePooling2D)):
        reader = pool._inbound_nodes[0].parent_nodes[0].operation
        assert isinstance(reader, keras.layers.Conv2D), pool.name


def test_branches_are_merged_after_folding_only():
    with pytest.raises(kt.ExportError, match="set fold=True too"):
        kt.deploy(two_headed(), merge=True)
