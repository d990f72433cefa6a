"""A temperature makes probabilities mean what they say, changes no class, and goes wherever a run's network goes."""

import dataclasses
import json

import numpy as np
import pytest
from killed_training import config, tiny_registered
from training_helpers import drawn

from keras_inception.training import calibrate, evaluate, resume, train
from keras_inception.training.evaluation.result import calibration
from keras_inception.training.evaluation.temperature import MOST, at_temperature, fit_temperature
from keras_inception.training.runs.run import Run


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several labels"])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature: float, several: bool):
    probabilities, labels = drawn(temperature, several)
    found = fit_temperature(probabilities, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    scaled = at_temperature(probabilities, found, several=several)
    assert calibration(scaled, labels).error < 0.015
    if several:
        assert ((scaled > 0.5) == (probabilities > 0.5)).all()
    else:
        assert (scaled.argmax(1) == probabilities.argmax(1)).all()


def test_a_network_that_is_always_right_does_not_become_certain():
    labels = np.arange(100) % 4
    probabilities = np.full((100, 4), 0.1) + 0.6 * np.eye(4)[labels]
    scaled = at_temperature(probabilities, fit_temperature(probabilities, labels))
    assert scaled.max(1).mean() == pytest.approx(101 / 102, abs=0.001)


def test_a_network_that_knows_nothing_is_not_made_to_say_so_more_than_so_far():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 1000)
    assert fit_temperature(probabilities, rng.integers(0, 4, 1000)) <= MOST


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    with tiny_registered():
        return train(dataclasses.replace(config(), calibrate=True), tmp_path_factory.mktemp("runs") / "calibrated")


def raw_probabilities(run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """What the checkpoint itself says of a split, and the labels."""
    (run.folder / "calibration.json").rename(run.folder / "aside.json")
    try:
        model = run.model()
    finally:
        (run.folder / "aside.json").rename(run.folder / "calibration.json")
    parts = [(model.predict_on_batch(pixels), labels) for pixels, labels in run.batches(split)]
    outputs = [part["predictions"] if isinstance(part, dict) else part for part, _ in parts]
    return np.concatenate(outputs), np.concatenate([labels for _, labels in parts])


def test_a_calibrated_run_answers_with_its_temperature_everywhere(run: Run):
    told = json.loads((run.folder / "calibration.json").read_text())
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["temperature"] == told["temperature"] == run.temperature != 1
    before, labels = raw_probabilities(run, "test")
    expected = at_temperature(before, run.temperature)
    pixels = np.concatenate([pixels for pixels, _ in run.batches("test")])
    found = run.model().predict(pixels, verbose=0)
    found = found["predictions"] if isinstance(found, dict) else found
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found.argmax(1) == before.argmax(1)).all()
    assert evaluate(run).loss == pytest.approx(
        float(-np.log(expected[np.arange(len(labels)), labels]).mean()), rel=1e-3
    )
    assert f"divided by {run.temperature:.3f}" in (run.folder / "report.html").read_text("utf-8")


def test_fitting_again_and_after_a_break_finds_the_same(run: Run, tmp_path):
    before = run.temperature
    assert calibrate(run) == before
    with tiny_registered():
        train(dataclasses.replace(config(), calibrate=True), tmp_path / "again", stop_after=1)
        again = resume(tmp_path / "again")
    assert again.temperature == before


def test_few_images_tell_no_temperature(run: Run, monkeypatch: pytest.MonkeyPatch):
    before = (run.folder / "calibration.json").read_text()
    monkeypatch.setattr("keras_inception.training.evaluation.temperature.LEAST_IMAGES", 10_000)
    assert calibrate(run) == run.temperature == 1
    (run.folder / "calibration.json").write_text(before)


def test_a_run_is_not_calibrated_unless_it_is_asked_for():
    assert not config().calibrate
