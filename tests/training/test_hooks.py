"""A user's own callbacks: what they are told, in one go and resumed, and how they end a run."""

import io
import json
import shutil

import keras
import numpy as np
import pytest
from killed_training import config, tiny_registered
from resumed_runs import assert_same, history
from rich.console import Console

from keras_inception.training import resume, train

STEPS = 13


pytestmark = pytest.mark.usefixtures("tiny")


def quiet() -> Console:
    return Console(file=io.StringIO(), width=500)


class Diary(keras.callbacks.Callback):
    """Writes down each call, and does what a test asks for at one of them: ("epoch end", 1) and so on."""

    def __init__(self, **at):
        super().__init__()
        self.calls, self.logs, self.at = [], [], {tuple(key.rsplit("_", 1)): act for key, act in at.items()}

    def note(self, what, number=None):
        self.calls.append((what, number))
        act = self.at.get((what.replace(" ", "_"), str(number)))
        if act:
            act(self)

    def on_train_begin(self, logs=None):
        self.note("train begin")

    def on_train_end(self, logs=None):
        self.note("train end")
        self.last_logs = logs

    def on_epoch_begin(self, epoch, logs=None):
        self.note("epoch begin", epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)
        self.note("epoch end", epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.note("step begin", batch)

    def on_train_batch_end(self, batch, logs=None):
        self.note("step end", batch)

    def on_test_begin(self, logs=None):
        self.note("test begin")

    def on_test_end(self, logs=None):
        self.note("test end")


def steps(first=0):
    return [call for step in range(first, STEPS) for call in (("step begin", step), ("step end", step))]


def epoch(number, first=0):
    return [
        ("epoch begin", number), *steps(first), ("test begin", None), ("test end", None), ("epoch end", number),
    ]  # fmt: skip


BEGIN, END = ("train begin", None), ("train end", None)


def stop(diary):
    diary.model.stop_training = True


def fail(_):
    raise RuntimeError("of the user's own")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed, and the callback that watched it."""
    diary, weights = Diary(), []
    folder = tmp_path_factory.mktemp("whole") / "run"

    class Looks(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            weights.append([np.array(weight) for weight in self.model.weights])

        def on_epoch_end(self, epoch, logs=None):
            saved = keras.saving.load_model(folder / "checkpoints" / "last.keras", compile=False)
            weights.append([np.array(weight) for weight in saved.weights])
            diary.rows_on_disk = len(history(folder))

    with tiny_registered():
        train(config(patience=5), folder, callbacks=[diary, Looks()], console=quiet())
    diary.weights = weights
    return folder, diary


def test_callbacks_see_every_epoch_and_step_and_what_history_holds(whole):
    folder, diary = whole
    assert diary.calls == [BEGIN, *epoch(0), *epoch(1), END]
    assert diary.params == {"verbose": 0, "epochs": 2, "steps": STEPS}
    rows = [{name: float(value) for name, value in row.items()} for row in history(folder)]
    assert "epochs_without_better" in rows[0]
    assert [row["epoch"] for row in rows] == [1, 2]
    for row, logs in zip(rows, diary.logs, strict=True):
        told = {name: value for name, value in logs.items() if name not in ("seconds", "images_per_second")}
        assert told == {name: value for name, value in row.items() if name != "epoch"}
    assert diary.last_logs == diary.logs[-1]


def test_callbacks_come_after_the_files_and_see_the_weights_in_training(whole):
    _, diary = whole
    assert diary.rows_on_disk == 2
    for trained, averaged in zip(diary.weights[::2], diary.weights[1::2], strict=True):
        assert len(trained) == len(averaged)
        assert any(not np.array_equal(one, other) for one, other in zip(trained, averaged, strict=True))


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run whose callback raised after the seventh step; its newest checkpoint was written after the sixth."""
    folder = tmp_path_factory.mktemp("broken") / "run"
    with tiny_registered(), pytest.raises(RuntimeError, match="of the user's own"):
        train(config(patience=5), folder, callbacks=[Diary(step_end_6=fail)], console=quiet())
    return folder


def test_a_callback_that_raises_leaves_a_run_that_ends_as_one_without_callbacks(whole, broken, tmp_path):
    folder = shutil.copytree(broken, tmp_path / "run")
    resume(folder, console=quiet())
    assert_same(whole[0], folder)


def test_a_run_resumed_half_way_is_one_training_to_its_callbacks(broken, tmp_path):
    folder, diary = shutil.copytree(broken, tmp_path / "run"), Diary(train_end_None=fail)
    with pytest.raises(RuntimeError):
        resume(folder, callbacks=[diary], console=quiet())
    assert diary.calls == [BEGIN, *epoch(0, first=6), *epoch(1), END]
    assert (diary.params["epochs"], diary.params["steps"]) == (2, STEPS)
    after = Diary()
    resume(folder, callbacks=[after], stop_after=2, console=quiet())
    assert after.calls == []  # nothing was left to train


def test_a_callback_that_stops_training_ends_the_run_whole(broken, tmp_path):
    folder, console, diary = shutil.copytree(broken, tmp_path / "run"), quiet(), Diary(epoch_end_0=stop)
    resume(folder, callbacks=[diary], console=console)
    assert diary.calls == [BEGIN, *epoch(0, first=6), END]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["epochs"] == len(history(folder)) == 1
    assert metrics["ended_early"] == "a callback asked for it (model.stop_training)"
    assert 0 < metrics["test_accuracy"] <= 1
    assert f"It ended before epoch 2: {metrics['ended_early']}." in (folder / "report.html").read_text("utf-8")
    assert f"ended after epoch 1 of 2: {metrics['ended_early']}" in console.file.getvalue()


def test_a_run_that_was_stopped_within_an_epoch_stays_so_when_it_is_broken_off_before_its_test(tmp_path):
    diary = Diary(step_end_4=stop, train_end_None=fail)
    with pytest.raises(RuntimeError):
        train(config(), tmp_path / "run", callbacks=[diary], console=quiet())
    assert diary.calls == [
        BEGIN, ("epoch begin", 0), *steps()[:10], ("test begin", None), ("test end", None), ("epoch end", 0), END,
    ]  # fmt: skip
    after = Diary()
    resume(tmp_path / "run", callbacks=[after], stop_after=2, console=quiet())
    assert after.calls == []
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"] == 1


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (Diary(), r"<.*Diary object"),
        ([Diary(), print], r"<built-in function print> among them"),
        ([keras.callbacks.EarlyStopping], r"<class '.*EarlyStopping'> among them"),
        ("tensorboard", "'tensorboard'"),
    ],
    ids=["alone", "function", "class", "word"],
)
def test_what_is_no_list_of_callbacks_is_refused(given, received, tmp_path):
    rule = r"^callbacks must be a list of keras.callbacks.Callback objects. Received: "
    with pytest.raises(ValueError, match=rule + received):
        train(config(), tmp_path / "run", callbacks=given)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=rule + received):
        resume(tmp_path / "run", callbacks=given)
