"""Runs that MLflow and Weights & Biases follow: what they are told, once, and that their failures end nothing."""

import io
import json
import re
import shutil
import struct
import sys

import keras
import pytest
from killed_training import config, tiny_registered
from resumed_runs import TIMES, history
from rich.console import Console

from keras_inception.cli import main
from keras_inception.training import resume, train
from keras_inception.training.runs.folder import place_for

# MLflow's own, of its store in SQLite.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store of MLflow's in SQLite that holds nothing yet: making one takes seconds, copying it none."""
    mlflow = pytest.importorskip("mlflow")
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patched.chdir(file.parent)
        mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def mlflow(surroundings, empty_store, tmp_path):
    """MLflow, with a store of the test's own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """The tiny network, and trackers that stay on this machine."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with tiny_registered():
        yield


def quiet() -> Console:
    return Console(file=io.StringIO(), width=500)


class BreaksOffError(Exception):
    """Stands for a kill."""


class BreakOff(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise BreaksOffError


def rows(folder):
    """Each epoch's figures as history.csv has them, without the clock's."""
    return [{name: float(value) for name, value in row.items()} for row in history(folder)]


def test_mlflow_is_told_each_epoch_of_a_run_that_was_broken_off_once(mlflow, tmp_path):
    folder, console = tmp_path / "run", quiet()
    with pytest.raises(BreaksOffError):
        train(config(), folder, log="mlflow", callbacks=[BreakOff(0)], console=console)
    client = mlflow.MlflowClient()
    [experiment] = [found for found in client.search_experiments() if found.name == "keras-inception"]
    [run] = client.search_runs([experiment.experiment_id])
    assert json.loads((folder / "tracking.json").read_text()) == {"mlflow": {"run": run.info.run_id, "epochs": 1}}
    assert (run.info.run_name, run.info.status) == ("run", "KILLED")
    assert run.data.params["optimizer.ema_momentum"] == "0.99"
    assert run.data.params["model.name"] == run.data.tags["network"] == "tiny"
    assert run.data.tags["recipe"] == config().recipe

    # As where it was killed before it noted what MLflow had been told.
    (folder / "tracking.json").write_text(json.dumps({"mlflow": {"run": run.info.run_id, "epochs": 0}}))
    resume(folder, console=console)
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    told = rows(folder)
    for name in told[0].keys() - {"epoch"} | TIMES:
        points = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in points] == [1, 2], name
        assert name in TIMES or [point.value for point in points] == [row[name] for row in told]
    metrics = json.loads((folder / "metrics.json").read_text())
    for name in ("test_accuracy", "test_loss", "validation_accuracy", "best_epoch"):
        [point] = client.get_metric_history(run.info.run_id, name)
        assert (point.value, point.step) == (metrics[name], 2)
    assert run.data.tags["report"] == str(folder / "report.html")
    assert run.data.tags["checkpoint"] == str(folder / "checkpoints" / "best.keras")
    assert mlflow.active_run() is None
    assert console.file.getvalue().count(f"mlflow: run {run.info.run_id}") == 2
    assert "warning" not in console.file.getvalue()
    assert place_for(folder, overwrite=True)  # tracking.json is the run's own


def records(file):
    """The records of a .wandb file: LevelDB's log format, which holds protocol buffers."""
    from wandb.proto import wandb_internal_pb2 as proto

    block, content, at, parts = 32768, file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield proto.Record.FromString(parts)
            parts = b""


