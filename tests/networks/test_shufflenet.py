"""What is ShuffleNet's own: the shuffle, its forms, and widths that do not divide into groups."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception.custom_layers import ChannelShuffle, LocalResponseNormalization
from keras_inception.layers import channel_shuffle
from keras_inception.models.shufflenet import VARIANTS, widths

SMALL = {"alpha": 0.25, "input_shape": (32, 32, 3), "classes": 5, "classifier_activation": None}


def _shuffle(images, groups, sizes):
    inputs = keras.Input((*sizes, images.shape[-1]))
    model = keras.Model(inputs, channel_shuffle(inputs, groups, name="shuffle"))
    return np.asarray(model(images)), [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("sizes", [(4, 5), (None, None), (None, 5)])
def test_the_shuffle_reads_the_table_of_groups_column_by_column(sizes):
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 12)).astype("float32")
    shuffled, kinds = _shuffle(images, 3, sizes)
    # three groups of four: the first of each group, the second of each group, ...
    np.testing.assert_array_equal(shuffled, images[..., [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]])
    assert ("ChannelShuffle" in kinds) == (None in sizes)
    restored, _ = _shuffle(shuffled, 12 // 3, sizes)
    np.testing.assert_array_equal(restored, images)


def test_a_network_for_any_size_equals_the_one_for_a_known_size(tmp_path):
    fixed = ki.ShuffleNet(**SMALL)
    free = ki.ShuffleNet(**SMALL | {"input_shape": (None, None, 3)})
    free.set_weights(fixed.get_weights())
    free.save(tmp_path / "free.keras")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    expected = np.asarray(fixed(images))
    loaded = keras.models.load_model(tmp_path / "free.keras")
    np.testing.assert_allclose(np.asarray(loaded(images)), expected, rtol=1e-5, atol=1e-6)
    assert np.asarray(loaded(np.zeros((1, 45, 38, 3), "float32"))).shape == (1, 5)


@pytest.mark.parametrize("layer", [ChannelShuffle(2), LocalResponseNormalization(alpha=0.5)])
def test_layers_keep_the_data_format_that_they_were_made_under(layer):
    images = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype("float32")
    expected = np.asarray(layer(images))
    keras.config.set_image_data_format("channels_first")
    try:
        loaded = type(layer).from_config(layer.get_config())
        first = type(layer).from_config(layer.get_config() | {"data_format": None})
        np.testing.assert_array_equal(loaded(images), expected)
        np.testing.assert_allclose(np.moveaxis(first(np.moveaxis(images, -1, 1)), 1, -1), expected, rtol=1e-6)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_network_for_a_known_size_loads_without_this_package(tmp_path):
    ki.ShuffleNet(**SMALL).save(tmp_path / "fixed.keras")
    code = (
        "import sys, keras; print(keras.models.load_model(sys.argv[1]).output_shape, 'keras_inception' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "fixed.keras")]
    environment = os.environ | {"KERAS_BACKEND": "numpy"}  # the quickest to be there
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "(None, 5) False\n", done.stderr


def test_megviis_form_is_the_papers_with_permuted_depthwise_channels():
    """The inverse shuffle after the depthwise convolution is that shuffle before it, its channels permuted."""
    paper = ki.ShuffleNet(variant="tensorpack", **SMALL, numerics=ki.Numerics(epsilon=1e-5))
    megvii = ki.ShuffleNet(variant="megvii", **SMALL, numerics=ki.Numerics(epsilon=1e-5))
    rng = np.random.default_rng(0)
    for layer in megvii.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    blocks = [f"stage3_unit{index}" for index in range(2, 9)]
    for source in megvii.layers:
        if not source.weights or not any(source.name.startswith(f"{block}_") for block in blocks):
            continue
        values = source.get_weights()
        if "_b_" in source.name:
            inside = megvii.get_layer(source.name.rpartition("_")[0] + "_conv").output.shape[-1]
            permutation = np.arange(inside).reshape(inside // 3, 3).T.ravel()
            values = [value[:, :, permutation] if value.ndim == 4 else value[permutation] for value in values]
        paper.get_layer(source.name).set_weights(values)
    images = rng.uniform(0, 1, (2, 2, 2, 120)).astype("float32")

    def between(model):
        return keras.Model(model.get_layer("stage3_unit1").output, model.get_layer("stage3_unit8").output)

    expected = np.asarray(between(megvii)(images))
    result = np.asarray(between(paper)(images))
    assert np.abs(result - expected).max() < 1e-5 * np.abs(expected).max()


def test_units_of_stride_two_concatenate_in_the_order_of_their_form():
    for variant, form in VARIANTS.items():
        model = ki.ShuffleNet(variant=variant, **SMALL)
        first = model.get_layer("stage3_unit1_concat").input[0]
        assert ("pool" in first._keras_history.operation.name) == form.shortcut_first


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
def test_all_widths_divide_into_groups(variant, groups):
    for alpha in (0.1, 0.25, 0.33, 0.5, 0.75, 1.0, 1.5, 2.0):
        stem, stages = widths(groups, alpha, VARIANTS[variant])
        inputs = [stem, *stages.values()]
        for before, after in itertools.pairwise(inputs):
            assert after % (4 * groups) == 0
            assert (after - before) % groups == 0
            assert after > before


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("groups", [1, 3, 8])
def test_every_stage_halves_however_narrow(variant, groups):
    for alpha in (0.01, 0.04, 0.1):
        with keras.StatelessScope(initialize_variables=False):
            shape = {"include_top": False, "input_shape": (224, 224, 3)}
            model = ki.ShuffleNet(variant=variant, groups=groups, alpha=alpha, **shape)
        assert model.output_shape[1:3] == (7, 7)


@pytest.mark.parametrize("groups", [5, 0, "3", None])
def test_other_groups_are_refused(groups):
    with pytest.raises(ValueError, match="groups must be one of 1, 2, 3, 4, 8. Received: groups="):
        ki.ShuffleNet(groups=groups)
