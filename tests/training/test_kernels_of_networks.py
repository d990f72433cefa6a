"""Fused batch norms against Keras's inside every network, over fifty steps of training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_inception as ki
from keras_inception.training.engine import batch_norm

STEPS, BATCH, LIMIT = 50, 8, 1e-5
OPTIONS = {"inception_v1": {"alpha": 0.25}, "mobilenet_v2": {"alpha": 0.35}}
"""Of the slow test; the proof takes every network as it is."""


def compared(layer, worst):
    """A batch norm's call that trains on the fused result, and keeps how far Keras's is from it.

    Differences are those of vectors a channel: of outputs by the size of the outputs, of gradients by that of the
    gradients that come in, scaled as the layer scales them, since what goes out may cancel to nothing.
    """
    kerass = layer.call

    def note(place, difference, size):
        worst.scatter_nd_max([[place]], [tf.reduce_max(difference / (size + 1e-20))])

    def norm(values):
        return tf.sqrt(tf.reduce_sum(tf.square(values), axis=tf.range(tf.rank(values) - 1)))

    @tf.custom_gradient
    def both(inputs, gamma, beta):
        parts = [inputs, gamma, beta]
        with tf.GradientTape() as ours:
            ours.watch(parts)
            outputs, mean, variance = batch_norm.normalise(*parts, layer.epsilon)
        with tf.GradientTape() as theirs:
            theirs.watch(parts)
            keras_mean, keras_variance = tf.nn.moments(inputs, [0, 1, 2])
            expected = tf.nn.batch_normalization(inputs, keras_mean, keras_variance, beta, gamma, layer.epsilon)
        note(0, norm(outputs - expected), norm(expected))
        note(1, tf.abs(mean - keras_mean), tf.abs(keras_mean) + tf.sqrt(keras_variance))
        note(2, tf.abs(variance - keras_variance), keras_variance + layer.epsilon)

        def gradients(upstream):
            fused, kept = ours.gradient(outputs, parts, upstream), theirs.gradient(expected, parts, upstream)
            deviation = tf.sqrt(keras_variance + layer.epsilon)
            count = tf.sqrt(tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32))
            sizes = [norm(upstream) * tf.abs(gamma) / deviation, norm(upstream) * count, norm(upstream) * count]
            for place, (one, other, size) in enumerate(zip(fused, kept, sizes, strict=True), start=3):
                note(place, norm(one - other) if place == 3 else tf.abs(one - other), size)
            return fused

        return (outputs, mean, variance), lambda upstream, *_: gradients(upstream)

    def call(inputs, training=None, mask=None):
        if not training:
            return kerass(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        gamma = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
        beta = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
        outputs, mean, variance = both(inputs, gamma, beta)
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
        return outputs

    return call


def worst_differences(name, **options):
    """Of outputs, mean, variance and gradients of inputs, gamma and beta, over all layers and steps; the loss too."""
    keras.utils.set_random_seed(0)
    size = max(ki.get_entry(name).min_size, 32)
    network = ki.create_model(name, input_shape=(size, size, 3), classes=10, **options)
    worst, layers = (
        tf.Variable(tf.zeros(6), trainable=False),
        [layer for layer in network.layers if batch_norm.can_be_fused(layer)],
    )
    assert layers
    for layer in layers:
        layer.call = compared(layer, worst)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    network.compile(optimizer, "categorical_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    targets = np.eye(10, dtype="float32")[rng.integers(0, 10, BATCH)]
    pixels = rng.uniform(-1, 1, (BATCH, size, size, 3)).astype("float32")
    losses = [network.train_on_batch(pixels, targets) for _ in range(STEPS)]
    return worst.numpy(), losses


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(name, options, marks=pytest.mark.slow) for name, options in OPTIONS.items()]
    + [pytest.param(name, {}, marks=pytest.mark.proof) for name in ki.list_models()],
)
def test_every_batch_norm_of_a_network_is_kerass_over_fifty_steps(name, options):
    worst, losses = worst_differences(name, **options)
    assert np.isfinite(losses).all()
    assert np.min(losses[-5:]) < losses[0]
    assert (worst > 0).any()
    np.testing.assert_array_less(worst, LIMIT)
