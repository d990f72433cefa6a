"""Preprocessing and class names."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_inception as ki
from keras_inception.labels import imagenet_classes
from keras_inception.preprocessing import PREPROCESSING, Preprocessing, preprocessing_layers

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype("uint8")


@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_the_argument_is_never_changed(name, dtype):
    images = PIXELS.astype(dtype)
    result = ki.preprocess_input(images, name)
    assert np.array_equal(images, PIXELS.astype(dtype))
    assert result.shape == images.shape
    assert result.dtype == ("float64" if dtype == "float64" else "float32")


@pytest.mark.parametrize("name", PREPROCESSING)
def test_arrays_tensors_and_layers_agree(name):
    expected = ki.preprocess_input(PIXELS, name)
    tensor = ki.preprocess_input(keras.ops.convert_to_tensor(PIXELS), name)
    inputs = keras.Input((4, 5, 3))
    inside = keras.Model(inputs, preprocessing_layers(inputs, name))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), expected, atol=2e-6)
    np.testing.assert_allclose(np.asarray(inside(PIXELS.astype("float32"))), expected, rtol=1e-5, atol=1e-4)


def test_known_values():
    white = np.full((1, 1, 3), 255)
    np.testing.assert_allclose(ki.preprocess_input(white, "inception_v1"), np.ones((1, 1, 3)))
    caffe = ki.preprocess_input(np.array([[[10, 20, 30]]]), "caffe")
    np.testing.assert_allclose(caffe, [[[30 - 104, 20 - 117, 10 - 123]]])
    torch = ki.preprocess_input(np.array([[[0.485, 0.456, 0.406]]]) * 255, "torch")
    np.testing.assert_allclose(torch, np.zeros((1, 1, 3)), atol=1e-12)


def test_a_record_serves_as_well_as_a_name():
    record = Preprocessing(mean=0.0, std=255.0)
    np.testing.assert_allclose(ki.preprocess_input(PIXELS, record), PIXELS / 255.0, rtol=1e-6)


def test_grey_pictures_work_where_the_rule_is_one_number():
    assert ki.preprocess_input(PIXELS[..., :1], "inception").shape == (2, 4, 5, 1)
    with pytest.raises(ValueError, match="3 colour channels. Received: 1"):
        ki.preprocess_input(PIXELS[..., :1], "torch")


def test_pillow_images_are_arrays_to_it():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), "uint8")
    np.testing.assert_array_equal(
        ki.preprocess_input(Image.fromarray(pixels), "torch"), ki.preprocess_input(pixels, "torch")
    )


IN_TF_DATA_UNDER_JAX = """
import keras, numpy as np, tensorflow as tf
import keras_inception as ki
assert keras.backend.backend() == "jax"
pixels = np.arange(2 * 4 * 4 * 3, dtype="uint8").reshape(2, 4, 4, 3)
for name in ("inception", "torch", "caffe"):
    (mapped,) = tf.data.Dataset.from_tensors(pixels).map(lambda images: ki.preprocess_input(images, name))
    np.testing.assert_allclose(mapped, ki.preprocess_input(pixels, name), atol=1e-5)
"""


def test_tf_data_is_served_under_another_backend():
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", IN_TF_DATA_UNDER_JAX], env=environment, check=True)


def test_unknown_preprocessing():
    with pytest.raises(ValueError, match="Received: 'nonsense'"):
        ki.preprocess_input(PIXELS, "nonsense")


def test_class_names_ship_with_the_package():
    classes = imagenet_classes()
    assert len(classes) == 1000 and len({wnid for wnid, _ in classes}) == 1000
    assert classes[0] == ("n01440764", "tench")


def test_decode_predictions():
    probabilities = np.zeros((2, 1000))
    probabilities[0, [3, 1]] = 0.7, 0.2
    probabilities[1, 999] = 1.0
    first, second = ki.decode_predictions(probabilities, top=2)
    assert [p.probability for p in first] == [0.7, 0.2]
    assert first[1].class_name == "goldfish" and len(second) == 2
    assert len(ki.decode_predictions(probabilities)[0]) == 5
    assert [guess.class_name for guess in ki.decode_predictions([[0.1, 0.9]], class_names=["rose", "tulip"])[0]] == [
        "tulip",
        "rose",
    ]
    ((own,),) = ki.decode_predictions(np.array([[0.1, 0.9]]), top=1, class_names=["rose", "tulip"])
    assert own == ("1", "tulip", 0.9)


@pytest.mark.parametrize(
    "values, options, message",
    [
        (np.zeros((1, 17)), {}, r"\(images, 1000\), one column a class name. Received: \(1, 17\)"),
        (np.zeros(1000), {}, r"Received: \(1000,\)"),
        (np.zeros((1, 1000)), {"top": 0}, "Received: top=0"),
        (np.zeros((1, 2)), {"class_names": ["a", "b"], "top": 3}, "Received: top=3"),
    ],
)
def test_decode_predictions_refuses(values, options, message):
    with pytest.raises(ValueError, match=message):
        ki.decode_predictions(values, **options)
