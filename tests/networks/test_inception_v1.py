"""What is GoogLeNet's own: its table, its naive form, its auxiliary heads, its numerics."""

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception.custom_layers import LocalResponseNormalization
from keras_inception.graph import block_table

# Weights and multiply-adds (in millions) of each module in the paper's Table 1 widths, from the fact sheet.
MODULES = {
    "inception_3a": (163_328, 128.05, 256),
    "inception_3b": (388_096, 304.27, 480),
    "inception_4a": (375_552, 73.61, 512),
    "inception_4b": (448_512, 87.91, 512),
    "inception_4c": (509_440, 99.85, 512),
    "inception_4d": (604_672, 118.52, 528),
    "inception_4e": (867_328, 170.00, 832),
    "inception_5a": (1_042_432, 51.08, 832),
    "inception_5b": (1_442_816, 70.70, 1024),
}
NAIVE_CHANNELS = (416, 832, 1280, 1728, 2176, 2640, 3344, 4048, 4944)


@pytest.mark.parametrize("variant", ["paper", "bn"])
def test_the_block_table_is_the_papers(variant):
    rows = {row.name: row for row in block_table(ki.InceptionV1(variant=variant))}
    assert rows["conv1"].output_shape == (112, 112, 64)
    assert (rows["conv1"].weights, rows["conv2"].weights) == (9_408, 114_688)
    for name, (weights, millions, channels) in MODULES.items():
        assert rows[name].weights == weights
        assert round(rows[name].multiply_adds / 1e6, 2) == millions
        assert rows[name].output_shape[-1] == channels


def test_the_naive_modules():
    rows = {row.name: row for row in block_table(ki.InceptionV1(variant="paper", naive=True, input_shape=(64, 64, 3)))}
    assert rows["inception_3a"].weights == 387_072
    assert tuple(rows[name].output_shape[-1] for name in MODULES) == NAIVE_CHANNELS


def test_auxiliary_outputs_are_named_and_tap_the_right_modules():
    model = ki.InceptionV1(
        classes=7,
        aux_heads=True,
        stem="low_resolution",
        input_shape=(32, 32, 1),
        alpha=0.25,
        classifier_activation=None,
    )
    outputs = model(np.zeros((2, 32, 32, 1), "float32"))
    assert {name: value.shape for name, value in outputs.items()} == dict.fromkeys(
        ("predictions", "aux1", "aux2"), (2, 7)
    )
    for head, tap in {"aux1": "inception_4a", "aux2": "inception_4d"}.items():
        assert model.get_layer(f"{head}_pool").input is model.get_layer(tap).output


def test_the_low_resolution_stem_keeps_small_images_large():
    model = ki.InceptionV1(stem="low_resolution", include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    assert model.output_shape == (None, 8, 8, 256)


def test_alpha_follows_slims_rule():
    model = ki.InceptionV1(alpha=0.25, include_top=False)
    assert model.get_layer("inception_3a_branch2_a_1x1_conv").filters == 16
    assert model.get_layer("inception_5b_branch0_a_1x1_conv").filters == 96


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"variant": "caffe"}, "variant must be one of 'slim', 'bn', 'paper'. Received: variant='caffe'"),
        ({"stem": "tiny"}, "stem must be one of"),
        ({"input_shape": (31, 32, 3)}, r"at least 32x32 pixels in this form. Received: input_shape=\(31, 32, 3\)"),
        ({"aux_heads": True, "input_shape": (64, 64, 3)}, "at least 65x65"),
        ({"aux_heads": True, "input_shape": (None, None, 3)}, "images of a known size. Received"),
        ({"aux_heads": True, "include_top": False}, "needs include_top=True"),
    ],
)
def test_bad_arguments_build_nothing(arguments, message, monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "__call__", lambda *a, **k: pytest.fail("a layer was built"))
    with pytest.raises(ValueError, match=message):
        ki.InceptionV1(**arguments)


def test_local_response_normalisation_is_the_formula():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 7)).astype("float32") * 100
    expected = np.empty_like(x)
    for channel in range(7):
        window = x[..., max(channel - 2, 0) : channel + 3]
        expected[..., channel] = x[..., channel] / (1 + 2e-5 * (window**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(LocalResponseNormalization()(x), expected, rtol=1e-5)


def test_local_response_normalisation_survives_float16():
    x = np.full((1, 2, 2, 8), 1000.0, "float16")  # its square is over float16's largest number
    result = keras.ops.convert_to_numpy(LocalResponseNormalization(dtype="mixed_float16")(x))
    assert result.dtype == np.float16 and np.isfinite(result).all() and (result > 0).all()


def test_saved_and_loaded_without_custom_objects(tmp_path):
    model = ki.InceptionV1(variant="paper", stem="low_resolution", input_shape=(16, 16, 3), classes=3, alpha=0.25)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
