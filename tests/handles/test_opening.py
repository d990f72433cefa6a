"""Whatever can be named as a model: opened alike, or refused in one sentence."""

import shutil

import keras
import numpy as np
import pytest
from tflite_helpers import CLASSES, digits, tiny

import keras_inception as ki
from keras_inception import tflite
from keras_inception.handles.opening import kind_of


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same network as a .keras file and as an export with a central crop."""
    folder = tmp_path_factory.mktemp("files")
    model = tiny()
    model.save(folder / "own.keras")
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    tflite.export(
        model, folder / "export", modes=["float32"], onnx=True, class_names=CLASSES, interpolation="area",
        central_crop=0.75,
    )  # fmt: skip
    return folder


def small(*inner: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((32, 32, 3)), *inner, keras.layers.GlobalAveragePooling2D()])


def test_one_network_answers_alike_however_it_is_named(files):
    pixels = digits()[0][:3]
    opened = {
        name: ki.open_model(files / name, labels=files / "names.txt")
        for name in ("own.keras", "export", "export/model_float32.tflite", "export/model.onnx")
    }
    expected = opened["own.keras"](pixels)
    assert expected.shape == (3, 10)
    for model in opened.values():
        np.testing.assert_allclose(model(pixels), expected, atol=1e-6)
        assert model.class_names == CLASSES
        assert model.image_shape == (32, 32, 1)
    assert [model.kind for model in opened.values()] == ["keras", "export", "tflite", "onnx"]


def test_a_file_in_the_folder_of_its_export_prepares_pictures_as_the_export_does(files, tmp_path):
    for name in ("export", "export/model_float32.tflite", "export/model.onnx"):
        fitting = ki.open_model(files / name).fitting
        assert (fitting.interpolation, fitting.central_crop) == ("area", 0.75)
    shutil.copy(files / "export" / "model_float32.tflite", tmp_path)
    alone = ki.open_model(tmp_path / "model_float32.tflite", central_crop=0.5)
    assert (alone.fitting.interpolation, alone.fitting.central_crop) == ("bilinear", 0.5)
    assert alone.class_names == CLASSES  # which are inside


def test_a_network_by_name_takes_raw_pixels_and_knows_imagenet(tmp_path):
    model = ki.MobileNetV2(alpha=0.35, input_shape=(96, 96, 3))
    ki.weights.save_weights(model, tmp_path / "mobilenet_v2.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    expected = model(ki.preprocess_input(pixels, "mobilenet_v2"), training=False)
    options = {"alpha": 0.35, "input_shape": (96, 96, 3)}
    for handle, weights in (("mobilenet_v2", tmp_path / "mobilenet_v2.h5"), (tmp_path / "mobilenet_v2.h5", None)):
        opened = ki.open_model(handle, weights=weights, options=options)
        np.testing.assert_allclose(opened(pixels), expected, atol=1e-6)
        assert opened.class_names[0] == "tench"
        assert opened.fitting.central_crop == 0.875


def test_a_nested_network_of_anyone_is_opened(tmp_path):
    inner = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    model = small(keras.layers.Rescaling(1 / 255), inner)
    model.save(tmp_path / "nested.keras")
    opened = ki.open_model(tmp_path / "nested.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(opened(pixels), model(pixels.astype("float32")), atol=1e-5)
    assert opened.class_names == ("0", "1", "2", "3")


def test_a_network_without_preprocessing_asks_for_it(tmp_path):
    model = small(keras.layers.Conv2D(4, 3))
    model.save(tmp_path / "raw.keras")
    with pytest.raises(ValueError, match="--preprocessing tells"):
        ki.open_model(tmp_path / "raw.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for name, mapped in (("none", pixels.astype("float32")), ("torch", ki.preprocess_input(pixels, "torch"))):
        answers = ki.open_model(tmp_path / "raw.keras", preprocessing=name)(pixels)
        np.testing.assert_allclose(answers, model(mapped), rtol=1e-4, atol=1e-4)


@keras.saving.register_keras_serializable("tests")
class Theirs(keras.layers.Layer):
    """A layer that another project registers."""

    def call(self, inputs):
        return inputs


def test_a_keras_file_with_code_or_unknown_layers_is_not_run(tmp_path, monkeypatch):
    small(keras.layers.Lambda(lambda pixels: pixels * 2)).save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match="code in it is not run"):
        ki.open_model(tmp_path / "lambda.keras")
    small(Theirs()).save(tmp_path / "theirs.keras")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>Theirs")
    with pytest.raises(ValueError, match="Theirs, which is not registered"):
        ki.open_model(tmp_path / "theirs.keras")


def test_what_is_no_model_is_refused_in_one_sentence(files, tmp_path):
    for name in ("text.keras", "text.tflite", "text.onnx", "text.txt", "text.h5"):
        (tmp_path / name).write_text("no model")
        with pytest.raises(ValueError, match=r"Received: .*text\."):
            ki.open_model(tmp_path / name)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="The folder of a run holds"):
        ki.open_model(tmp_path / "project")
    with pytest.raises(ValueError, match="opened by"):
        ki.open_model(files / "export" / "saved_model")
    with pytest.raises(ValueError, match=r"Did you mean 'mobilenet_v2'\?"):
        ki.open_model("mobilnet_v2")
    with pytest.raises(FileNotFoundError, match="where nothing is"):
        ki.open_model(tmp_path / "missing.keras")


def test_foreign_tflite_and_onnx_files_are_refused_in_one_sentence(tmp_path):
    import onnx
    import tensorflow as tf

    function = tf.function(lambda x: x + 1, [tf.TensorSpec((1, 4), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    (tmp_path / "plain.tflite").write_bytes(converter.convert())
    with pytest.raises(ValueError, match=r"signature 'serving_default'"):
        ki.open_model(tmp_path / "plain.tflite")
    tokens = onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "tokens"])
    logits = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.INT64, ["batch", "tokens"])
    node = onnx.helper.make_node("Identity", ["input_ids"], ["logits"])
    graph = onnx.helper.make_graph([node], "language", [tokens], [logits])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "language.onnx")
    with pytest.raises(ValueError, match=r"must map 'images' to 'predictions'.*input_ids"):
        ki.open_model(tmp_path / "language.onnx")


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("own.keras", {"weights": "imagenet"}, "--weights is for a network by name"),
        ("export", {"preprocessing": "inception"}, r"--preprocessing is for a \.keras file"),
        ("own.keras", {"labels": "imagenet"}, "a name for each of the 10 classes. Received: 1000"),
        ("own.keras", {"labels": "nowhere.txt"}, "--labels names a text file"),
        ("own.keras", {"preprocessing": "incepton"}, "The preprocessing must be one of"),
    ],
)
def test_options_that_do_not_fit_are_refused(files, name, option, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        ki.open_model(files / name, **option)


def test_kinds_are_told_without_opening(files):
    assert kind_of(str(files / "own.keras")) == "keras"
    assert kind_of("inception_v3") == kind_of("timm/inception_v4.tf_in1k") == "network"
