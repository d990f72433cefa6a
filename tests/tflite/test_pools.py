"""Average pools that move and that become convolutions, and strides as pools, which compute the same."""

import keras
import numpy as np
import pytest
from tflite_helpers import answers

from keras_inception.tflite.network.graph import maker
from keras_inception.tflite.network.pools import convolve_pools, postpone_pools
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


def test_the_relu_of_a_padded_pool_comes_before_its_factors():
    """Integers of the convolution's answer keep no sign then."""
    pixels = keras.Input((13, 16, 3))
    x = keras.layers.AveragePooling2D(3, strides=1, padding="same", name="pool")(pixels)
    model = keras.Model(pixels, keras.layers.Activation("relu", name="relu")(keras.layers.Identity(name="norm")(x)))
    convolved = convolve_pools(model)
    made_by = [layer.name for layer in convolved.layers[1:]]
    assert made_by[:3] == ["pool", "norm", "relu"]
    assert maker(convolved.outputs[0])[0].name not in made_by[:3]  # the product
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 13, 16, 3)).astype("float32")
    np.testing.assert_allclose(answers(convolved, pictures), answers(model, pictures), rtol=1e-5, atol=1e-6)


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


def after_a_pool(**changes) -> keras.Model:
    """A pool of eight channels, a 1x1 convolution to three that reads it, batch norm and ReLU."""
    keras.utils.set_random_seed(0)
    options = {"filters": 3, "kernel_size": 1, "strides": 1, "groups": 1} | changes
    pool = {"pool_size": 3, "strides": options.pop("pool_strides", 1), "padding": options.pop("pool_padding", "same")}
    pixels = keras.Input((13, 16, 3))
    x = keras.layers.AveragePooling2D(**pool, name="pool")(keras.layers.Conv2D(8, 3, name="conv")(pixels))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(**options, name="projection")(x))
    model = keras.Model(pixels, keras.layers.Activation("relu", name="relu")(x))
    model.get_layer("projection").bias.assign(np.linspace(-0.1, 0.1, options["filters"]))
    return model


def test_pools_come_after_the_convolution_that_reduces_their_channels():
    model = after_a_pool()
    postponed = postpone_pools(model)
    assert [(layer.name, type(layer).__name__) for layer in postponed.layers[2:4]] == [
        ("projection_unpooled", "Conv2D"),
        ("projection", "AveragePooling2D"),
    ]
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 13, 16, 3)).astype("float32")
    np.testing.assert_allclose(answers(postponed, pictures), answers(model, pictures), rtol=1e-5, atol=1e-5)
    of_projection = [keras.Model(m.inputs[0], m.get_layer("projection").output) for m in (postponed, model)]
    np.testing.assert_allclose(*(answers(m, pictures) for m in of_projection), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"pool_strides": 2},
        {"pool_padding": "valid"},
        {"filters": 8},
        {"kernel_size": 3},
        {"strides": 2},
        {"filters": 2, "groups": 2},
        {"activation": "relu"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_pools_stay_where_moving_them_changes_something_or_gains_nothing(changes: dict):
    model = after_a_pool(**changes)
    assert postpone_pools(model) is model


def test_a_pool_stays_before_a_convolution_that_is_called_elsewhere_too():
    pixels = keras.Input((13, 16, 3))
    x = keras.layers.Conv2D(8, 3, name="conv")(pixels)
    shared = keras.layers.Conv2D(3, 1, name="shared")
    pooled = keras.layers.AveragePooling2D(3, strides=1, padding="same", name="pool")(x)
    model = keras.Model(pixels, keras.layers.Concatenate()([shared(pooled), shared(x)]))
    assert postpone_pools(model) is model


def test_a_pool_that_others_read_or_that_is_the_answer_stays():
    model = after_a_pool()
    read_twice = keras.layers.Concatenate()([model.get_layer("pool").output, model.output])
    for outputs in (read_twice, [model.output, model.get_layer("pool").output]):
        network = keras.Model(model.inputs, outputs)
        assert postpone_pools(network) is network
