"""Training that ends early: when, what it leaves, and that a killed run ends where an undisturbed one does."""

import io
import json
import re
import types

import pytest
from killed_training import config, tiny_registered
from repeats import REPEATS
from resumed_runs import assert_same, assert_same_state, history, train_and_kill
from rich.console import Console

from keras_inception.training import resume, train
from keras_inception.training.engine.saving import RunFiles, SaveState
from keras_inception.training.engine.watching import Record

EARLY = json.dumps({"epochs": 12, "patience": 2, "min_delta": 0.3})


pytestmark = pytest.mark.usefixtures("tiny")


def ended_after(losses, **settings):
    """The record of a training in which Keras stops when it is asked to."""
    record = Record(**settings)
    record.set_model(types.SimpleNamespace(stop_training=False))
    for epoch, loss in enumerate(losses):
        record.on_epoch_end(epoch, {record.loss: loss})
        if record.model.stop_training:
            break
    assert record.exhausted == record.model.stop_training
    return record


@pytest.mark.parametrize(
    ("losses", "settings", "epochs", "best"),
    [
        ([3, 2, 2, 2, 2], {}, 5, 2),
        ([3, 2, 2, 1, 1], {"patience": 2}, 5, 4),
        ([3, 2, 2, 2, 1], {"patience": 2}, 4, 2),
        ([3, 4, 1, 1, 1], {"patience": 1}, 2, 1),
        ([3, 2.9, 2.8, 2.7, 2.6], {"patience": 2, "min_delta": 0.15}, 5, 5),  # slowly, but twice that in two
        ([3, 2.9, 2.8, 2.7, 2.6], {"patience": 2, "min_delta": 0.5}, 3, 3),  # the best is kept, however little better
        ([3, 2.5, 2.5], {"patience": 1, "min_delta": 0.5}, 2, 2),  # by as much is not by more
    ],
)
def test_training_ends_after_so_many_epochs_that_are_no_better(losses, settings, epochs, best):
    record = ended_after(losses, **settings)
    assert (len(record.rows), record.best_epoch) == (epochs, best)
    assert ("epochs_without_better" in record.rows[0]) == ("patience" in settings)


def test_a_record_taken_up_again_ends_where_the_first_would_have():
    losses = [3, 2, 2.5, 2.4, 2.3, 1]
    whole = ended_after(losses, patience=3)
    for cut in range(len(whole.rows)):
        record = Record(patience=3)
        record.set_model(types.SimpleNamespace(stop_training=False))
        record.restore({"rows": whole.rows[:cut]})
        assert not record.exhausted
        for epoch in range(cut, len(whole.rows)):
            record.on_epoch_end(epoch, {record.loss: losses[epoch]})
        assert record.exhausted
        assert record.rows == whole.rows


class KilledError(Exception):
    """Stands for SIGKILL: nothing is saved after it."""


def killed_in(monkeypatch, callback, hook, at):
    """Has training end inside a hook when it is called for an epoch's or step's number."""
    original = getattr(callback, hook)

    def hook_or_die(self, number, logs=None):
        if number == at and self.model.stop_training == (callback is RunFiles):
            raise KilledError
        original(self, number, logs)

    monkeypatch.setattr(callback, hook, hook_or_die)


ENDS_EARLY = {"epochs": 6, "patience": 2, "min_delta": 9.0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that ends early, undisturbed, and the last line that it said."""
    console = Console(file=io.StringIO(), width=500)
    with tiny_registered():
        run = train(config(**ENDS_EARLY), tmp_path_factory.mktemp("early") / "whole", console=console)
    return run.folder, console.file.getvalue().splitlines()[-1]


def test_a_run_that_ends_early_says_why(whole):
    whole, said = whole
    metrics = json.loads((whole / "metrics.json").read_text())
    assert said == f"ended after epoch 3 of 6: {metrics['ended_early']}"
    assert re.fullmatch(
        r"validation cross-entropy no better than \d\.\d{4} by more than 9 for 2 epochs \(patience\)",
        metrics["ended_early"],
    )
    assert f"It ended before epoch 6: {metrics['ended_early']}." in (whole / "report.html").read_text("utf-8")
    assert [row["epochs_without_better"] for row in history(whole)] == ["0", "1", "2"]
    with pytest.raises(ValueError, match=r"A run to resume must be unfinished. Received: .*whole, which is complete"):
        resume(whole)


@pytest.mark.slow
def test_a_killed_run_has_the_best_and_the_last_epoch_of_an_undisturbed_one(whole, tmp_path, monkeypatch):
    """Killed within an epoch, then after the state of the last one was saved and before the files made from it."""
    whole, _ = whole
    early, console = config(**ENDS_EARLY), Console(file=io.StringIO(), width=500)
    metrics = json.loads((whole / "metrics.json").read_text())
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        killed_in(patched, SaveState, "on_train_batch_end", at=7)
        train(early, tmp_path / "killed", console=console)
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        killed_in(patched, RunFiles, "on_epoch_end", at=2)
        resume(tmp_path / "killed", console=console)
    resume(tmp_path / "killed", stop_after=6, console=console)  # spares the report
    assert history(tmp_path / "killed") == history(whole)
    assert_same_state(whole, tmp_path / "killed")
    again = json.loads((tmp_path / "killed" / "metrics.json").read_text())
    assert [again[name] for name in ("epochs", "best_epoch", "ended_early")] == [
        3,
        metrics["best_epoch"],
        metrics["ended_early"],
    ]

    train(config(epochs=6), tmp_path / "paused", stop_after=2, console=console)
    rows = [{name: row[name] for name in ("learning_rate", "loss")} for row in history(tmp_path / "paused")]
    assert rows == [{name: row[name] for name in rows[0]} for row in history(whole)[:2]]


@pytest.mark.proof
def test_many_runs_killed_ten_times_each_end_early_as_an_undisturbed_one(tmp_path):
    runs = max(1, REPEATS // 3)
    train_and_kill(tmp_path, runs=runs, kills=10, changes=EARLY)
    assert 3 <= len(history(tmp_path / "undisturbed")) < 12
    for number in range(runs):
        assert_same(tmp_path / "undisturbed", tmp_path / str(number))


@pytest.mark.parametrize(("field", "value"), [("patience", -1), ("min_delta", -0.1)])
def test_what_is_no_patience_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"{field} must be at least 0. Received: {value}"):
        config(**{field: value}).validate()
