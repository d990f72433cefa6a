"""Stock tuners: the published examples, what they save of a candidate, and who builds what."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from killed_training import config, tiny_registered

kt = pytest.importorskip("keras_tuner", reason="the extra `tune` is not installed")

from keras_inception.training.pipeline.preparing import evaluation_batches
from keras_inception.training.tuning import HyperInception, HyperInceptionCell

# Keras Tuner asks for a thread's name in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")


@pytest.fixture
def space():
    """Learning rates of a tiny network whose average is what counts."""
    with tiny_registered():
        recipe = config(epochs=2)
        optimizer = dataclasses.replace(recipe.optimizer, ema_momentum=0.9)
        yield HyperInception(dataclasses.replace(recipe, optimizer=optimizer), search=["learning_rate"])


@pytest.mark.parametrize("cls", [HyperInception, HyperInceptionCell])
def test_the_example_of_a_space_makes_a_tuner(cls: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```py\n(.*?)```", inspect.getdoc(cls), flags=re.DOTALL)
    variables = {cls.__name__: cls, "keras_tuner": kt}
    exec(example.replace("tuner.search()", ""), variables)  # the search itself needs the data, and hours
    assert variables["tuner"].oracle.objective.direction == "max"


def test_the_best_model_of_a_tuner_is_the_one_that_was_scored(space: HyperInception, tmp_path: Path):
    objective = kt.Objective("val_loss", "min")
    tuner = kt.RandomSearch(space, objective=objective, max_trials=1, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    (trial,) = tuner.oracle.get_best_trials()
    (best,) = tuner.get_best_models()
    tried = space.config(trial.hyperparameters)
    validation = evaluation_batches(space.splits(tried).validation, tried)
    probabilities = np.concatenate([best.predict_on_batch(pixels)["predictions"] for pixels, _ in validation])
    labels = space.splits(tried).validation.labels
    accuracy = (probabilities.argmax(1) == labels).mean()
    (kept,) = trial.metrics.get_history("val_predictions_accuracy")  # of the best epoch
    assert kept.value[0] == pytest.approx(accuracy, abs=1e-6)


def test_a_candidate_goes_on_from_its_own_weights(space: HyperInception, tmp_path: Path):
    """As Hyperband does it: what was saved at an epoch's end is loaded into another model."""
    hp = kt.HyperParameters()
    space.declare(hp)
    import keras

    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save_weights(tmp_path / "saved.weights.h5")

    first = space.build(hp)
    space.fit(hp, first, epochs=1, callbacks=[Save()])
    second = space.build(hp)
    second.load_weights(tmp_path / "saved.weights.h5")
    begun = []
    note = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: begun.extend(second.get_weights()))
    space.fit(hp, second, epochs=2, initial_epoch=1, callbacks=[note])
    assert len(begun) == len(first.get_weights()) > 0
    for found, expected in zip(begun, first.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_space_that_was_declared_builds_a_model(space: HyperInception):
    hp = kt.HyperParameters()
    space.declare_hyperparameters(hp)
    assert space.build(hp) is not None
    space.declare_hyperparameters(hp)
    other = hp.copy()
    other.values["learning_rate"] = 0.025
    assert space.build(other) is not None
