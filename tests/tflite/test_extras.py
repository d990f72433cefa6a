"""What an export can hold besides the usual files: ONNX, a file that learns, an int8 file with float layers."""

from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import CLASSES, answers, digits, tiny, two_headed

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.files.flatbuffer import custom_operators, operators
from keras_inception.tflite.running.litert import LiteRTModel
from keras_inception.tflite.running.others import open_onnx

IMAGES, LABELS = digits()


def test_onnx_answers_as_the_network_does(tmp_path: Path):
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    model = two_headed()
    limits = kt.Limits(difference=1e-6)
    export = kt.export(
        model, tmp_path / "out", class_names=CLASSES, modes="float32", onnx=True, proof=[IMAGES[:40]], limits=limits
    )
    proof = kt.verify(model, export.folder, [IMAGES[:40]], limits=limits, runs=2)
    assert [row.mode for row in proof.rows] == ["keras", "saved_model", "onnx", "float32"]
    content = onnx.load(export.files["onnx"])
    assert [value.name for value in content.graph.input] == ["images"]
    assert [value.name for value in content.graph.output] == ["predictions"]
    assert {entry.key: entry.value for entry in content.metadata_props}["class_names"].split("\n") == list(CLASSES)
    (row,) = kt.benchmark([export.files["onnx"]], IMAGES[:3], runs=2)
    assert (row.kind, row.batch) == ("onnx", 3)
    export.files["onnx"].write_bytes(export.files["onnx"].read_bytes()[:500])
    assert "model.onnx changed, cut off or damaged" in kt.verify(model, export.folder, [IMAGES[:40]]).failures[0]
    with pytest.raises(kt.ExportError, match="An ONNX file must be whole"):
        kt.benchmark([export.files["onnx"]], IMAGES[:3])


