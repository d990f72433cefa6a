"""Where a file runs besides the CPU's default kernels: what takes it whole, what is lacking, what crashes."""

import json
from inspect import signature
from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import CLASSES, digits, fit_batch_norms, two_headed

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.cli import deployment
from keras_inception.tflite.folder import Export
from keras_inception.tflite.proving.measuring import Yardstick
from keras_inception.tflite.proving.rehearsal import rehearse
from keras_inception.tflite.running.places import CPU, GPU, PLACES, Place, run_at

IMAGES, _ = digits()
PICTURES = IMAGES[1400:1432]
AT = {place.name: place for place in PLACES}
ON_CPU = [AT[name] for name in (CPU, "CPU, builtin kernels", "CPU, reference kernels")]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Export:
    folder = tmp_path_factory.mktemp("accelerators") / "small"
    return kt.export(two_headed(), folder, class_names=CLASSES, calibration=IMAGES[:50], saved_model=False)


@pytest.fixture(scope="module")
def network() -> Yardstick:
    limits = kt.Limits(agreement=None)  # random layers
    return Yardstick(two_headed(), PICTURES, None, limits, classes=10, preprocessing=None, output="probabilities")


def on_gpu(path: Path, pictures: np.ndarray, name: str = GPU):
    """What the GPU backend makes of a file; the test is skipped where there is no driver."""
    ran = run_at(AT[name], path, pictures, "serving_default")
    if ran.absent:
        pytest.skip(f"no GPU backend: it wants {ran.absent}")
    return ran


def test_all_kernels_of_the_cpu_agree(small: Export, network: Yardstick):
    rehearsal, failures = rehearse(small.files, network, ON_CPU)
    assert [(row.file, row.place) for row in rehearsal.rows] == [
        (path.name, place.name) for path in small.files.values() for place in ON_CPU
    ]
    assert not failures and not rehearsal.absent
    for row in rehearsal.rows:
        assert row.images == len(PICTURES)
        assert row.difference is not None and row.difference < (1e-5 if "float32" in row.file else 0.05)
    default = next(row for row in rehearsal.rows if row.place == CPU)
    assert default.operators == sum(small.manifest["files"][0]["operators"].values())
    assert default.taken == default.operators - 1  # XNNPACK leaves the cast of pixels to others


def test_the_gpu_takes_a_file_whole_and_the_proof_says_that_it_ran(small: Export, network: Yardstick):
    on_gpu(small.files["float32"], PICTURES[:1])
    rehearsal, failures = rehearse({"float32": small.files["float32"]}, network, [AT[CPU], AT[GPU]])
    row = rehearsal.rows[1]
    assert row.whole and row.device and not failures
    assert row.difference is not None and row.difference < 1e-5
    proof = kt.verify(two_headed(), small.folder, [PICTURES], limits=kt.Limits(agreement=None), runs=1)
    assert "GPU listed" in column(proof, "whole on")[1]
    ran = kt.Proof(**{**vars(proof), "accelerators": rehearsal})
    assert "GPU ran" in column(ran, "whole on")[1]
    assert "GPU listed" in column(ran, "whole on")[2]  # the int8 file was not tried


def column(proof: kt.Proof, heading: str) -> list[str]:
    (found,) = [column for column in proof.table().columns if column.header == heading]
    return [str(cell) for cell in found.cells]


def test_the_proof_keeps_what_was_found_and_says_what_is_lacking(small: Export, monkeypatch: pytest.MonkeyPatch):
    lacking = Place("OpenVINO", "openvino", module="no_such_runtime", brings="pip install it")
    monkeypatch.setattr(rehearse, "__defaults__", ([AT[CPU], lacking, AT[GPU]],))
    monkeypatch.setenv("VK_ICD_FILENAMES", "no such driver")  # which the user has named: no other is looked for
    proof = kt.verify(two_headed(), small.folder, [PICTURES], limits=kt.Limits(agreement=None), accelerators=True)
    assert proof.passed and proof.accelerators is not None
    kept = json.loads((small.folder / "proof.json").read_text())["accelerators"]
    assert [row["place"] for row in kept["rows"]] == [CPU, CPU]
    assert kept["absent"] == {"OpenVINO": "pip install it", "GPU": AT[GPU].brings}
    assert "OpenVINO: not on this machine; pip install it" in proof.accelerators.notes()


