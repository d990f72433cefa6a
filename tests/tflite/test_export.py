"""Trained networks become files that answer as they do, and what goes wrong is one sentence and leaves nothing."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tflite_helpers import CLASSES, answers, digits, fitted, googlenet, narrow, tiny, trained, two_headed

import keras_inception.tflite as kt
from keras_inception.custom_layers import LocalResponseNormalization
from keras_inception.tflite.folder import Export, sha256
from keras_inception.tflite.running.litert import LiteRTModel
from keras_inception.tflite.running.others import open_saved_model

IMAGES, LABELS = digits()
TEST = [(IMAGES[start : start + 64], LABELS[start : start + 64]) for start in (1400, 1464, 1528)]
# A tenth would agree by chance; see `fitted`.
RANDOM_LAYERS = kt.Limits(agreement=0.5, accuracy_loss=None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Export:
    folder = tmp_path_factory.mktemp("export") / "digits"
    return kt.export(fitted(), folder, class_names=CLASSES, calibration=[(IMAGES[:50], LABELS[:50])])


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Export:
    """The export of a small network, for what does not depend on the network."""
    folder = tmp_path_factory.mktemp("export") / "small"
    return kt.export(two_headed(), folder, class_names=CLASSES, calibration=IMAGES[:50])


@pytest.fixture
def copy(small: Export, tmp_path: Path) -> Export:
    shutil.copytree(small.folder, tmp_path / "copy")
    return Export.open(tmp_path / "copy")


def test_the_functions_stay_functions_after_their_modules_are_imported():
    from keras_inception.tflite import benchmark, deploy, export, verify

    assert all(callable(function) for function in (benchmark, deploy, export, verify))


def test_every_file_is_proven(exported: Export):
    proof = kt.verify(fitted(), exported.folder, TEST[:1], limits=RANDOM_LAYERS, runs=2)
    assert proof.passed, proof.failures
    rows = {row.mode: row for row in proof.rows}
    assert list(rows) == ["keras", "saved_model", "float32", "int8"]
    assert rows["keras"].difference < 1e-5  # aux heads removed, nothing else changed
    assert max(rows["float32"].difference, rows["saved_model"].difference) < 1e-4
    assert rows["keras"].accuracy > 0.3
    assert rows["int8"].size < 0.35 * rows["float32"].size
    assert rows["int8"].static_shapes
    assert not rows["int8"].custom_operators
    assert json.loads((exported.folder / "proof.json").read_text())["passed"] is True


@pytest.mark.proof
def test_a_trained_network_keeps_its_classes_in_int8(tmp_path: Path):
    model = trained()
    export = kt.export(model, tmp_path / "out", calibration=IMAGES[:150], proof=TEST)
    rows = {row["mode"]: row for row in json.loads((export.folder / "proof.json").read_text())["rows"]}
    assert rows["keras"]["accuracy"] > 0.85
    assert rows["int8"]["agreement"] >= 0.98


def test_the_folder_describes_itself(exported: Export):
    assert {path.name for path in exported.folder.iterdir()} >= {
        "saved_model", "model_float32.tflite", "model_int8.tflite", "labels.txt", "export.json",
    }  # fmt: skip
    assert exported.class_names == CLASSES
    assert exported.manifest["input"]["shape"] == [1, 32, 32, 1]
    assert exported.manifest["calibration_images"] == 50
    for row in exported.manifest["files"]:
        assert sha256(exported.folder / row["file"]) == row["sha256"]


def test_the_int8_file_computes_in_integers_and_reads_pixels_exactly(exported: Export):
    (row,) = [row for row in exported.manifest["files"] if row["mode"] == "int8"]
    assert row["float_operators"] == {"SOFTMAX": 1}  # of which float probabilities come
    model = LiteRTModel(exported.files["int8"])
    details = model._interpreter.get_input_details()[0]
    assert details["dtype"] is np.uint8
    assert details["quantization"] == (1.0, 0)
    kernels = [
        tensor["quantization_parameters"]["scales"]
        for tensor in model._interpreter.get_tensor_details()
        if len(tensor["shape"]) == 4 and tensor["quantization_parameters"]["scales"].size > 1
    ]
    assert len(kernels) == row["operators"]["CONV_2D"]  # a scale a channel in each of them
    answer = model(IMAGES[:3])
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.sum(1), 1, atol=0.03)


def test_the_saved_model_takes_any_batch_and_encoded_files(exported: Export):
    call = open_saved_model(exported.files["saved_model"])
    expected = answers(fitted(), IMAGES[:5])
    np.testing.assert_allclose(call(IMAGES[:5]), expected, atol=1e-4)
    files = tf.constant([tf.io.encode_png(image).numpy() for image in IMAGES[:5]])
    answer = call.keep.signatures["serve_encoded"](encoded=files)["predictions"]
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(50, 80), (100, 33), (20, 31), (32, 32)])
def test_encoded_files_are_prepared_as_training_prepares_them(small: Export, size: tuple[int, int]):
    from keras_inception.training.config import ModelConfig, TrainConfig
    from keras_inception.training.pipeline.preparing import prepare

    picture = np.random.default_rng(0).integers(0, 256, (*size, 1), dtype=np.uint8)
    prepared = prepare(tf.constant(picture), TrainConfig(model=ModelConfig(image_size=32, channels=1)))
    call = open_saved_model(small.files["saved_model"])
    answer = call.keep.signatures["serve_encoded"](encoded=[tf.io.encode_png(picture).numpy()])["predictions"]
    np.testing.assert_allclose(answer, call(prepared.numpy()[None]), atol=1e-6)


def test_a_static_batch_takes_any_number_of_images(tmp_path: Path):
    model = two_headed()
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, batch=4)
    file = LiteRTModel(export.files["float32"])
    assert file.input_shape == (4, 32, 32, 1)
    for count in (1, 4, 6):
        np.testing.assert_allclose(file(IMAGES[:count]), answers(model, IMAGES[:count]), atol=1e-5)
    proof = kt.verify(model, export.folder, [IMAGES[:70]], limits=kt.Limits(), runs=1)  # 64 and 6
    assert proof.passed, proof.failures
    assert file(IMAGES[:0]).shape == (0, 10)


def test_the_twin_folded_or_not_equals_the_network_and_leaves_it_alone():
    model = fitted()
    before = [weight.copy() for weight in model.get_weights()]
    expected = answers(model, IMAGES[:32])
    plain, folded = kt.deploy(model), kt.deploy(model, fold=True)
    assert not any("aux" in layer.name for layer in plain.layers)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    for twin in (plain, folded):
        assert twin.output_shape == (None, 10)
        np.testing.assert_allclose(answers(twin, IMAGES[:32]), expected, atol=1e-4)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_logits_and_probabilities_are_a_softmax_apart():
    logits = answers(kt.deploy(fitted(), output="logits"), IMAGES[:8])
    probabilities = answers(kt.deploy(fitted()), IMAGES[:8])
    np.testing.assert_allclose(keras.ops.softmax(logits), probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "bn"])
def test_the_other_forms_export_with_builtin_operators(variant: str, tmp_path: Path):
    assert_builtin_operators(googlenet(variant), tmp_path, normalised=variant == "paper")


def test_local_response_normalisation_exports_with_builtin_operators(tmp_path: Path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(8, 7, strides=4, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    x = keras.layers.Flatten()(LocalResponseNormalization()(x))
    model = keras.Model(pixels, keras.layers.Dense(10, activation="softmax", name="predictions")(x))
    assert_builtin_operators(model, tmp_path, normalised=True)


def assert_builtin_operators(model: keras.Model, tmp_path: Path, *, normalised: bool) -> None:
    export = kt.export(model, tmp_path / "out", modes=("float32", "int8"), saved_model=False, calibration=IMAGES[:20])
    expected = answers(model, IMAGES[:8])
    np.testing.assert_allclose(LiteRTModel(export.files["float32"])(IMAGES[:8]), expected, atol=1e-4)
    np.testing.assert_allclose(LiteRTModel(export.files["int8"])(IMAGES[:8]), expected, atol=0.1)
    # Local response normalisation has no integer kernel: its power stays in float, and the manifest says so.
    float_operators = export.manifest["files"][1]["float_operators"]
    assert ("POW" in float_operators) == normalised
    assert "CONV_2D" not in float_operators


def test_a_mixed_precision_checkpoint_exports_in_float32(tmp_path: Path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    two_headed().save(tmp_path / "half.keras")
    keras.config.set_dtype_policy("float32")
    model = keras.saving.load_model(tmp_path / "half.keras", compile=False)
    twin = kt.deploy(model)
    assert {layer.compute_dtype for layer in twin.layers} == {"float32"}
    assert twin.output_names == ["predictions"]
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, class_names=CLASSES)
    proof = kt.verify(model, export.folder, [IMAGES[:16]], limits=kt.Limits(agreement=None), runs=1)
    assert proof.passed, proof.failures
    assert proof.rows[0].precision == "bfloat16"
    assert proof.rows[1].difference < 1e-5


def test_float16_policy_dynamic_batch_and_every_mode(tmp_path: Path):
    keras.config.set_dtype_policy("mixed_float16")
    model = two_headed()
    keras.config.set_dtype_policy("float32")
    modes = ("float32", "float16", "dynamic", "int8", "int16x8")
    export = kt.export(model, tmp_path / "out", modes=modes, batch=None, calibration=IMAGES[:50], overwrite=True)
    expected = answers(kt.deploy(model), IMAGES[:7])
    for mode in modes:
        file = LiteRTModel(export.files[mode])
        assert file.input_shape == (None, 32, 32, 1)
        np.testing.assert_allclose(file(IMAGES[:7]), expected, atol=1e-5 if mode == "float32" else 0.03)


def test_preprocessing_is_put_inside_or_asked_for(tmp_path: Path):
    import keras_inception as ki

    model = narrow(include_preprocessing=False, aux_heads=False)
    with pytest.raises(kt.ExportError, match="raw pixels"):
        kt.export(model, tmp_path / "out", modes="float32")
    assert not (tmp_path / "out").exists()
    twin = kt.deploy(model, preprocessing="inception_v1")
    expected = answers(model, ki.preprocess_input(IMAGES[:4], "inception_v1"))
    np.testing.assert_allclose(answers(twin, IMAGES[:4]), expected, atol=1e-6)


# ---- proof


def test_a_passed_limit_is_a_failure_in_one_sentence(copy: Export):
    limits = kt.Limits(agreement=None, accuracy_loss=None, quantized_difference=1e-9)
    proof = kt.verify(two_headed(), copy.folder, TEST[:1], limits=limits, runs=1)
    assert not proof.passed
    assert len(proof.failures) == 1
    assert proof.failures[0].startswith("model_int8.tflite must differ by 1e-09 at most. Received: ")
    assert json.loads((copy.folder / "proof.json").read_text())["failures"] == list(proof.failures)


def test_another_network_does_not_pass(copy: Export):
    proof = kt.verify(two_headed(seed=1), copy.folder, TEST[:1], runs=1)
    assert any("model_float32.tflite must differ by" in failure for failure in proof.failures)


def test_a_cut_and_a_missing_file_are_a_sentence_each_and_the_rest_is_proven(copy: Export):
    path = copy.files["int8"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    copy.files["float32"].unlink()
    proof = kt.verify(two_headed(), copy.folder, TEST[:1], limits=RANDOM_LAYERS, runs=1)
    assert [row.mode for row in proof.rows] == ["keras", "saved_model"]
    assert len(proof.failures) == 2
    assert "no model_float32.tflite" in proof.failures[0]
    assert "model_int8.tflite changed, cut off or damaged" in proof.failures[1]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_cut_file_is_refused_before_native_code_sees_it(copy: Export, share: float):
    path = copy.files["float32"]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(kt.ExportError, match=r"A \.tflite file must be"):
        LiteRTModel(path)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone says what a process has mapped")
def test_a_file_is_mapped_and_checked_without_a_copy_of_its_own(small: Export, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", None)
    models = [LiteRTModel(small.files["float32"], checked=checked) for checked in (False, True)]
    assert np.array_equal(models[0](IMAGES[:2]), models[1](IMAGES[:2]))
    assert str(small.files["float32"].resolve()) in Path("/proc/self/maps").read_text()


def test_no_folder_appears_past_a_limit(tmp_path: Path):
    limits = kt.Limits(difference=-1.0)
    with pytest.raises(kt.ExportError, match="must stay within the limits"):
        kt.export(tiny(), tmp_path / "out", modes="float32", saved_model=False, proof=TEST[:1], limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_verification_names_what_it_cannot_compare(copy: Export, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"export\.json"):
        kt.verify(two_headed(), tmp_path / "nothing", TEST)
    with pytest.raises(kt.ExportError, match="Received: none"):
        kt.verify(two_headed(), copy.folder, [])
    with pytest.raises(kt.ExportError, match="10 classes. Received: 7"):
        kt.verify(tiny(classes=7), copy.folder, TEST)
    (copy.folder / "labels.txt").write_text("one\n")
    with pytest.raises(kt.ExportError, match="must name 10 classes"):
        kt.verify(two_headed(), copy.folder, TEST)


# ---- what goes wrong leaves nothing

BAD = {
    "an empty calibration set": ({"calibration": []}, "empty calibration set"),
    "no calibration": ({}, "empty calibration set"),
    "images of another size": ({"calibration": IMAGES[:5, :16]}, r"must be 32x32x1.*\(16, 32, 1\)"),
    "images scaled to 0..1": ({"calibration": IMAGES[:5] / 255.0}, "no value above 1"),
    "images scaled to -1..1": ({"calibration": IMAGES[:5] / 127.5 - 1}, "in 0..255. Received: values from -1 to 0"),
    "another class count": ({"class_names": ["a", "b"], "calibration": IMAGES[:5]}, "10 classes. Received: 2 names"),
    "a name of two lines": ({"class_names": ["a\nb"] * 10, "calibration": IMAGES[:5]}, "one line"),
    "an unknown mode": ({"modes": ("int4",)}, "mode must be one of float32"),
    "nothing to write": ({"modes": (), "saved_model": False}, "at least one mode"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(case: str, tmp_path: Path):
    options, message = BAD[case]
    with pytest.raises(kt.ExportError, match=message) as raised:
        kt.export(tiny(), tmp_path / "out", **options)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@keras.saving.register_keras_serializable("tests")
class Bessel(keras.layers.Layer):
    """Something that TFLite has no operator for."""

    def call(self, inputs):
        return tf.math.special.bessel_j0(inputs)


def test_a_layer_without_a_builtin_leaves_the_old_export(tmp_path: Path):
    target = tmp_path / "out"
    kt.export(tiny(), target, modes="float32", saved_model=False)
    before = sha256(target)
    with pytest.raises(kt.ExportError, match=r"builtin operators\. Received: .*Bessel") as raised:
        kt.export(tiny(last=Bessel()), target, modes="float32", saved_model=False, overwrite=True)
    assert "\n" not in str(raised.value)
    assert sha256(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_existing_export_stays_without_overwrite(copy: Export):
    before = sha256(copy.folder)
    with pytest.raises(kt.ExportError, match="only with overwrite"):
        kt.export(tiny(), copy.folder, modes="float32")
    assert sha256(copy.folder) == before


EXPORT_FOR_EVER = """
import sys
sys.path.insert(0, sys.argv[2])
from tflite_helpers import tiny
from keras_inception.tflite import export
model = tiny()
while True:
    export(model, sys.argv[1], modes="float32", overwrite=True)
    print("done", flush=True)
