"""What augmentation does to pixels and targets, against plain arithmetic; the order of images; parts of JPEG files."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from training_helpers import tiny_config

from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.decode import cut, decode_bytes, decode_bytes_window
from keras_inception.training.data.order import Order, indexed_batches, shuffled, uniforms
from keras_inception.training.pipeline import randaugment as ra
from keras_inception.training.pipeline.augment import crop_window, draws_needed, vary
from keras_inception.training.pipeline.preparing import prepare

SEED = tf.constant([3, 4], tf.int64)


def draws_for(count: int, settings: AugmentConfig, seed: int = 0) -> tf.Tensor:
    return uniforms(seed, tf.constant(0, tf.int64), tf.range(count, dtype=tf.int64), draws_needed(settings))


def noise(count: int = 8, size: int = 16, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


def varied(settings: AugmentConfig, pixels: np.ndarray, targets: np.ndarray | None = None) -> tuple:
    targets = np.eye(len(pixels), dtype=np.float32) if targets is None else targets
    found = vary(
        tf.constant(pixels), tf.constant(targets), draws_for(len(pixels), settings), SEED, settings, len(pixels)
    )
    return tuple(values.numpy() for values in found)


def test_draws_are_uniform_independent_and_each_images_own():
    values = draws_for(4000, AugmentConfig()).numpy()
    assert values.min() >= 0
    assert values.max() < 1
    assert np.abs(values.mean(axis=0) - 0.5).max() < 0.03
    assert np.abs(values.var(axis=0) - 1 / 12).max() < 0.01
    correlation = np.corrcoef(values.T) - np.eye(values.shape[1])
    assert np.abs(correlation).max() < 0.08
    assert np.abs(np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]) < 0.06
    one = uniforms(0, tf.constant(0, tf.int64), tf.constant([17], tf.int64), values.shape[1]).numpy()
    np.testing.assert_array_equal(one[0], values[17])
    other = uniforms(0, tf.constant(1, tf.int64), tf.constant([17], tf.int64), values.shape[1]).numpy()
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1797])
def test_every_epoch_is_a_permutation_of_its_own(count):
    places = tf.range(count, dtype=tf.int64)
    orders = [shuffled(places, 5, tf.constant(epoch, tf.int64), count).numpy() for epoch in range(2)]
    for order in orders:
        assert sorted(order) == list(range(count))
    assert count < 4 or not np.array_equal(*orders)


def test_an_order_is_entered_at_any_step_in_any_slice():
    order = Order(seed=1, epochs=2, steps=3, batch_size=4)
    whole = [indices.tolist() for _, indices in indexed_batches(order, 13).as_numpy_iterator()]
    assert len(whole) == 6
    assert len({index for batch in whole[:3] for index in batch}) == 12
    later = dataclasses.replace(order, first_epoch=1, first_step=1, shard=(1, 2))
    assert [indices.tolist() for _, indices in indexed_batches(later, 13).as_numpy_iterator()] == [
        batch[2:] for batch in whole[4:]
    ]


def test_crops_keep_to_area_and_aspect_and_reach_every_place():
    settings = AugmentConfig(min_area=0.05)
    shape = tf.constant([300, 400])
    windows = np.array([crop_window(shape, draws, settings).numpy() for draws in draws_for(600, settings)])
    top, left, height, width = windows.T
    assert min(top.min(), left.min()) >= 0
    assert (top + height).max() <= 300
    assert (left + width).max() <= 400
    areas, aspects = height * width / 120_000, width / height
    assert areas.min() > 0.045
    assert areas.max() <= 1
    assert aspects.min() > 0.74
    assert aspects.max() < 1.35
    assert 0.4 < areas.mean() < 0.55  # evenly from 0.05 to what fits at the aspect ratio, at most 1
    assert np.abs((top + height / 2).mean() - 150) < 8
    assert np.abs((left + width / 2).mean() - 200) < 10


@pytest.fixture(scope="module")
def photo():
    """A smooth picture of 400 x 600 as JPEG bytes."""
    rows, columns = np.mgrid[0:400, 0:600]
    waves = [128 + 100 * np.sin(rows / (30 + 7 * c) + columns / (40 - 9 * c)) for c in range(3)]
    return tf.io.encode_jpeg(tf.constant(np.stack(waves, axis=-1).astype(np.uint8)), quality=95)


@pytest.mark.parametrize(("size", "reduction"), [(224, 1), (100, 2), (50, 4), (20, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_part_of_a_jpeg_is_decoded_alone_and_no_larger_than_needed(photo, size, reduction, channels):
    def window(shape):
        assert shape.shape == (2,)
        return tf.constant([64, 128, 224, 240])

    part = decode_bytes_window(photo, channels, window, size).numpy().astype(float)
    whole = cut(decode_bytes(photo, channels), window).numpy().astype(float)
    assert part.shape == (224 // reduction, 240 // reduction, channels)
    means = whole.reshape(224 // reduction, reduction, 240 // reduction, reduction, channels).mean(axis=(1, 3))
    assert np.abs(part - means).max() <= (6 if reduction == 1 else 12)  # colours differ at the window's edge
    assert np.abs(part - means).mean() < 1.5


def test_nothing_to_do_changes_nothing_and_flips_mirror():
    pixels = noise()
    settings = AugmentConfig(flip=True)
    found, targets = varied(settings, pixels)
    flipped = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(found, pixels, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(found, pixels, strict=True)])
    assert (flipped ^ same).all()
    assert 0 < flipped.sum() < 8
    np.testing.assert_array_equal(targets, np.eye(8))


def test_padded_crops_are_those_of_the_reflected_image():
    pixels = noise(count=20, size=8)
    found, _ = varied(AugmentConfig(crop_padding=3), pixels)
    shifts = set()
    for image, original in zip(found, pixels, strict=True):
        padded = np.pad(original, ((3, 3), (3, 3), (0, 0)), mode="reflect")
        places = [(t, c) for t in range(7) for c in range(7) if np.array_equal(padded[t : t + 8, c : c + 8], image)]
        assert len(places) == 1
        shifts.update(places)
    assert len(shifts) > 10


def test_brightness_adds_contrast_scales_and_saturation_keeps_the_luma():
    pixels = (noise(size=32) // 2 + 64).astype(np.uint8)
    brighter, _ = varied(AugmentConfig(brightness=0.2), pixels)
    steps = brighter.astype(int) - pixels
    assert [len(np.unique(step)) for step in steps] == [1] * 8
    assert len(np.unique(steps)) > 5
    assert np.abs(steps).max() <= 51

    means = pixels.mean(axis=(1, 2), keepdims=True)
    contrasted, _ = varied(AugmentConfig(contrast=0.5), pixels)
    inner = (contrasted > 0) & (contrasted < 255)
    for image, original, mean, inside in zip(contrasted, pixels, means, inner, strict=True):
        slope, offset = np.polyfit((original - mean)[inside], (image - mean)[inside], 1)
        assert 0.49 < slope < 1.51
        assert abs(offset) < 1

    luma = np.array([0.299, 0.587, 0.114])
    for settings in (AugmentConfig(saturation=0.5), AugmentConfig(hue=0.2)):
        found, _ = varied(settings, pixels)
        inside = ((found > 0) & (found < 255)).all(axis=-1)
        assert np.abs((found @ luma - pixels @ luma)[inside]).max() < 2.5
        assert np.abs(found.astype(int) - pixels).max() > 20


def test_a_half_turn_of_the_hue_makes_red_cyan():
    red = np.full((64, 4, 4, 3), (160, 100, 100), np.uint8)
    found, _ = varied(AugmentConfig(hue=0.5), red)
    turned = found[:, 0, 0].astype(int)
    assert (turned[:, 2] - turned[:, 0]).max() > 40  # bluer than red
    assert (turned[:, 1] - turned[:, 0]).max() > 30


def test_colours_of_grey_images_stay_grey():
    pixels = noise(channels=1)
    found, _ = varied(AugmentConfig(brightness=0.1, contrast=0.5), pixels)
    assert found.shape == pixels.shape
    assert not np.array_equal(found, pixels)


def test_erasing_leaves_a_rectangle_of_noise_in_the_set_share_of_images():
    pixels = np.full((200, 32, 32, 3), 7, np.uint8)
    found, _ = varied(AugmentConfig(erase=0.25), pixels)
    changed = (found != 7).any(axis=-1)
    touched = changed.any(axis=(1, 2))
    assert 0.15 < touched.mean() < 0.35
    for mask in changed[touched]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.98  # noise is seldom 7 in all channels
        assert 0.01 < mask.mean() < 0.4


def test_mixup_blends_pixels_and_targets_alike():
    pixels = np.repeat(np.arange(8, dtype=np.uint8) * 30, 16 * 16 * 3).reshape(8, 16, 16, 3)
    found, targets = varied(AugmentConfig(mixup=1.0), pixels)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 0, 0, 0], targets @ (np.arange(8) * 30.0), atol=0.51)
    assert [set(np.flatnonzero(row)) <= {i, i ^ 1} for i, row in enumerate(targets)] == [True] * 8
    assert targets.diagonal().std() > 0.05


def test_cutmix_gives_targets_the_share_of_the_pixels():
    pixels = np.repeat(np.arange(8, dtype=np.uint8) * 30, 32 * 32 * 3).reshape(8, 32, 32, 3)
    found, targets = varied(AugmentConfig(cutmix=1.0), pixels)
    for i, image in enumerate(found):
        assert set(np.unique(image)) <= {i * 30, (i ^ 1) * 30}
        assert targets[i, i] == pytest.approx((image == i * 30).mean(), abs=1e-5)
    assert ((targets > 0) & (targets < 1)).any()


def test_with_both_a_batch_draws_one_of_the_two():
    pixels = np.repeat(np.arange(8, dtype=np.uint8) * 30, 16 * 16 * 3).reshape(8, 16, 16, 3)
    settings, kinds = AugmentConfig(mixup=1.0, cutmix=1.0), set()
    for number in range(12):
        seed = tf.constant([number, 1], tf.int64)
        found, _ = vary(tf.constant(pixels), tf.eye(8), draws_for(8, settings), seed, settings, 8)
        blended = any(len(np.unique(image)) == 1 and image[0, 0, 0] % 30 for image in found.numpy())
        kinds.add("mixup" if blended else "cutmix")
    assert kinds == {"mixup", "cutmix"}


def test_a_batch_that_is_not_to_be_mixed_is_only_varied_otherwise():
    pixels, targets = tf.constant(noise()), tf.eye(8)
    draws = draws_for(8, AugmentConfig())
    others = vary(pixels, targets, draws, SEED, AugmentConfig(flip=True), 8)
    for kinds in ({"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 1.0, "cutmix": 1.0}):
        found = vary(pixels, targets, draws, SEED, AugmentConfig(flip=True, **kinds), 8, mixing=False)
        for values, expected in zip(found, others, strict=True):
            np.testing.assert_array_equal(values, expected)


def test_randaugment_computes_what_pillow_computes():
    pixels = (noise(count=1, size=24)[0] // 2 + 40).astype(np.uint8)
    image, tensor = Image.fromarray(pixels), tf.constant(pixels)
    half = tf.constant(0.5)
    for operation, expected, tolerance in [
        (ra._auto_contrast, ImageOps.autocontrast(image), 1),
        (ra._equalize, ImageOps.equalize(image), 0),
        (ra._posterize, ImageOps.posterize(image, 6), 0),
        (ra._solarize, ImageOps.solarize(image, 128), 0),
        (ra._brightness, ImageEnhance.Brightness(image).enhance(1.45), 1),
        (ra._color, ImageEnhance.Color(image).enhance(1.45), 1),
        (ra._contrast, ImageEnhance.Contrast(image).enhance(1.45), 2),
        (ra._sharpness, ImageEnhance.Sharpness(image).enhance(1.45), 2),
    ]:
        found = operation(tensor, half).numpy().astype(int)
        assert np.abs(found - np.asarray(expected)).max() <= tolerance, operation
    shifted = ra._translate_x(tensor, half).numpy()
    assert (shifted[:, -5:] == 128).all()
    np.testing.assert_array_equal(ra._shear_x(tensor, tf.constant(0.0)).numpy(), pixels)
    turned = ra._rotate(tensor, tf.constant(1.0)).numpy()
    assert (turned[0, 0] == 128).all()
    assert np.abs(turned[8:16, 8:16].astype(float).mean() - pixels[8:16, 8:16].mean()) < 12


def test_randaugment_computes_only_what_was_drawn(monkeypatch):
    def refuse(image, strength):
        with tf.control_dependencies([tf.debugging.Assert(False, ["computed in vain"])]):
            return tf.identity(image)

    drawn = ra.OPERATIONS.index(ra._brightness)
    monkeypatch.setattr(ra, "OPERATIONS", tuple(f if i == drawn else refuse for i, f in enumerate(ra.OPERATIONS)))
    image = tf.constant(noise(count=1)[0])
    draw = tf.constant([[(drawn + 0.5) / 14, 0.9]])
    function = tf.function(lambda picture, draws: ra.randaugment(picture, draws, 9.0))
    np.testing.assert_array_equal(function(image, draw).numpy(), ra._brightness(image, tf.constant(0.9)).numpy())
    with pytest.raises(tf.errors.InvalidArgumentError, match="computed in vain"):
        function(image, tf.constant([[0.0, 0.9]]))


def test_the_central_crop_keeps_its_share():
    config = tiny_config()
    pipeline = dataclasses.replace(config.pipeline, central_crop=0.5)
    pixels = np.zeros((48, 48, 1), np.uint8)
    pixels[9:39, 9:39] = 200  # the central half and a little more, for the filter
    assert prepare(tf.constant(pixels), dataclasses.replace(config, pipeline=pipeline)).numpy().min() == 200
    assert prepare(tf.constant(pixels), config).numpy().min() == 0
