"""Every network becomes a file of TFLite's builtin operators that answers as the network does."""

from inspect import signature
from pathlib import Path

import keras
import numpy as np
import pytest
from backend_outputs import assign
from tflite_helpers import answer_steps, answers, fit_batch_norms

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.running.litert import LiteRTModel

CASES = {name: (name, {}) for name in ki.list_models()} | {
    "inception_v1 with LRN": ("inception_v1", {"variant": "paper"})
}


def smallest(case: str) -> tuple[keras.Model, np.ndarray]:
    """The network at its smallest size, and pictures."""
    name, options = CASES[case]
    keras.utils.set_random_seed(0)
    size = max(32, ki.get_entry(name).min_size)
    builder = ki.get_entry(name).load_builder()
    narrow = {"alpha": 0.25} if "alpha" in signature(builder).parameters else {}
    model = builder(
        input_shape=(size, size, 3),
        classes=10,
        include_preprocessing=True,
        **narrow,
        **options,
    )
    patches = np.random.default_rng(0).integers(0, 256, (6, size // 4 + 1, size // 4 + 1, 3))
    pictures = patches.repeat(4, 1).repeat(4, 2)[:, :size, :size].astype(np.uint8)
    return model, pictures


LEAST_CORRELATION = {"float16": 0.99, "dynamic": 0.8, "int8": 0.7}  # of random layers; trained ones come closer
OF_EACH_KIND = {"inception_v1 with LRN", "mobilenet_v2", "resnext50", "shufflenet", "xception"}
"""Concatenations, a normalisation, inverted residuals, grouped convolutions, shuffles, separable ones, lone ReLUs."""
QUICK = {"inception_v1", "mobilenet_v1", "mobilenet_v2", "shufflenet"}


def marked(slow: set[str], quick: set[str] = frozenset()) -> list:
    """All networks, those that are neither quick nor meant to be slow as proofs."""
    marks = {case: [pytest.mark.slow if case in slow else pytest.mark.proof] for case in CASES}
    return [pytest.param(case, marks=[] if case in quick else marks[case]) for case in CASES]


@pytest.mark.parametrize("case", marked({"inception_v2", "inception_v3", *OF_EACH_KIND}, QUICK))
def test_every_network_exports_to_float32_within_a_ten_thousandth(case: str, tmp_path: Path):
    model, pictures = smallest(case)
    assign(model)
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, output="logits")
    expected = answers(kt.deploy(model, output="logits"), pictures[:2])
    answer = LiteRTModel(export.files["float32"])(pictures[:2])
    largest = np.abs(expected).max()
    assert np.abs(answer - expected).max() < 1e-4 * largest
    assert np.ptp(expected, axis=0).max() > 1e-2 * largest  # what it says depends on the picture
    (row,) = export.manifest["files"]
    assert row["operators"]
    assert not any(name.startswith("custom:") for name in row["operators"])


@pytest.mark.parametrize("case", marked({"inception_v1 with LRN", "mobilenet_v2", "shufflenet"}))
def test_every_network_exports_in_the_other_modes(case: str, tmp_path: Path):
    model, pictures = smallest(case)
    fit_batch_norms(model, pictures)
    modes = ("float16", "dynamic", "int8")
    export = kt.export(model, tmp_path / "out", modes=modes, saved_model=False, calibration=pictures, output="logits")
    expected = answers(kt.deploy(model, output="logits"), pictures)
    for mode, row in zip(modes, export.manifest["files"], strict=True):
        assert not any(name.startswith("custom:") for name in row["operators"])
        answer = LiteRTModel(export.files[mode])(pictures)
        agreement = np.corrcoef(answer.ravel(), expected.ravel())[0, 1]
        assert agreement > LEAST_CORRELATION[mode], f"{mode}: {agreement}"


@pytest.mark.parametrize("case", marked({"inception_v1", "mobilenet_v2", "shufflenet", "xception"}))
def test_every_network_is_simulated_to_the_bit(case: str, tmp_path: Path):
    model, pictures = smallest(case)
    fit_batch_norms(model, pictures)
    simulation = kt.simulate(model, pictures, rounding="nearest")
    found, expected = answer_steps(simulation, pictures, tmp_path / "out")
    np.testing.assert_array_equal(found, expected)