def test_wandb_is_told_each_epoch_of_a_run_that_was_broken_off_once(tmp_path):
    wandb = pytest.importorskip("wandb")
    folder, console = tmp_path / "run", quiet()
    with pytest.raises(BreaksOffError):
        train(config(), folder, log=["wandb"], callbacks=[BreakOff(0)], console=console)
    shutil.rmtree(folder / "checkpoints" / "state" / "000001-000000000")  # the end of the epoch is done once more
    resume(folder, console=console)
    wandb.teardown()  # its own process has written all now

    parts = [list(records(file)) for file in sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))]
    runs = [record.run for part in parts for record in part if record.HasField("run")]
    kept = json.loads((folder / "tracking.json").read_text())
    assert {run.run_id for run in runs} == {kept["wandb"]["run"]}
    assert kept["wandb"]["epochs"] == 2
    assert {(run.project, run.display_name) for run in runs} == {("keras-inception", "run")}
    assert {"digits", "tiny"} <= set(runs[0].tags)
    options = {update.key: json.loads(update.value_json) for update in runs[0].config.update}
    assert (options["model.name"], options["optimizer.ema_momentum"]) == ("tiny", 0.99)

    told = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for part in parts
        for record in part
        if record.HasField("history")
    ]
    assert [row["_step"] for row in told] == [1, 2]
    for row, logged in zip(rows(folder), told, strict=True):
        assert {name: logged[name] for name in row if name != "epoch"} == {
            name: value for name, value in row.items() if name != "epoch"
        }
    summary = {
        item.key or item.nested_key[0]: json.loads(item.value_json)
        for record in parts[-1]
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert summary["test_accuracy"] == json.loads((folder / "metrics.json").read_text())["test_accuracy"]
    assert summary["report"] == str(folder / "report.html")
    assert [record.exit.exit_code for part in parts for record in part if record.HasField("exit")] == [1, 0]
    assert wandb.run is None
    assert "warning" not in console.file.getvalue()


def test_a_tracker_that_is_away_is_named_once_and_told_what_it_missed_when_it_is_back(mlflow, tmp_path, monkeypatch):
    folder, console, back = tmp_path / "run", quiet(), mlflow.get_tracking_uri()

    class ComesBack(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", back)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    train(config(), folder, log="mlflow", callbacks=[ComesBack()], console=console)
    said = console.file.getvalue()
    assert said.count("warning") == 1
    assert "warning: mlflow failed and is left alone until the run ends (API request to http://127.0.0.1:9/" in said
    key = json.loads((folder / "tracking.json").read_text())["mlflow"]["run"]
    assert [point.step for point in mlflow.MlflowClient().get_metric_history(key, "loss")] == [1, 2]
    assert (folder / "report.html").is_file()


def test_a_resumed_run_does_without_a_tracker_that_is_gone(mlflow, tmp_path, monkeypatch):
    folder, console = tmp_path / "run", quiet()
    train(config(), folder, log="mlflow", stop_after=1, console=console)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "mlflow", None)
        resume(folder, stop_after=2, console=console)
    assert "warning: mlflow failed and is left alone until the run ends (import of mlflow halted" in (
        console.file.getvalue()
    )
    assert len(rows(folder)) == 2
    resume(folder, console=console)  # nothing is left to train, but the second epoch is to be told
    key = json.loads((folder / "tracking.json").read_text())["mlflow"]["run"]
    assert [point.step for point in mlflow.MlflowClient().get_metric_history(key, "loss")] == [1, 2]
    (folder / "report.html").unlink()
    for damage in ("[]", "{", '{"mlflow": {"run": 3, "epochs": 1}}', '{"other": {"run": "3", "epochs": 1}}'):
        (folder / "tracking.json").write_text(damage)
        with pytest.raises(ValueError, match=r"tracking.json must hold a .*Received: .*tracking.json"):
            resume(folder, console=console)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_without_its_package_is_one_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["train", "--log", name, "--output", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == (
        f"keras-inception: Logging to {name} needs its package: pip install 'keras-inception[{name}]'. "
        "Received: an environment without it\n"
    )
    assert not (tmp_path / "run").exists()
    (tmp_path / name).mkdir()  # as W&B leaves one
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "PathFinder"]
    )
    with pytest.raises(ImportError, match="needs its package"):
        resume(tmp_path / "run", log=name)


def test_what_is_no_tracker_is_refused(tmp_path):
    for log in (["mlflow", "tensorboard"], True, [["mlflow"]]):
        with pytest.raises(ValueError, match=re.escape(f"log must name trackers, mlflow or wandb. Received: {log}")):
            train(config(), tmp_path / "run", log=log)
    assert not (tmp_path / "run").exists()
    with pytest.raises(FileNotFoundError, match="A run to resume must have been begun"):
        resume(tmp_path / "run", log=())
