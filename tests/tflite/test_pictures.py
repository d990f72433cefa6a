"""Pictures on their way into a network: strips, turned photographs, and numbers that are no pixels."""

import io
import resource
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from tflite_helpers import digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.pictures.fitting import INTERPOLATIONS, Fitting, decode, fit
from keras_inception.tflite.pictures.orientation import orientation
from keras_inception.tflite.pictures.pixels import MOST_CALIBRATION_IMAGES, calibration_images, collect

IMAGES, _ = digits()
SHAPE = (32, 32, 1)


def wide() -> keras.Model:
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(56)(keras.layers.Rescaling(1 / 127.5, -1)(pixels)))
    return keras.Model(pixels, keras.layers.Dense(3, "softmax", name="predictions")(x))


def memory() -> float:
    """The most that this process ever took, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


@pytest.mark.parametrize("strip", [(1, 5000), (5000, 1)], ids=["flat", "tall"])
def test_a_strip_of_a_hundred_bytes_takes_no_gigabytes(strip: tuple[int, int], tmp_path: Path):
    row = np.zeros((5000, 3), np.uint8)
    row[2400:2600] = (10, 20, 30)
    encoded = tf.io.encode_png(row.reshape(*strip, 3)).numpy()
    export = kt.export(wide(), tmp_path / "out", modes=())
    predict = kt.Predictor(export)
    serve = tf.saved_model.load(str(export.files["saved_model"])).signatures["serve_encoded"]
    before = memory()
    np.testing.assert_array_equal(np.unique(predict.prepare(encoded).reshape(-1, 3), axis=0), [[10, 20, 30]])
    answer = serve(encoded=tf.constant([encoded]))["predictions"].numpy()[0]
    assert memory() - before < 300
    np.testing.assert_allclose(answer, predict(encoded).probabilities, atol=1e-6)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_centre_of_a_strip_is_what_resizing_all_of_it_gives(interpolation: str):
    order = np.random.default_rng(0)
    picture = tf.image.resize(order.uniform(0, 255, (20, 60, 1)), (40, 1000), "bicubic").numpy().clip(0, 255)
    whole = tf.image.resize(picture, (32, 800), interpolation, antialias=True)[:, 384:416].numpy()
    fitted = fit(tf.constant(picture), SHAPE, Fitting(interpolation)).numpy().astype("float32")
    assert np.abs(fitted - whole).mean() < 1


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", range(1, 9))
def test_photographs_are_turned_as_their_exif_data_says(kind: int, order: str):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16], picture[:16, -16:], picture[-16:, :16] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif.endian = {"little": "<", "big": ">"}[order]
    exif[0x010F], exif[0x0112] = "Maker", kind
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=100, subsampling=0, exif=exif.tobytes())
    content = file.getvalue()
    assert int(orientation(tf.constant(content))) == kind
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    shape = expected.shape
    assert np.abs(decode(tf.constant(content), shape).numpy().astype(int) - expected).max() <= 4
    damaged = content[:40]
    assert 1 <= int(orientation(tf.constant(damaged))) <= 8


def test_files_without_exif_data_are_upright():
    for content in (b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xe1", b"no picture", tf.io.encode_png(IMAGES[0]).numpy()):
        assert int(orientation(tf.constant(content))) == 1
    assert int(orientation(tf.io.encode_jpeg(IMAGES[0]))) == 1


def test_a_turned_photograph_means_the_same_to_predictor_and_server(tmp_path: Path):
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=95, exif=exif)
    export = kt.export(wide(), tmp_path / "out", modes=())
    predict = kt.Predictor(export)
    serve = tf.saved_model.load(str(export.files["saved_model"])).signatures["serve_encoded"]
    answer = serve(encoded=tf.constant([file.getvalue()]))["predictions"].numpy()[0]
    np.testing.assert_allclose(answer, predict(file.getvalue()).probabilities, atol=1e-6)
    turned = predict.prepare(np.rot90(picture, -1).copy())
    assert np.abs(predict.prepare(file.getvalue()).astype(int) - turned).mean() < 8


# ---- numbers


def test_pixels_that_were_divided_are_refused_wherever_they_enter(tmp_path: Path):
    model, shares = tiny(), IMAGES[:20] / 255
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False)
    calls = [
        lambda: kt.verify(model, export.folder, [shares]),
        lambda: kt.Predictor(model)(shares[0]),
        lambda: kt.LiteRTModel(export.files["float32"])(shares),
        lambda: calibration_images([shares], SHAPE),
    ]
    for call in calls:
        with pytest.raises(kt.ExportError, match=r"0\.\.255\. Received: .*no value above 1"):
            call()


def test_a_file_refuses_what_is_no_pixel(tmp_path: Path):
    file = kt.LiteRTModel(kt.export(tiny(), tmp_path / "out", modes="float32", saved_model=False).files["float32"])
    with pytest.raises(kt.ExportError, match="from 256 to 256"):
        file(np.full((1, 32, 32, 1), 256))
    np.testing.assert_array_equal(file(np.minimum(IMAGES[:2] + 0.2, 255)), file(IMAGES[:2]))
    black = np.zeros((1, 32, 32, 1), "float32")
    assert file(black).shape == (1, 10)


def test_pairs_may_be_lists_and_have_weights():
    labels, expected = np.arange(4), IMAGES[:8]
    weights = np.ones(4)
    for source in (
        [[IMAGES[:4], labels], [IMAGES[4:8], labels]],
        [(IMAGES[:4], labels, weights), (IMAGES[4:8], labels, weights)],
    ):
        np.testing.assert_array_equal(calibration_images(source, SHAPE), expected)
        images, known = collect(source, SHAPE)
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(known, [*labels, *labels])
    np.testing.assert_array_equal(calibration_images([[*IMAGES[:2]], [*IMAGES[2:8]]], SHAPE), expected)


def test_a_calibration_set_without_an_end_is_read_in_part():
    images = calibration_images(tf.data.Dataset.from_tensors(IMAGES[:1000]).repeat().as_numpy_iterator(), SHAPE)
    assert len(images) == MOST_CALIBRATION_IMAGES


def test_no_images_in_a_batch_are_no_images(tmp_path: Path):
    export = kt.export(tiny(), tmp_path / "out", modes="float32", saved_model=False)
    with pytest.raises(kt.ExportError, match="needs real images. Received: none"):
        kt.verify(tiny(), export.folder, [IMAGES[:0].astype("float32")])
    with pytest.raises(kt.ExportError, match="at least one run. Received: 0"):
        kt.verify(tiny(), export.folder, [IMAGES[:9]], runs=0)


def test_what_is_no_picture_is_a_sentence(tmp_path: Path):
    predict = kt.Predictor(tiny())
    with pytest.raises(kt.ExportError, match="which is a folder"):
        predict(tmp_path)
    with pytest.raises(kt.ExportError, match="Received: Image"):
        predict(Image.new("L", (32, 32)))
