"""What the report draws: Grad-CAM against its closed form, images that stand in the page, the most confused pairs."""

import base64
import io

import keras
import numpy as np
import pytest
from PIL import Image

import keras_inception as ki
from keras_inception.training.evaluation.result import summarise
from keras_inception.training.report import figures, page, report
from keras_inception.training.report.gradcam import GradCam

PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return ki.create_model(
        "mobilenet_v1", alpha=0.1, classes=4, input_shape=(32, 32, 3), stem="low_resolution", include_preprocessing=True
    )


def test_grad_cam_equals_its_closed_form(network):
    """Behind a global mean, the gradient of a class's logit is the dense layer's column over the number of places."""
    classes = np.array([0, 3, 3])
    cam = GradCam(network)
    features = np.asarray(cam.features(PIXELS))
    assert features.shape[-1] == network.get_layer("predictions_logits").kernel.shape[0]
    np.testing.assert_allclose(cam.probabilities(features), network.predict_on_batch(PIXELS), atol=1e-5)
    maps = cam.maps(cam.features(PIXELS), classes)
    kernel = keras.ops.convert_to_numpy(network.get_layer("predictions_logits").kernel)
    raw = np.maximum(np.einsum("nhwc,cn->nhw", features, kernel[:, classes]), 0)
    peaks = raw.max(axis=(1, 2), keepdims=True)
    assert (peaks > 0).any()
    np.testing.assert_allclose(maps, raw / np.where(peaks > 0, peaks, 1), atol=1e-5)
    assert maps.min() >= 0
    assert maps.max() == pytest.approx(1)


def test_grad_cam_leaves_auxiliary_heads_aside():
    model = ki.create_model("inception_v1", alpha=0.1, classes=3, input_shape=(65, 65, 3), aux_heads=True)
    cam = GradCam(model)
    maps = cam.maps(cam.features(np.zeros((1, 65, 65, 3), np.float32)), np.array([1]))
    assert maps.shape[0] == 1
    assert maps.ndim == 3


def test_heat_brightens_what_is_strong():
    strengths = np.zeros((4, 4), np.float32)
    strengths[:2] = 1
    picture = figures.heat(np.full((200, 100, 3), 60.0), strengths).astype(int)
    assert picture.shape == (200, 100, 3)
    assert picture[:60].mean() > picture[-60:].mean() + 50
    small = figures.heat(np.full((16, 12, 1), 60.0), strengths)
    assert small.shape == (96, 72, 3)


def decoded(uri):
    kind, _, content = uri.partition(";base64,")
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_small_images_are_kept_exactly_and_large_ones_are_made_smaller():
    kind, pixels = decoded(figures.image_uri(PIXELS[0]))
    assert kind == "data:image/png"
    np.testing.assert_array_equal(pixels, PIXELS[0].round().astype(np.uint8))
    smooth = np.linspace(0, 255, 299)[:, None, None] * np.ones((1, 400, 3))
    kind, pixels = decoded(figures.image_uri(smooth))
    assert kind == "data:image/jpeg"
    assert pixels.shape == (144, 192, 3)
    assert len(figures.image_uri(smooth)) < 20_000
    np.testing.assert_allclose(pixels[:, 0, 0], np.linspace(0, 255, 144), atol=5)
    kind, pixels = decoded(figures.image_uri(PIXELS[0, ..., :1]))
    assert pixels.shape == (32, 32)


def test_the_most_confused_pairs_come_first():
    matrix = np.array([[5, 2, 0], [0, 9, 4], [1, 0, 3]])
    assert report._most_confused(matrix, ["a", "b", "c"]) == [("b", "c", 4), ("a", "b", 2), ("c", "a", 1)]


def test_the_reliability_diagram_is_drawn_for_any_confidence():
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5], [0.51, 0.49]])
    calibration = summarise(probabilities, np.array([0, 1, 0]), list("abc"), ["x", "y"], "test").calibration
    text = figures.reliability(calibration)
    assert text.startswith("<svg")


def test_class_names_are_drawn_as_they_are():
    names = ["a$_$", "c$^$", "犬"]
    with page.as_text():
        drawn = figures.confusion(np.eye(3, dtype=int), names)
    assert all(name in drawn for name in names)
