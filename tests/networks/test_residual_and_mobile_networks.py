"""What is Xception's, ResNeXt's and the MobileNets' own, beside their counts and their outputs."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import numerics
from keras_inception.layers import conv_bn, pool
from keras_inception.models.mobilenet_v2 import Bottleneck, divisible
from keras_inception.ops import max_pool

NAMES = ["xception", "resnext50", "mobilenet_v1", "shufflenet", "mobilenet_v2"]


def _outputs(model, images):
    return np.asarray(model(images, training=False))


@pytest.mark.parametrize("name", NAMES)
def test_the_low_resolution_stem_removes_two_reductions(name):
    small = ki.create_model(name, include_top=False, stem="low_resolution", input_shape=(32, 32, 3))
    usual = ki.create_model(name, include_top=False, input_shape=(128, 128, 3))
    assert small.output.shape == usual.output.shape == (None, 4, 4, small.output.shape[-1])


@pytest.mark.parametrize("name", NAMES)
def test_networks_accept_the_smallest_size_and_any_size(name):
    model = ki.create_model(name, include_top=False, pooling="avg", input_shape=(None, None, 3))
    least = ki.get_entry(name).min_size
    for height, width in ((least, least), (47, 38)):
        assert np.isfinite(_outputs(model, np.ones((1, height, width, 3), "float32"))).all()
    with pytest.raises(ValueError, match=f"needs images of at least {least}x{least} pixels"):
        ki.create_model(name, input_shape=(least, least - 1, 3))


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_heads_are_refused_with_the_reason(name):
    with pytest.raises(ValueError, match="has no auxiliary heads: neither its paper nor a released network has one"):
        ki.create_model(name, aux_heads=True)


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("xception", {"P1": "conv2", "P2": "block2", "P3": "block3", "P4": "block12", "P5": "block14"}),
        ("resnext50", {"P2": "conv2_block3", "P3": "conv3_block4", "P4": "conv4_block6", "P5": "conv5_block3"}),
        ("mobilenet_v1", {"P1": "block1", "P2": "block3", "P3": "block5", "P4": "block11", "P5": "block13"}),
        ("mobilenet_v2", {"P1": "block1", "P2": "block3", "P3": "block6", "P4": "block13", "P5": "conv_last"}),
        ("shufflenet", {"P2": "pool1", "P3": "stage2_unit4", "P4": "stage3_unit8", "P5": "stage4_unit4"}),
    ],
)
def test_the_feature_pyramid_ends_each_stride(name, strides):
    model = ki.create_model(name, include_top=False, input_shape=(64, 64, 3))
    levels = ki.feature_pyramid(model).output
    for level, block in strides.items():
        assert levels[level].name == model.get_layer(block).output.name
    side = {level: output.shape[1] for level, output in levels.items()}
    assert side["P5"] == 2


def test_the_grouped_convolution_is_a_sum_over_paths():
    """The paper's figure 3: forms (a), aggregated paths, and (c), a grouped convolution, are the same function."""
    model = ki.ResNeXt50(cardinality=4, width=2, include_top=False, input_shape=(32, 32, 3))
    name = "conv2_block2"
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (2, 8, 8, 256)).astype("float32")
    block = keras.Model(model.get_layer("conv2_block1").output, model.get_layer(name).output)
    first, middle, last = (model.get_layer(f"{name}_{part}_conv").kernel for part in "abc")
    first, middle, last = (np.asarray(kernel) for kernel in (first, middle, last))
    assert middle.shape == (3, 3, 2, 8)
    scale = np.float32(1 / np.sqrt(1 + 1e-5))  # of a fresh batch norm
    total = images
    for path in range(4):
        own = slice(2 * path, 2 * path + 2)
        x = np.maximum(images @ first[0, 0, :, own] * scale, 0)
        x = np.asarray(keras.ops.conv(x, middle[..., own], padding="same"))
        total = total + np.maximum(x * scale, 0) @ last[0, 0, own] * scale
    np.testing.assert_allclose(_outputs(block, images), np.maximum(total, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("argument", ["cardinality", "width"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "32", True, None])
def test_impossible_cardinalities_and_widths_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be a positive whole number.* Received: {argument}="):
        ki.ResNeXt101(**{argument: value})


def test_a_grouped_convolution_trains():
    inputs = keras.Input((8, 8, 6))
    x = conv_bn(inputs, 6, 3, groups=3, name="unit", numerics=numerics.TORCH)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    kernel = model.get_layer("unit_conv").kernel
    before = np.array(kernel)
    model.compile("sgd", "mse", jit_compile=False)
    history = model.fit(np.ones((4, 8, 8, 6), "float32"), np.ones((4, 6), "float32"), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.abs(np.array(kernel) - before).max() > 0


def test_widths_divisible_by_eight_follow_the_rule_of_ten_percent():
    assert [divisible(width) for width in (1, 8, 11.2, 12, 19.5, 33.6, 1792.0)] == [8, 8, 16, 16, 24, 32, 1792]


def test_mobilenet_v1_has_relu6_and_the_papers_form_relu():
    for variant, largest in (("slim", 6.0), ("paper", 7.0)):
        model = ki.MobileNetV1(variant=variant, alpha=0.25, include_top=False, input_shape=(32, 32, 3))
        assert np.asarray(model.get_layer("block13")(np.full((1, 1, 1, 256), 7.0, "float32"))).max() == largest


def test_mobilenet_v2s_bottlenecks_are_linear():
    model = ki.MobileNetV2(alpha=0.35, include_top=False, input_shape=(32, 32, 3))
    output = keras.Model(model.input, model.get_layer("block16").output)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    assert _outputs(output, images).min() < 0


def test_a_max_pool_of_signed_maps_pads_with_minus_infinity():
    images = np.full((1, 6, 6, 1), -5.0, "float32")
    inputs = keras.Input((6, 6, 1))
    for chosen in (numerics.KERAS, numerics.TORCH, replace(numerics.TORCH, padding="same")):
        pooled = pool(inputs, max_pool(3, 2), name="pool", numerics=chosen, signed=True)
        np.testing.assert_array_equal(_outputs(keras.Model(inputs, pooled), images), np.full((1, 3, 3, 1), -5.0))


RESIDUAL = {  # the block that ends the network's residuals, and how many additions there are
    "inception_resnet_v1": ("block8_6", 21),
    "inception_resnet_v2": ("block8_10", 40),
    "resnext50": ("conv5_block3", 16),
    "mobilenet_v2": ("block16", 10),
    "xception": ("block13", 12),
    "shufflenet": ("stage4_unit4", 13),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.proof if name == "inception_resnet_v2" else []) for name in RESIDUAL]
)
def test_stochastic_depth_leaves_out_branches_in_training_alone(name):
    last, count = RESIDUAL[name]
    size = ki.get_entry(name).min_size
    arguments = {"include_top": False, "input_shape": (size, size, 3)}
    plain, model = ki.create_model(name, **arguments), ki.create_model(name, stochastic_depth=0.8, **arguments)
    drops = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(drops) == count == sum(isinstance(layer, keras.layers.Add) for layer in plain.layers)
    rates = [layer.rate for layer in drops]
    assert rates == sorted(rates)
    assert drops[-1].name == f"{last}_drop"
    assert [row.name for row in ki.block_table(model)] == [row.name for row in ki.block_table(plain)]
    for layer in plain.layers:
        model.get_layer(layer.name).set_weights(layer.get_weights())
    images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    np.testing.assert_array_equal(_outputs(model, images), _outputs(plain, images))


def test_stochastic_depth_drops_a_whole_branch_an_image_at_its_rate():
    keras.utils.set_random_seed(0)
    features = keras.Input((4, 4, 8))
    block = Bottleneck(width=8, expansion=None, stride=1, drop_rate=0.75)
    model = keras.Model(features, block(features, name="block", numerics=numerics.KERAS))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # computes as in prediction
    images = np.random.default_rng(0).uniform(-1, 1, (4000, 4, 4, 8)).astype("float32")
    added = np.asarray(model(images, training=True)) - images
    whole = np.asarray(model(images, training=False)) - images
    left_out = np.abs(added).max((1, 2, 3)) < 1e-6
    assert left_out.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(added[~left_out], 4 * whole[~left_out], atol=1e-5)


def test_the_rate_of_stochastic_depth_rises_with_the_place(without_weights):
    model = ki.InceptionResNetV1(stochastic_depth=0.21, input_shape=(96, 96, 3), classes=2)
    rates = {layer.name: layer.rate for layer in model.layers if layer.name.endswith("_drop")}
    assert rates["block35_1_drop"] == pytest.approx(0.01)
    assert rates["block8_6_drop"] == pytest.approx(0.21)
    assert "block8_6_drop" in next(row.layers for row in ki.block_table(model) if row.name == "block8_6")
