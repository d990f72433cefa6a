"""What every network promises, a property a test, over all networks: small images, few classes, narrow if possible.

What only one network promises is tested in that network's own file.
"""

import inspect

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import numerics as numerics_of_the_field

NETWORKS = ki.list_models()
LARGE = ("resnext101", "inception_v4", "inception_resnet_v2")  # of more layers than their sisters, and of no other kind
LARGE_ARE_PROOFS = [pytest.param(name, marks=[pytest.mark.proof] if name in LARGE else []) for name in NETWORKS]
CLASSES = 5
NARROW = {"alpha": 0.25, "cardinality": 4}
AUX_SIZES = {"inception_v1": 65, "inception_v3": 107, "inception_v4": 107, "inception_resnet_v2": 107}
PYRAMIDS = {
    "inception_v1": ["conv1", "conv2", "inception_3b", "inception_4e", "inception_5b"],
    "inception_v2": ["conv1", "conv2", "inception_3b", "inception_4d", "inception_5b"],
    "inception_v3": ["conv_2b", "conv_4a", "mixed_5d", "mixed_6e", "mixed_7c"],
    "inception_v4": ["conv_2b", "mixed_4a", "mixed_5e", "mixed_6h", "mixed_7d"],
    "inception_resnet_v1": ["conv_2b", "conv_4a", "block35_5", "block17_10", "block8_6"],
    "inception_resnet_v2": ["conv_2b", "conv_4a", "block35_10", "block17_20", "conv_7b"],
}


def _parameters(name):
    return inspect.signature(ki.get_entry(name).load_builder()).parameters


def _shape(name, channels=3):
    size = ki.get_entry(name).min_size
    return (size, size, channels)


def _small(name, **kwargs):
    narrow = {key: value for key, value in NARROW.items() if key in _parameters(name)}
    return ki.create_model(name, **({"input_shape": _shape(name), "classes": CLASSES} | narrow | kwargs))


def _images(name, count=2):
    return np.random.default_rng(0).uniform(-1, 1, (count, *_shape(name))).astype("float32")


def sorted_out(slow):
    """Networks for a test that needs the weights of each: some are left to the slow tests, the large ones to proofs."""
    marks = dict.fromkeys(slow, pytest.mark.slow) | dict.fromkeys(LARGE, pytest.mark.proof)
    names = [pytest.param(name, marks=marks.get(name, [])) for name in NETWORKS]
    return pytest.mark.parametrize("network", names, indirect=True)


@pytest.fixture(scope="module", params=LARGE_ARE_PROOFS)
def network(request):
    """A small network that gives logits, built once for the tests that change nothing in it."""
    return request.param, _small(request.param, classifier_activation=None)


@pytest.mark.parametrize("name", LARGE_ARE_PROOFS)
def test_tops_poolings_one_channel_or_four_and_the_smallest_images(name, without_weights):
    with_top = _small(name)
    assert with_top.name == name
    assert with_top.output_names == ["predictions"]
    assert with_top.output_shape == (None, CLASSES)
    assert with_top.get_layer("predictions").activation is keras.activations.softmax
    assert with_top.get_layer("global_pool").input.shape[1:3] == (1, 1)  # of the smallest images, which these are
    features = _small(name, include_top=False, input_shape=None)
    assert features.input_shape == (None, None, None, 3)
    assert features.output_shape[:3] == (None, None, None)
    for pooling, channels in (("avg", 1), ("max", 4)):
        model = _small(name, include_top=False, pooling=pooling, input_shape=_shape(name, channels))
        assert model.output_shape == (None, features.output_shape[3])
        assert model.input_shape[-1] == channels
        assert model.weights[0].shape[-2] == channels


@pytest.mark.parametrize("name", LARGE_ARE_PROOFS)
def test_a_tensor_to_build_on(name, without_weights):
    images = keras.Input(_shape(name, channels=6))
    model = _small(name, input_shape=None, input_tensor=keras.layers.Conv2D(3, 1, name="to_rgb")(images))
    assert model.input is images
    assert model.get_layer("to_rgb").output.shape == (None, *_shape(name))
    assert model.output_shape == (None, CLASSES)


def test_the_same_names_whatever_was_built_before(network):
    name, model = network
    with keras.StatelessScope(initialize_variables=False):
        again = _small(name, classifier_activation=None)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


@sorted_out(slow=("inception_v2", "inception_resnet_v1", "resnext50", "mobilenet_v1"))  # layers as in the others
def test_saved_and_loaded_without_custom_objects(network, tmp_path):
    name, model = network
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = _images(name)
    np.testing.assert_array_equal(loaded(images), model(images))
    shapes = [{level: x.shape for level, x in ki.feature_pyramid(each).output.items()} for each in (model, loaded)]
    assert shapes[0] == shapes[1]


def test_the_feature_pyramid_has_a_level_a_stride(network):
    name, model = network
    pyramid = ki.feature_pyramid(model)
    assert sorted(pyramid.output) == ["P1", "P2", "P3", "P4", "P5"]
    ends = [pyramid.output[level]._keras_history.operation.name for level in sorted(pyramid.output)]
    assert ends == PYRAMIDS.get(name, ends)
    sides = [pyramid.output[level].shape[1] for level in sorted(pyramid.output)]
    unpadded = 5  # rows and columns that "valid" stems and reductions may cost a level
    for level, side in enumerate(sides, start=1):
        assert 0 <= -(-_shape(name)[0] // 2**level) - side <= unpadded
    np.testing.assert_array_equal(
        pyramid(_images(name))["P5"], keras.Model(model.input, model.get_layer(ends[-1]).output)(_images(name))
    )


@sorted_out(slow=("resnext50", "shufflenet"))  # grouped convolutions without a graph around them are slow
def test_a_gradient_reaches_every_trainable_variable(network):
    import tensorflow as tf

    name, model = network
    with tf.GradientTape() as tape:
        # Moving statistics: batch norm over two values, one a channel at this size, passes next to no gradient.
        logits = model(_images(name), training=False)
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(tf.constant([0, 1]), logits, from_logits=True)
        )
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    silent = [
        variable.path
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None or not np.isfinite(gradient).all() or not np.any(gradient)
    ]
    assert silent == []


