"""Exports of really trained weights on real photographs; both come from the folder of shared test data."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tflite_helpers import answers

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.pictures import Fitting, decode
from keras_inception.tflite.runtime import LiteRTModel

pytestmark = pytest.mark.slow


def photographs(shared: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The 250 photographs of ImageNet classes as pixels, and their labels, in a shuffled but fixed order."""
    table = shared / "data/imagenet_classes.csv"
    with table.open(newline="") as file:
        index_of = {row["wnid"]: int(row["index"]) for row in csv.DictReader(file)}
    paths = sorted((shared / "data/imagenet_sample").glob("*.jpg"))
    paths = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))]
    fitting = Fitting(central_crop=0.875)  # as the released networks are evaluated
    images = np.stack([decode(path.read_bytes(), (size, size, 3), fitting).numpy() for path in paths])
    return images, np.array([index_of[path.stem] for path in paths])


def test_mobilenet_v2_keeps_its_classes_in_eight_bits(shared: Path, tmp_path: Path):
    images, labels = photographs(shared, 224)
    model = ki.MobileNetV2(weights=shared / "weights/mobilenet_v2_1.0_224.h5", include_preprocessing=True)
    half = len(images) // 2  # 125 that calibrate, 125 that are measured
    limits = kt.Limits(agreement=0.98, accuracy_loss=0.01)
    export = kt.export(
        model, tmp_path / "out", modes=("float32", "int8"), saved_model=False, calibration=images[:half],
        proof=[(images[half:], labels[half:])], limits=limits,
    )  # fmt: skip
    proof = kt.verify(model, export.folder, [(images[half:], labels[half:])], limits=limits, runs=5)
    _, plain, int8 = proof.rows
    print(
        f"float32 accuracy {plain.accuracy:.1%}; int8 accuracy {int8.accuracy:.1%}, agreement {int8.agreement:.1%}, "
        f"size {int8.size / plain.size:.1%} of float32, whole on {int8.delegates}"
    )
    assert plain.accuracy > 0.85
    assert int8.agreement >= 0.98
    assert plain.accuracy - int8.accuracy <= 0.01
    assert int8.size <= 0.28 * plain.size
    assert "NPU" in int8.delegates


def test_inception_v3_keeps_its_features(shared: Path, tmp_path: Path):
    images, _ = photographs(shared, 299)
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