"""


def test_a_killed_export_leaves_the_old_one(tmp_path: Path):
    target = tmp_path / "out"
    command = [sys.executable, "-c", EXPORT_FOR_EVER, str(target), str(Path(__file__).parents[1] / "helpers")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        while not list(tmp_path.glob(".out.partial-*/export.json")) and not list(
            tmp_path.glob(".out.partial-*/saved*")
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    export = Export.open(target)
    assert all(sha256(target / row["file"]) == row["sha256"] for row in export.manifest["files"])


# ---- timing


def test_benchmark_takes_files_models_and_functions(small: Export):
    model = kt.deploy(two_headed())
    rows = kt.benchmark(
        {"float32": small.files["float32"], "saved": small.files["saved_model"], "keras": model, "sum": np.sum},
        runs=5,
        warmup=1,
    )
    assert [(row.name, row.kind) for row in rows] == [
        ("float32", "tflite"), ("saved", "saved_model"), ("keras", "keras"), ("sum", "callable"),
    ]  # fmt: skip
    assert all(0 < row.low_ms <= row.median_ms <= row.high_ms for row in rows)
    assert rows[3].median_ms < rows[2].median_ms
    with pytest.raises(FileNotFoundError, match="absent"):
        kt.benchmark([small.folder / "absent.tflite"])