STEP_MARKS = dict.fromkeys([*LARGE, "inception_resnet_v1"], pytest.mark.proof) | dict.fromkeys(
    ["resnext50", "shufflenet", "inception_v2", "mobilenet_v1"], pytest.mark.slow
)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "name",  # grouped convolutions without a graph around them are slow, and so are networks of many layers
    [pytest.param(n, marks=STEP_MARKS.get(n, [])) for n in NETWORKS],
)
def test_a_training_step_in_mixed_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    model = _small(name)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    loss = model.train_on_batch(_images(name), np.array([0, 1]))
    assert np.isfinite(loss)
    assert model.compute_dtype == policy.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


@sorted_out(slow=("inception_v2", "inception_v3", "mobilenet_v1"))  # preprocessed as others are
def test_preprocessing_inside_is_preprocessing_outside(network):
    name, plain = network
    whole = _small(name, classifier_activation=None, include_preprocessing=True)
    whole.set_weights(plain.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, *_shape(name))).astype("uint8")
    inside, outside = whole(pixels.astype("float32")), plain(ki.preprocess_input(pixels, name))
    assert np.abs(inside - outside).max() < 1e-4 * np.abs(outside).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_auxiliary_heads_are_built_or_refused_with_the_reason(name, without_weights):
    heads = ki.get_entry(name).aux_heads
    if not heads:
        with pytest.raises(ValueError, match=r"has no auxiliary heads: .+\. Received: aux_heads=True\."):
            _small(name, aux_heads=True)
        return
    size = AUX_SIZES[name]
    model = _small(name, aux_heads=True, input_shape=(size, size, 3))
    roomy = _small(name, aux_heads=True, input_shape=(2 * size, 2 * size, 3))
    assert [layer.name for layer in model.layers] == [layer.name for layer in roomy.layers]
    assert {head: output.shape for head, output in model.output.items()} == dict.fromkeys(
        ["predictions", *heads], (None, CLASSES)
    )
    assert all(0 < weight < 1 for weight in heads.values())
    with pytest.raises(ValueError, match=f"at least {size}x{size} pixels in this form. Received"):
        _small(name, aux_heads=True, input_shape=(size - 1, size, 3))


BAD_ARGUMENTS = {
    "pooling": ("mean", "pooling must be None, 'avg' or 'max'"),
    "classes": (0, "classes must be a positive whole number"),
    "dropout": (1.0, "dropout must be at least 0 and less than 1"),
    "stochastic_depth": (-0.1, "stochastic_depth must be at least 0 and less than 1"),
    "alpha": (0, "alpha, the width multiplier, must be greater than 0"),
    "variant": ("unheard_of", "variant must be one of"),
    "stem": ("tiny", "stem must be one of"),
    "input_tensor": (np.zeros((1, 75, 75, 3)), "input_tensor must be a Keras tensor"),
    "classifier_activation": ("unheard_of", "classifier_activation"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_bad_arguments_build_nothing(name, monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "__call__", lambda *_, **__: pytest.fail("a layer was built"))
    for argument, (value, message) in BAD_ARGUMENTS.items():
        if argument in _parameters(name):
            with pytest.raises(ValueError, match=rf"{message}.*Received: "):
                ki.create_model(name, **{argument: value})
    side = ki.get_entry(name).min_size
    bad_shapes = {
        (side - 1, side, 3): f"at least {side}x{side} pixels",
        (side, side, 5): "with 1 to 4 channels",
        (side, side): "input_shape must be",
    }
    for input_shape, message in bad_shapes.items():
        with pytest.raises(ValueError, match=rf"{message}.*Received: input_shape="):
            ki.create_model(name, input_shape=input_shape)


def test_numpy_numbers_are_numbers_and_what_is_none_is_told(without_weights):
    labels = np.array([0, 4, 2])
    model = ki.InceptionV1(
        classes=labels.max() + 1, alpha=np.float32(0.25), dropout=np.float32(0.2), input_shape=np.array([32, 32, 3])
    )
    assert (model.output_shape, model.input_shape) == ((None, 5), (None, 32, 32, 3))
    wrong = {
        "input_shape": (224, ("224", 224, 3), (224.0, 224, 3), "abc"),
        "numerics": ("torch", 1),
        "alpha": (np.inf, np.nan, "1", True),
        "dropout": (False, "0.2", np.nan),
        "classes": (True, 5.0, "5"),
    }
    for argument, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{argument}.* Received: "):
                ki.InceptionV1(**{argument: value})
    with pytest.raises(ValueError, match="must be one of|must be None"):
        ki.InceptionV1(weights=np.zeros(3))


@pytest.mark.parametrize(
    ("numerics", "size"), [("TORCHVISION_GOOGLENET", 32), ("CAFFE", 79), ("TORCH", 65), ("SLIM", 65)]
)
def test_the_smallest_size_of_heads_follows_from_the_numerics(numerics, size, without_weights):
    arguments = {"aux_heads": True, "alpha": 0.25, "classes": 3, "numerics": getattr(numerics_of_the_field, numerics)}
    with pytest.raises(ValueError, match=f"at least {size}x{size} pixels"):
        ki.InceptionV1(input_shape=(size - 1, size, 3), **arguments)
    assert ki.InceptionV1(input_shape=(size, size, 3), **arguments).output["aux2"].shape == (None, 3)
