"""Average pools as depthwise convolutions and strides as pools, which compute the same."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers

from keras_inception.tflite.network.pools import convolve_pools
from keras_inception.tflite.network.strides import subsample_first


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


def test_pools_that_read_padding_alone_become_convolutions():
    pixels = keras.Input((13, 16, 3))
    padded = keras.layers.AveragePooling2D(3, name="padded")(keras.layers.ZeroPadding2D(1)(pixels))
    model = keras.Model(pixels, keras.layers.AveragePooling2D(2, name="plain")(padded))
    convolved = convolve_pools(model, padded=True)
    assert isinstance(convolved.get_layer("padded"), keras.layers.DepthwiseConv2D)
    assert isinstance(convolved.get_layer("plain"), keras.layers.AveragePooling2D)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 13, 16, 3)).astype("float32")
    np.testing.assert_allclose(answers(convolved, pictures), answers(model, pictures), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("options", [{"strides": 2}, {"strides": 2, "padding": "same"}, {"strides": (1, 2)}])
def test_convolutions_of_one_pixel_have_no_strides(options: dict):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((13, 16, 4))
    x = keras.layers.Conv2D(8, 1, groups=2, name="skips", **options)(pixels)
    model = keras.Model(pixels, keras.layers.Conv2D(5, 3, strides=2, name="sees_three")(x))
    whole = subsample_first(model)
    assert (whole.get_layer("skips").strides, whole.get_layer("sees_three").strides) == ((1, 1), (2, 2))
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 13, 16, 4)).astype("float32")
    np.testing.assert_allclose(answers(whole, pictures), answers(model, pictures), rtol=1e-5, atol=1e-5)