def test_onnx_has_grouped_convolutions(tmp_path: Path):
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    inputs = keras.Input(IMAGES.shape[1:])
    x = keras.layers.Conv2D(8, 3, groups=4, activation="relu")(keras.layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10, "softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    export = kt.export(model, tmp_path / "out", modes=(), saved_model=False, onnx=True, preprocessing="none")
    np.testing.assert_allclose(open_onnx(export.files["onnx"])(IMAGES[:8]), answers(model, IMAGES[:8]), atol=1e-6)


@pytest.mark.parametrize("mode", ["float32", "float16", "dynamic"])
def test_a_learning_file_answers_as_the_network_until_it_learns(tmp_path: Path, mode: str):
    model = two_headed()
    limits = kt.Limits(agreement=None, accuracy_loss=None)
    export = kt.export(
        model, tmp_path / "out", class_names=CLASSES, modes=(), learning=mode, proof=[IMAGES[:40]], limits=limits
    )
    path = export.files["learning"]
    assert not custom_operators(operators(path.read_bytes()))
    expected, answer = answers(model, IMAGES[:40]), LiteRTModel(path, signature="infer")(IMAGES[:40])
    np.testing.assert_allclose(answer, expected, atol={"float32": 1e-6, "float16": 1e-3, "dynamic": 2e-2}[mode])

    app = Learner(path)
    before = accuracy(app, IMAGES[:200], LABELS[:200])
    losses = [app.train(IMAGES[start : start + 50], LABELS[start : start + 50]) for start in [0, 50, 100, 150] * 15]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert accuracy(app, IMAGES[:200], LABELS[:200]) > before + 0.1
    learned, saved = app.infer(IMAGES[:40]), app.save()
    fresh = Learner(path)
    assert fresh.restore(saved) == sum(array.size for array in saved.values())
    np.testing.assert_array_equal(fresh.infer(IMAGES[:40]), learned)


def test_one_step_of_a_learning_file_is_gradient_descent(tmp_path: Path):
    model = two_headed()
    path = kt.export(model, tmp_path / "out", modes=(), saved_model=False, learning="float32").files["learning"]
    app = Learner(path)
    twin = kt.deploy(model)
    loss = keras.losses.SparseCategoricalCrossentropy()
    twin.trainable = True
    for layer in twin.layers:
        layer.trainable = layer.name == "predictions_logits"
    twin.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    expected = twin.train_on_batch(IMAGES[:20].astype("float32"), LABELS[:20])
    assert app.train(IMAGES[:20], LABELS[:20], rate=0.1) == pytest.approx(expected, abs=1e-5)
    kernel, bias = twin.get_layer("predictions_logits").get_weights()
    np.testing.assert_allclose(app.save()["kernel"], kernel, atol=1e-6)
    np.testing.assert_allclose(app.save()["bias"], bias, atol=1e-6)


@pytest.mark.slow
def test_an_app_teaches_released_weights_its_own_flowers(shared: Path, tmp_path: Path):
    """MobileNetV2's trunk, five of the 17 flowers, 24 photographs of each, four times over in small steps."""
    from keras_inception.tflite.pictures.fitting import fit
    from keras_inception.training.data.decode import decode_bytes

    classes = sorted(path.name for path in (shared / "data/flowers17/train").iterdir())[:5]

    def read(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        paths = [p for name in classes for p in sorted((shared / "data/flowers17" / part / name).iterdir())[:count]]
        pictures = [fit(decode_bytes(path.read_bytes(), 3), (224, 224, 3)).numpy() for path in paths]
        return np.stack(pictures), np.repeat(np.arange(len(classes)), count)

    trunk = ki.MobileNetV2(weights=shared / "weights/mobilenet_v2_1.0_224.h5", classes=1000, include_preprocessing=True)
    features = trunk.get_layer("predictions_logits").input
    logits = keras.layers.Dense(len(classes), kernel_initializer="zeros", name="predictions_logits")(features)
    model = keras.Model(trunk.input, keras.layers.Activation("softmax", name="predictions")(logits))
    path = kt.export(model, tmp_path / "out", class_names=classes, modes=(), learning="dynamic").files["learning"]
    app = Learner(path)
    (images, labels), (test_images, test_labels) = read("train", 24), read("validation", 10)
    before = accuracy(app, test_images, test_labels)
    order = np.random.default_rng(0)
    for _ in range(4):
        for chosen in order.permutation(len(images)).reshape(-1, 8):
            # At 0.05 each batch undoes what the last one taught: the 1,280 features have a norm of about 30.
            app.train(images[chosen], labels[chosen], rate=0.003)
    after = accuracy(app, test_images, test_labels)
    print(f"accuracy on {len(test_images)} photographs: {before:.1%} before, {after:.1%} after")
    assert before <= 0.3  # the new classifier knows nothing
    assert after >= 0.85


def test_the_layers_that_cost_most_stay_float(tmp_path: Path):
    pytest.importorskip("litert_quantizer", reason="needs the extra quantizer")
    model = fragile()
    labels = np.asarray(answers(model, IMAGES).argmax(1))
    proof, calibration = [(IMAGES[:300], labels[:300])], IMAGES[300:400]
    limits = kt.Limits(agreement=0.9, accuracy_loss=0.1)
    arguments = {"class_names": CLASSES, "calibration": calibration, "modes": ("int8",), "saved_model": False}
    with pytest.raises(kt.ExportError, match=r"model_int8\.tflite must agree on 90\.0% of the images"):
        kt.export(model, tmp_path / "plain", proof=proof, limits=limits, **arguments)
    export = kt.export(model, tmp_path / "out", proof=proof, limits=limits, selective=True, **arguments)
    (row,) = export.manifest["files"]
    assert {"wide_range", "usual_too"} <= set(row["float_layers"])  # the one that writes and the one that reads it
    assert "usual" not in row["float_layers"]
    assert row["float_operators"]
    (_, int8) = kt.verify(model, export.folder, proof, limits=limits, runs=2).rows
    assert int8.agreement >= 0.9
    assert LiteRTModel(export.files["int8"])(IMAGES[:1]).dtype == np.float32


def test_nothing_stays_float_where_int8_is_good_enough(tmp_path: Path):
    limits = kt.Limits(agreement=0.0, accuracy_loss=1.0)
    export = kt.export(
        tiny(), tmp_path / "out", calibration=IMAGES[:50], modes="int8", saved_model=False,
        proof=[IMAGES[:20]], limits=limits, selective=True,
    )  # fmt: skip
    assert export.manifest["files"][0]["float_layers"] == []


def test_arguments_that_do_not_fit_together_are_a_sentence(tmp_path: Path):
    with pytest.raises(kt.ExportError, match="needs a proof and the mode int8"):
        kt.export(tiny(), tmp_path / "out", selective=True, calibration=IMAGES[:9])
    with pytest.raises(kt.ExportError, match="float32, float16, dynamic. Received: 'int8'"):
        kt.export(tiny(), tmp_path / "out", modes=(), learning="int8")
    with pytest.raises(kt.ExportError, match="a share of the images"):
        kt.Limits(agreement=98)
    assert list(tmp_path.iterdir()) == []


class Learner:
    """An app: it knows the file's signatures and nothing else."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        names = ("infer", "train", "save", "restore")
        self.interpreter, self.runners = interpreter, {name: interpreter.get_signature_runner(name) for name in names}

    def infer(self, images: np.ndarray) -> np.ndarray:
        return self.runners["infer"](images=images)["predictions"]

    def train(self, images: np.ndarray, labels: np.ndarray, rate: float = 0.05) -> float:
        answer = self.runners["train"](
            images=images, labels=labels.astype(np.int32), learning_rate=np.array(rate, np.float32)
        )
        return float(answer["loss"])

    def save(self) -> dict[str, np.ndarray]:
        return self.runners["save"]()

    def restore(self, weights: dict[str, np.ndarray]) -> int:
        return int(self.runners["restore"](**weights)["restored"])


def accuracy(app: Learner, images: np.ndarray, labels: np.ndarray) -> float:
    return float((app.infer(images).argmax(1) == labels).mean())


def fragile() -> keras.Model:
    """A network with one layer, `wide_range`, that eight bits cannot hold: one weight of a channel dwarfs the rest."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(8, 3, strides=4, activation="relu", name="usual")(x)
    x = keras.layers.Conv2D(8, 1, name="wide_range")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="usual_too")(x)
    logits = keras.layers.Dense(10, name="predictions_logits")(keras.layers.Flatten()(x))
    model = keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(logits), name="fragile")
    kernel, bias = model.get_layer("wide_range").get_weights()
    bias[0] = 3000.0  # one channel sets the scale of the layer's output, and the next layer ignores that channel
    model.get_layer("wide_range").set_weights([kernel, bias])
    kernel, bias = model.get_layer("usual_too").get_weights()
    kernel[:, :, 0] = 0.0
    model.get_layer("usual_too").set_weights([kernel, bias])
    return model
