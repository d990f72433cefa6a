"""What keras.applications promises of its builders holds of all of ours; test_models.py has what is not here."""

import inspect

import keras
import numpy as np
import pytest

import keras_inception as ki

NETWORKS = ki.list_models()
LARGE = ("resnext101", "inception_v4", "inception_resnet_v2")  # their sisters stand for them
MARKED = [pytest.param(n, marks=[pytest.mark.proof] if n in LARGE else []) for n in NETWORKS]
ODD = (101, 127)


@pytest.mark.parametrize("name", MARKED)
def test_without_a_top_channels_and_sides_are_free_and_odd_ones_counted_each_by_itself(name, without_weights):
    features = ki.create_model(name, include_top=False, input_shape=(None, None, 4))
    assert features.input_shape == (None, None, None, 4)
    assert features.output_shape[:3] == (None, None, None)
    _, height, width, channels = features.compute_output_shape((2, *ODD, 4))
    assert channels == features.output_shape[3]
    assert 1 <= height <= width
    assert features.compute_output_shape((2, *ODD[::-1], 4)) == (2, width, height, channels)


@pytest.mark.parametrize("name", MARKED)
def test_a_grey_tensor_of_odd_sides_to_build_on(name, without_weights):
    images = keras.Input((*ODD, 1))
    model = ki.create_model(name, input_tensor=images, classes=3, classifier_activation=None)
    assert model.input is images
    assert model.output_shape == (None, 3)
    assert model.get_layer("predictions").activation is keras.activations.linear


@pytest.mark.parametrize("name", NETWORKS)
def test_the_arguments_of_keras_applications_have_its_defaults(name):
    parameters = inspect.signature(ki.get_entry(name).load_builder()).parameters
    theirs = inspect.signature(keras.applications.Xception).parameters
    shared = ["include_top", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation"]
    assert {key: parameters[key].default for key in shared} == {key: theirs[key].default for key in shared}


@pytest.mark.parametrize("name", ["inception_v1", "mobilenet_v1"])
def test_probabilities_are_the_softmax_of_the_logits(name):
    small = {"alpha": 0.25, "input_shape": (33, 35, 3), "classes": 5}
    logits, probabilities = (ki.create_model(name, classifier_activation=a, **small) for a in (None, "softmax"))
    logits.set_weights([np.random.default_rng(0).uniform(0, 0.2, w.shape) for w in logits.weights])
    probabilities.set_weights(logits.get_weights())
    images = np.random.default_rng(1).uniform(-1, 1, (2, 33, 35, 3)).astype("float32")
    expected = keras.ops.softmax(logits(images))
    np.testing.assert_allclose(probabilities(images), expected, rtol=1e-5)
    assert np.ptp(expected) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "bogus"}, "weights must be None, 'imagenet', the tag .* Received: weights='bogus'"),
        ({"weights": "imagenet", "classes": 2000}, "are for 1000 classes: .* Received: classes=2000"),
        ({"weights": "imagenet", "input_shape": (299, 299, 1)}, "of 3 colour channels. Received: 1 channels"),
    ],
    ids=["bogus", "classes", "channels"],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_that_do_not_go_with_the_arguments_are_refused_before_a_download(name, arguments, message, monkeypatch):
    monkeypatch.setattr("keras_inception.weights.resolved.fetch", lambda _: pytest.fail("a download began"))
    monkeypatch.setattr(keras.layers.Layer, "__call__", lambda *_, **__: pytest.fail("a layer was built"))
    with pytest.raises(ValueError, match=message):
        ki.create_model(name, **arguments)
