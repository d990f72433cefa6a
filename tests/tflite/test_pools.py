"""Average pools as depthwise convolutions, which compute the same."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers

from keras_inception.tflite.network.pools import convolve_pools


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
