"""Exports of really trained weights on real photographs; both come from the folder of shared test data."""

from pathlib import Path

import numpy as np
import pytest
from tflite_helpers import answer_steps, answers, photographs

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.running.litert import LiteRTModel


@pytest.mark.slow
def test_mobilenet_v2_keeps_its_classes_in_eight_bits(shared: Path, tmp_path: Path):
    images, labels = photographs(shared / "data/imagenet_sample", 224)
    model = ki.MobileNetV2(weights=shared / "weights/mobilenet_v2_1.0_224.h5", include_preprocessing=True)
    half, rows = len(images) // 2, []
    unlimited = kt.Limits(agreement=None, accuracy_loss=None)  # held below, on both halves together
    for calibrating, measured in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        folder, batches = tmp_path / str(measured.start), [(images[measured], labels[measured])]
        kt.export(model, folder, modes=("float32", "int8"), saved_model=False, calibration=images[calibrating])
        proof = kt.verify(model, folder, batches, limits=unlimited, runs=5)
        assert proof.passed, proof.failures
        rows.append(proof.rows[1:])
    plain, int8 = ([pair[index] for pair in rows] for index in (0, 1))
    accuracy, kept = (np.mean([row.accuracy for row in some]) for some in (plain, int8))
    agreement = np.mean([row.agreement for row in int8])  # of 250 answers: of 125, three that are near a tie are 2.4 %
    print(
        f"float32 accuracy {accuracy:.1%}; int8 accuracy {kept:.1%}, agreement {agreement:.1%} "
        f"{[f'{row.agreement:.1%}' for row in int8]}, size {int8[0].size / plain[0].size:.1%} of float32, "
        f"whole on {int8[0].delegates}"
    )
    assert accuracy > 0.85
    assert agreement >= 0.98
    assert accuracy - kept <= 0.01
    assert all(quantized.size <= 0.28 * row.size for quantized, row in zip(int8, plain, strict=True))
    assert all(row.float_operators == {"SOFTMAX": 1} for row in int8)


@pytest.mark.slow
def test_a_simulation_of_mobilenet_v2_answers_as_its_file(shared: Path, tmp_path: Path):
    images, _ = photographs(shared / "data/imagenet_sample", 224)
    model = ki.MobileNetV2(weights=shared / "weights/mobilenet_v2_1.0_224.h5", include_preprocessing=True)
    simulation = kt.simulate(model, images[:32], rounding="nearest")
    found, expected = answer_steps(simulation, images[32:64], tmp_path / "out")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.proof
def test_inception_v3_keeps_its_features(shared: Path, tmp_path: Path):
    images, _ = photographs(shared / "data/imagenet_sample", 299)
    model = ki.InceptionV3(
        include_top=False,
        pooling="avg",
        weights=shared / "weights/inception_v3_notop.h5",
        input_shape=(299, 299, 3),
        include_preprocessing=True,
    )
    modes = ("float32", "dynamic", "int8")
    export = kt.export(model, tmp_path / "out", modes=modes, saved_model=False, calibration=images[100:200])
    pictures = images[:100]
    expected = np.concatenate([answers(model, pictures[start : start + 20]) for start in range(0, 100, 20)])
    correlation = {}
    for mode in modes:
        answer = LiteRTModel(export.files[mode])(pictures)
        correlation[mode] = np.mean(
            [np.corrcoef(one, other)[0, 1] for one, other in zip(answer, expected, strict=True)]
        )
    print({mode: f"{value:.5f}" for mode, value in correlation.items()})
    assert correlation["float32"] > 0.999999
    assert correlation["dynamic"] >= 0.999
    assert correlation["int8"] >= 0.998
