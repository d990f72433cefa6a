"""Where runs and evaluations are written, who may write there, and configurations that would train nothing."""

import dataclasses
import io
import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from killed_training import config, tiny_registered
from rich.console import Console
from training_helpers import with_pipeline

from keras_inception.cli import main
from keras_inception.training import evaluate, resume, train, write_arrays
from keras_inception.training.data.sources import open_splits
from keras_inception.training.engine.checkpoints import Place
from keras_inception.training.engine.devices import find_devices
from keras_inception.training.engine.loop import Training
from keras_inception.training.files import alone
from keras_inception.training.runs.run import Run
from keras_inception.training.signals import StopRequest

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def _tiny():
    with tiny_registered():
        yield


@pytest.fixture(scope="module")
def paused(tmp_path_factory):
    """A run of two epochs, paused after the first."""
    with tiny_registered():
        return train(config(), tmp_path_factory.mktemp("runs") / "paused", stop_after=1, console=QUIET)


def test_a_run_may_be_made_and_resumed_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    train(config(), ".", stop_after=1, console=QUIET)
    assert Path.cwd() == tmp_path / "new"
    assert (tmp_path / "new" / "config.json").is_file()
    run = resume(Path(), console=QUIET)
    assert (tmp_path / "new" / "report.html").is_file()
    assert run.folder == tmp_path / "new"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_run_goes_on_in_one_place_at_a_time(paused, tmp_path: Path):
    with alone(paused.folder, "A run"), pytest.raises(ValueError, match="A run goes on in one place at a time"):
        resume(paused.folder, console=QUIET)
    older = tmp_path / "older"
    older.mkdir()
    (older / "config.json").write_text("{}")
    partial = tmp_path / ".older.partial"
    partial.mkdir()
    with alone(partial, "A run"), pytest.raises(ValueError, match="A run goes on in one place at a time"):
        train(config(), older, overwrite=True, console=QUIET)
    assert partial.is_dir()
    resume(paused.folder, stop_after=1, console=QUIET)  # the lock is gone with the one who held it


def test_the_command_to_go_on_can_be_copied():
    output = io.StringIO()
    run = SimpleNamespace(folder=Path("runs/my run"))
    training = SimpleNamespace(run=run, stop=StopRequest(False), console=Console(file=output, width=200))
    Training._say_where(training, Place(1, 2))
    line = output.getvalue().strip().partition("go on with: ")[2]
    assert shlex.split(line) == ["keras-inception", "train", "--resume", str(Path("runs/my run"))]


def test_a_weight_that_is_a_word_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["train", "--pipeline.class-weights", "0=heavy", "--output", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "pipeline.class_weights must be numbers. Received: {'0': 'heavy'}" in error
    assert "Traceback" not in error
    with pytest.raises(ValueError, match="class_weights must be at least 0"):
        with_pipeline(config(), class_weights={"0": float("nan")}).validate()


def test_a_run_without_an_update_is_refused(tmp_path: Path):
    short = config()
    short = dataclasses.replace(short, optimizer=dataclasses.replace(short.optimizer, accumulate_steps=1000))
    with pytest.raises(ValueError, match=r"accumulate_steps must be at most the run's 26 steps.* Received: 1000"):
        train(short, tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("warmup", "warns"), [(2.0, False), (2.5, True)])
def test_a_rate_that_never_reaches_its_peak_is_told(tmp_path: Path, warmup: float, warns: bool):
    short = config(schedule=dataclasses.replace(config().schedule, warmup_epochs=warmup))
    output, splits = io.StringIO(), open_splits(short)
    Training(Run(tmp_path, short, splits.class_names, splits), find_devices(), Console(file=output, width=200))
    assert ("never reaches its peak in 2" in output.getvalue()) == warns


def test_evaluations_of_other_data_do_not_replace_each_other(paused, tmp_path: Path):
    images, labels = np.zeros((10, 8, 8), np.uint8), np.arange(10)
    places = [write_arrays(tmp_path / name, images[:count], labels[:count]) for name, count in (("a", 10), ("b", 9))]
    for place in (*places, *places):
        evaluate(paused, data=place)
    kept = {path.name: json.loads(path.read_text()) for path in paused.folder.glob("evaluation-data*")}
    assert {name: found["data"] for name, found in kept.items()} == {
        "evaluation-data.json": places[0],
        "evaluation-data-2.json": places[1],
    }
    for without in (["1"], ["2", "3"], ["1"]):
        evaluate(paused, split="validation", without=without)
    kept = {path.name: json.loads(path.read_text()) for path in paused.folder.glob("evaluation-validation*")}
    assert {name: found["without"] for name, found in kept.items()} == {
        "evaluation-validation-without.json": ["1"],
        "evaluation-validation-without-2.json": ["2", "3"],
    }
