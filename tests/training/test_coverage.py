"""Thresholds that keep the right class among the candidates, as often as they promise."""

import json

import numpy as np
import pytest
from killed_training import config, tiny_registered
from training_helpers import drawn

from keras_inception.training import calibrate, coverage_thresholds, train
from keras_inception.training.runs.run import Run, predictions_of


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_a_threshold_is_the_finite_sample_quantile(level: float):
    probabilities, labels = drawn(1.0, several=False, count=250)
    (threshold,) = coverage_thresholds(probabilities, labels, [level]).values()
    scores = 1 - probabilities[np.arange(250), labels]
    rank = np.ceil(np.round(251 * level, 9))
    assert threshold == pytest.approx(1 - np.quantile(scores, rank / 250, method="inverted_cdf"))


def test_coverage_is_kept_on_average_over_draws():
    kept = []
    for seed in range(200):
        probabilities, labels = drawn(2.0, several=False, count=600, seed=seed)  # of a network that is too sure
        told = coverage_thresholds(probabilities[:99], labels[:99])
        right = probabilities[np.arange(99, 600), labels[99:]]
        kept.append([(right >= threshold).mean() for threshold in told.values()])
    np.testing.assert_allclose(np.mean(kept, axis=0), [0.9, 0.95, 0.99], atol=0.005)


@pytest.mark.parametrize(("images", "told"), [(0, 0), (8, 0), (9, 1), (18, 1), (19, 2), (98, 2), (99, 3)])
def test_too_few_images_tell_no_threshold(images: int, told: int):
    found = coverage_thresholds(np.full((images, 2), 0.5), np.zeros(images, int))
    assert list(found) == [0.9, 0.95, 0.99]
    assert [value is not None for value in found.values()] == [True] * told + [False] * (3 - told)


@pytest.mark.parametrize(
    ("labels", "levels", "message"),
    [
        (np.zeros(3, int), [0.9], r"Received: \(4, 2\) and \(3,\)"),
        (np.zeros((4, 2)), [0.9], r"Received: \(4, 2\) and \(4, 2\)"),
        (np.zeros(4, int), [0.9, 1.0], "between 0 and 1. Received: 1.0"),
    ],
)
def test_bad_input_is_one_sentence(labels: np.ndarray, levels: list[float], message: str):
    with pytest.raises(ValueError, match=message):
        coverage_thresholds(np.full((4, 2), 0.5), labels, levels)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    with tiny_registered():
        return train(config(), tmp_path_factory.mktemp("runs") / "run")


def test_every_run_keeps_its_thresholds(run: Run):
    parts = [(predictions_of(run.model().predict_on_batch(pixels)), of) for pixels, of in run.batches("validation")]
    expected = coverage_thresholds(*map(np.concatenate, zip(*parts, strict=True)))
    assert run.temperature == 1
    assert run.coverage == {level: value and pytest.approx(value, abs=1e-5) for level, value in expected.items()}
    assert None not in run.coverage.values()
    before = run.coverage
    assert calibrate(run) != 1
    assert run.coverage != before
    assert calibrate(run, temperature=False) == run.temperature == 1
    assert run.coverage == before


@pytest.mark.parametrize("coverage", [[1], {"0.9": 2.0}, {"much": 0.5}, {"0.9": "0.5"}])
def test_damaged_thresholds_are_named(run: Run, coverage):
    path = run.folder / "calibration.json"
    kept = path.read_text()
    path.write_text(json.dumps({"temperature": 1.0, "coverage": coverage}))
    with pytest.raises(ValueError, match=r"must be a probability for each level. Received: .*calibration.json"):
        _ = run.coverage
    path.write_text('{"temperature": 1.0}')
    assert run.coverage == {}
    path.write_text(kept)