def test_a_runtime_that_crashes_is_a_row(
    small: Export, network: Yardstick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sitecustomize.py").write_text("import os\nos.abort()\n")  # any Python that starts from now on
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    files = {"float32": small.files["float32"]}
    rehearsal, failures = rehearse(files, network, ON_CPU[:1])
    assert [(row.share, row.note) for row in rehearsal.rows] == [("refused", "the runtime crashed (SIGABRT)")]
    assert not failures


def test_half_precision_that_overflows_fails_the_proof(tmp_path: Path):
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1.0)(pixels)
    x = keras.layers.Conv2D(4, 3, strides=4, kernel_initializer="ones", name="large")(x)  # 9 * 255 ...
    x = keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.Constant(50.0), name="larger")(x)
    x = keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.RandomNormal(1e-6), name="small_again")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(10, name="predictions_logits")(x)
    model = keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(x))
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, preprocessing="none")
    network = Yardstick(model, PICTURES, None, kt.Limits(), classes=10, preprocessing=None, output="probabilities")
    rehearsal, failures = rehearse(export.files, network, [AT[CPU], AT["CPU, half precision"]])
    assert rehearsal.rows[0].not_finite == 0
    assert rehearsal.rows[1].not_finite == len(PICTURES)
    assert failures == [
        "model_float32.tflite (CPU, half precision) must answer every image with numbers. Received: infinities or NaN "
        "for 32 of 32."
    ]


def test_openvino_reads_the_files(small: Export):
    pytest.importorskip("openvino", reason="the extra openvino")
    for mode, path in small.files.items():
        ran = run_at(AT["OpenVINO"], path, PICTURES, "serving_default")
        expected = run_at(AT[CPU], path, PICTURES, "serving_default")
        assert ran.whole and ran.answers is not None and expected.answers is not None
        assert np.abs(ran.answers - expected.answers).max() < (1e-5 if mode == "float32" else 0.1)


def test_accelerators_want_a_proof(tmp_path: Path):
    with pytest.raises(ValueError, match="Received: --accelerators alone"):
        deployment.export("inception_v1", accelerators=True)
    with pytest.raises(kt.ExportError, match="Received: accelerators, no proof"):
        kt.export(two_headed(), tmp_path / "out", modes="float32", accelerators=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inception_v1", "mobilenet_v1", "mobilenet_v2"])
def test_the_gpu_takes_networks_whole(name: str, tmp_path: Path):
    keras.utils.set_random_seed(0)
    builder = ki.get_entry(name).load_builder()
    narrow = {"alpha": 0.25} if "alpha" in signature(builder).parameters else {}
    model = builder(input_shape=(32, 32, 3), classes=10, include_preprocessing=True, **narrow)
    pictures = np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3)).repeat(4, 1).repeat(4, 2)[:, :32, :32]
    pictures = pictures.astype(np.uint8)
    fit_batch_norms(model, pictures)
    modes = ("float32", "float16", "int8")
    export = kt.export(
        model, tmp_path / "out", modes=modes, saved_model=False, calibration=pictures, rounding="nearest"
    )
    for mode in modes:
        ran = on_gpu(export.files[mode], pictures)
        expected = run_at(AT[CPU], export.files[mode], pictures, "serving_default")
        assert ran.whole and ran.answers is not None and expected.answers is not None
        if mode != "int8":  # the backend computes int8 files in float
            assert np.abs(ran.answers - expected.answers).max() < 1e-4


@pytest.mark.slow
def test_the_gpu_answers_what_it_once_did_not(tmp_path: Path):
    """Averages over padding, and strides of a convolution of one pixel: its kernels compute them otherwise."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(32, 1, strides=2, name="skips")(keras.layers.Conv2D(32, 1)(pixels))
    x = keras.layers.AveragePooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    wide = keras.initializers.RandomNormal(stddev=0.05)
    x = keras.layers.Dense(10, kernel_initializer=wide, name="predictions_logits")(x)
    model = keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(x))
    export = kt.export(
        model,
        tmp_path / "out",
        modes=("float32", "int8"),
        calibration=PICTURES,
        saved_model=False,
        preprocessing="none",
    )
    for mode, most in {"float32": 1e-5, "int8": 0.05}.items():  # once 0.023 and 0.136
        ran = on_gpu(export.files[mode], PICTURES)
        expected = run_at(AT[CPU], export.files[mode], PICTURES, "serving_default")
        assert ran.answers is not None and expected.answers is not None
        assert np.ptp(expected.answers, axis=0).max() > 0.1  # what it says depends on the picture
        assert np.abs(ran.answers - expected.answers).max() < most
