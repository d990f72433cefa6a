"""Kernels to begin with: principal components of the training images, and identities; flips that alternate."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_helpers import tiny_config, with_pipeline

from keras_inception.training import train
from keras_inception.training.config import AugmentConfig, ModelConfig, TrainConfig
from keras_inception.training.data.images import ArrayImages
from keras_inception.training.data.sources import open_splits
from keras_inception.training.engine.beginning import begin_as_identities, principal_kernels
from keras_inception.training.engine.network import build_model
from keras_inception.training.pipeline.training import training_batches

CELL = ModelConfig(
    name="inception_cell", image_size=16, channels=3, aux_heads=False, options={"stem": "half_resolution", "width": 32}
)


def first_of(model):
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def smooth_images(count=64, size=16):
    """Pictures whose neighbouring pixels are alike, as photographs' are."""
    coarse = np.random.default_rng(0).uniform(0, 255, (count, 4, 4, 3))
    pixels = np.asarray(tf.image.resize(coarse, (size, size), "bicubic")).clip(0, 255).astype(np.uint8)
    labels = np.arange(count) % 3
    return ArrayImages(pixels, labels, [str(i) for i in range(count)])


def test_principal_kernels_whiten_what_they_come_from():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 5)) + 3.0
    kernels = principal_kernels(patches)
    assert kernels.shape == (5, 10)
    np.testing.assert_array_equal(kernels[:, ::2], -kernels[:, 1::2])
    covariance = np.cov(patches @ kernels[:, ::2], rowvar=False)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-5)
    shares = np.diag(covariance)
    assert (np.diff(shares) < 0).all(), "the component of largest variance comes first"
    variances = np.sort(np.linalg.eigvalsh(np.cov(patches, rowvar=False)))[::-1]
    np.testing.assert_allclose(shares, variances / (variances + 5e-4 * variances.mean()), rtol=1e-4)


@pytest.mark.parametrize("width", [24, 480], ids=["fewer filters", "more filters"])
def test_the_first_convolution_sees_uncorrelated_values_of_one_variance(width):
    images = smooth_images()
    config = TrainConfig(model=dataclasses.replace(CELL, whitened=True, options=CELL.options | {"width": width}))
    keras.utils.set_random_seed(0)
    without = build_model(config, 3)
    keras.utils.set_random_seed(0)
    model = build_model(config, 3, images=images)
    first = first_of(model)
    outputs = keras.Model(model.input, first.output)(images.pixels.astype("float32"))
    outputs = np.asarray(outputs)[:, 1:-1, 1:-1].reshape(-1, first.filters)  # the border sees zeros
    whitened = min(first.filters, 2 * 27)
    values = outputs[:, :whitened:2]
    correlation = np.cov(values, rowvar=False) - np.eye(values.shape[1])
    assert np.abs(correlation[:3, :3]).max() < 0.15, "a grid of patches tells of all"
    np.testing.assert_allclose(outputs[:, 1:whitened:2], -values, atol=1e-4)
    assert not first.trainable
    np.testing.assert_array_equal(first.kernel[..., whitened:], first_of(without).kernel[..., whitened:])
    assert first_of(without).trainable
    assert len(model.trainable_variables) == len(without.trainable_variables) - 1


def test_identities_pass_channels_on():
    image = keras.Input((6, 6, 4))
    narrow = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="narrow")(image)
    wide = keras.layers.Conv2D(6, 1, use_bias=False, name="wide")(image)
    grouped = keras.layers.Conv2D(4, 3, groups=2, use_bias=False, name="grouped")(image)
    model = keras.Model(image, [narrow, wide, grouped])
    before = {layer.name: np.array(layer.kernel) for layer in model.layers[1:]}
    begin_as_identities(model)
    pixels = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    narrow, wide, _ = (np.asarray(output) for output in model(pixels))
    np.testing.assert_allclose(narrow, pixels[..., :3], rtol=1e-6)
    np.testing.assert_allclose(wide[..., :4], pixels, rtol=1e-6)
    np.testing.assert_array_equal(model.get_layer("wide").kernel[..., 4:], before["wide"][..., 4:])
    np.testing.assert_array_equal(model.get_layer("grouped").kernel, before["grouped"])


def test_a_run_keeps_its_first_kernels(tmp_path):
    model = dataclasses.replace(tiny_config().model, whitened=True, identity=True, aux_heads=False)
    config = tiny_config(model=model)
    run = train(config, tmp_path / "run")
    keras.utils.set_random_seed(config.seed)
    begun = build_model(config, 10, images=open_splits(config.resolved()).train)
    trained = run.model()
    np.testing.assert_array_equal(first_of(trained).kernel, first_of(begun).kernel)
    moved = [
        np.abs(np.asarray(weight) - np.asarray(other)).max()
        for weight, other in zip(trained.trainable_variables, begun.trainable_variables, strict=True)
    ]
    assert min(moved) > 0


@pytest.mark.parametrize("name", ["whitened", "identity"])
def test_weights_to_start_from_and_such_a_start_exclude_each_other(name):
    config = TrainConfig(model=dataclasses.replace(CELL, weights="imagenet", **{name: True}))
    with pytest.raises(ValueError, match=rf"model.{name} is for networks that start from random weights. Received: "):
        config.validate()


def test_flips_alternate_from_epoch_to_epoch():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 12, 12, 3)).astype(np.uint8)
    images = ArrayImages(pixels, np.arange(40) % 3, [str(i) for i in range(40)])
    model = ModelConfig(image_size=12, channels=3)
    config = with_pipeline(
        TrainConfig(model=model, epochs=4), batch_size=8, augment=AugmentConfig(alternate_flips=True)
    )
    mirrored = np.zeros((4, 40), int)
    for step, (batch, _) in enumerate(training_batches(images, config, 3).as_numpy_iterator()):
        for picture in batch:
            plain, turned = (
                np.abs(form - picture).sum(axis=(1, 2, 3))
                for form in (pixels.astype(int), pixels[:, :, ::-1].astype(int))
            )
            index = int(np.minimum(plain, turned).argmin())
            assert min(plain[index], turned[index]) == 0
            mirrored[step // 5, index] = 1 + (turned[index] == 0)
    assert (mirrored > 0).all(), "every image once an epoch"
    assert 10 < (mirrored[0] == 2).sum() < 30
    np.testing.assert_array_equal(mirrored[0] + mirrored[1], 3)
    np.testing.assert_array_equal(mirrored[::2], mirrored[:1].repeat(2, axis=0))
