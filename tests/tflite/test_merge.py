"""Branches merged before an export: fewer operations, the same answers."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers, fit_batch_norms, two_headed

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.merge import convolve_pools


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


@pytest.mark.parametrize(
    "pool",
    [{"padding": "same", "strides": 1}, {"padding": "same", "strides": 2}, {"padding": "valid", "strides": 1}],
    ids=lambda pool: f"{pool['padding']}-{pool['strides']}",
)
def test_pools_as_convolutions_equal_the_network(pool: dict):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((13, 16, 3))
    x = keras.layers.AveragePooling2D(3, name="pool", **pool)(keras.layers.Conv2D(4, 3, name="conv")(pixels))
    model = keras.Model(pixels, keras.layers.Conv2D(5, 1, name="projection")(x))
    convolved = convolve_pools(model)
    assert not any(isinstance(layer, keras.layers.AveragePooling2D) for layer in convolved.layers)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 13, 16, 3)).astype("float32")
    np.testing.assert_allclose(answers(convolved, pictures), answers(model, pictures), rtol=1e-5, atol=1e-4)
