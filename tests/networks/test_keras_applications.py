"""keras.applications, live: with its weights copied over, its five networks that are ours too give the same logits."""

import keras
import numpy as np
import pytest

import keras_inception as ki

CASES = [  # sizes that are even and odd in turn on the way down
    ("xception", "Xception", (108, 97, 3), {}),
    ("inception_v3", "InceptionV3", (108, 97, 3), {}),
    ("inception_resnet_v2", "InceptionResNetV2", (108, 97, 3), {}),
    ("mobilenet_v1", "MobileNet", (128, 96, 3), {}),
    ("mobilenet_v1", "MobileNet", (96, 64, 1), {"alpha": 0.5}),
    ("mobilenet_v2", "MobileNetV2", (97, 76, 3), {}),
    ("mobilenet_v2", "MobileNetV2", (64, 51, 1), {"alpha": 0.35}),
]


@pytest.fixture
def created(monkeypatch):
    """Every layer, in the order of creation: `Model.layers` has them by depth, which is another order."""
    layers = []
    build = keras.layers.Layer.__init__

    def record(self, *args, **kwargs):
        build(self, *args, **kwargs)
        layers.append(self)

    monkeypatch.setattr(keras.layers.Layer, "__init__", record)
    return layers


def _build(created, builder, **kwargs):
    """The model and its layers with weights, in the order of creation."""
    created.clear()
    model = builder(weights=None, classifier_activation=None, **kwargs)
    return model, [layer for layer in created if layer.weights and not isinstance(layer, keras.Model)]


def _randomize(layers):
    """Weights that let a signal through, and show a wrong epsilon or a forgotten mean: fresh ones do neither."""
    rng = np.random.default_rng(0)
    for layer in layers:
        for weight in layer.weights:
            if len(weight.shape) > 1:
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) or weight.name == "depthwise_kernel"
                fan_in = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
                weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape))
            else:
                low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.1, 0.1)
                weight.assign(rng.uniform(low, high, weight.shape))


@pytest.mark.parametrize(
    ("name", "reference", "input_shape", "kwargs"),
    [
        pytest.param(
            *case,
            marks=[pytest.mark.slow] if case[0] == "inception_resnet_v2" else [],
            id="-".join([case[0], "x".join(map(str, case[2])), *map(str, case[3].values())]),
        )
        for case in CASES
    ],
)
def test_the_same_logits(created, name, reference, input_shape, kwargs):
    kwargs = {"input_shape": input_shape, "classes": 10, **kwargs}
    theirs, sources = _build(created, getattr(keras.applications, reference), **kwargs)
    _randomize(sources)
    ours, targets = _build(created, ki.get_entry(name).load_builder(), **kwargs)
    assert len(sources) == len(targets)
    for source, target in zip(sources, targets, strict=True):
        # MobileNet's classifier is a 1x1 convolution there.
        target.set_weights(
            [array.reshape(weight.shape) for array, weight in zip(source.get_weights(), target.weights, strict=True)]
        )
    images = np.random.default_rng(1).uniform(-1, 1, (2, *input_shape)).astype("float32")
    expected = np.asarray(theirs(images, training=False))
    logits = np.asarray(ours(images, training=False))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()


def test_mobilenet_v1_pads_odd_sizes_like_slim_where_keras_crops_them():
    shape = (97, 97, 3)
    theirs = keras.applications.MobileNet(weights=None, include_top=False, alpha=0.25, input_shape=shape)
    ours = ki.MobileNetV1(include_top=False, alpha=0.25, input_shape=shape)
    assert ours.get_layer("conv1").output.shape == theirs.get_layer("conv1").output.shape == (None, 49, 49, 8)
    assert ours.get_layer("block2_depthwise").output.shape == (None, 25, 25, 16)
    assert theirs.get_layer("conv_dw_2").output.shape == (None, 24, 24, 16)
