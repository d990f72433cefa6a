"""Killed, stopped, out of disk or damaged: a run goes on at its step and ends as if nothing had happened."""

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import config
from repeats import REPEATS
from resumed_runs import assert_same, history, train_and_kill
from rich.console import Console

from keras_inception.cli import main
from keras_inception.training import CheckpointError, resume, train
from keras_inception.training.engine import checkpoints, watching
from keras_inception.training.engine.checkpoints import CheckpointFolder, Place, find_damage, values

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of 26 steps in 2 epochs, beside one more that was killed once, while a checkpoint was written."""
    folder = tmp_path_factory.mktemp("killed")
    assert "killed at flush" in train_and_kill(folder, runs=1, kills=1)
    return folder / "undisturbed"


def quiet() -> Console:
    return Console(file=io.StringIO(), width=500)


def test_a_killed_run_ends_as_an_undisturbed_one(undisturbed):
    assert len(history(undisturbed)) == 2
    assert_same(undisturbed, undisturbed.with_name("0"))


@pytest.mark.slow
@pytest.mark.proof
def test_many_runs_killed_twice_each_end_as_an_undisturbed_one(tmp_path):
    train_and_kill(tmp_path, runs=REPEATS, kills=2)
    for number in range(REPEATS):
        assert_same(tmp_path / "undisturbed", tmp_path / str(number))


def signal_at(monkeypatch: pytest.MonkeyPatch, number: int, hook: str, step: int) -> None:
    """Sends this process a signal when a hook has run at a step, counted from the run's beginning."""
    original = getattr(watching.Steps, hook)

    def hook_and_signal(self, *arguments, **keywords):
        original(self, *arguments, **keywords)
        if self.done == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(watching.Steps, hook, hook_and_signal)


def test_sigterm_saves_and_a_damaged_checkpoint_gives_way_to_the_one_before(undisturbed, tmp_path, monkeypatch):
    folder, console = tmp_path / "run", quiet()
    folder.mkdir()
    for name in ("config.json", "report.html"):
        (folder / name).write_text("of an older run")
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as caught:
        signal_at(patched, signal.SIGTERM, "on_train_batch_end", step=20)
        train(config(), folder, overwrite=True, console=console)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    said = console.file.getvalue().splitlines()[-1]
    assert said == f"SIGTERM: saved after 1 epochs and 7 steps; go on with: keras-inception train --resume {folder}"
    assert (folder / "report.html").read_text() == "of an older run"

    state = tmp_path / ".run.partial" / "checkpoints" / "state"
    assert CheckpointFolder(state, keep=2).places() == [Place(1, 0), Place(1, 6), Place(1, 7)]
    data = state / Place(1, 7).name / "arrays.npz"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    resume(folder, console=console)
    warning = console.file.getvalue().splitlines()[-2]
    assert warning == (f"warning: left out the damaged checkpoint {data.parent}: {data.name} differs from its checksum")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (folder / "report.html").read_text("utf-8") != "of an older run"
    assert_same(undisturbed, folder)


@pytest.mark.slow
def test_ctrl_c_in_validation_saves_what_training_had_measured(undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        signal_at(patched, signal.SIGINT, "on_test_batch_begin", step=13)
        train(config(), tmp_path / "run", console=quiet())
    assert CheckpointFolder(tmp_path / "run" / "checkpoints" / "state", keep=2).places()[-1] == Place(0, 13)
    assert_same(undisturbed, resume(tmp_path / "run", console=quiet()).folder)


def test_a_run_goes_on_from_a_checkpoint_of_tensorflow_s(undisturbed, tmp_path):
    """As runs have that were begun before there were arrays."""
    run = shutil.copytree(undisturbed, tmp_path / "run")
    (run / "report.html").unlink()
    state = run / "checkpoints" / "state"
    shutil.rmtree(state / Place(2, 0).name)
    old = state / Place(1, 12).name
    groups: dict[str, list[tf.Variable]] = {}
    with np.load(old / "arrays.npz") as arrays:
        for name, array in arrays.items():
            groups.setdefault(name.split("/")[0], []).append(tf.Variable(array))
    (old / "arrays.npz").unlink()
    tf.train.Checkpoint(**groups).write(str(old / "variables"))
    files = {path.name: checkpoints._describe(path) for path in old.iterdir() if path.name != "manifest.json"}
    assert len(files) == 3
    (old / "manifest.json").write_text(json.dumps(files))
    console = quiet()
    assert_same(undisturbed, resume(run, console=console).folder)
    assert "damaged" not in console.file.getvalue()


def test_the_last_checkpoints_and_the_best_are_kept(undisturbed):
    folder = CheckpointFolder(undisturbed / "checkpoints" / "state", keep=2)
    best = json.loads((undisturbed / "metrics.json").read_text())["best_epoch"]
    assert folder.places() == sorted({Place(best), Place(1, 12), Place(2, 0)})


def test_what_cannot_be_resumed_is_said_in_one_sentence(undisturbed, tmp_path, capsys):
    assert main(["train", "--resume", str(undisturbed)]) == 1
    assert capsys.readouterr().err == (
        f"keras-inception: A run to resume must be unfinished. Received: {undisturbed}, which is complete\n"
    )
    with pytest.raises(FileNotFoundError, match=r"holds config.json. Received: .*nothing without it"):
        resume(tmp_path / "nothing")
    assert main(["train", "--resume", str(tmp_path), "--epochs", "3"]) == 1
    assert "A resumed run keeps its own configuration" in capsys.readouterr().err


def test_a_run_that_was_complete_but_not_in_its_place_is_put_there(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / ".run.partial")
    (tmp_path / ".run.old").mkdir()
    assert resume(tmp_path / "run").folder == tmp_path / "run"
    assert_same(undisturbed, tmp_path / "run")
    with pytest.raises(ValueError, match="which is complete"):
        resume(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_checkpoint_that_cannot_be_written_leaves_those_before_it(tmp_path):
    folder, arrays = CheckpointFolder(tmp_path, keep=2), {"network/0": np.zeros(100_000, "float32")}
    folder.write(Place(0, 1), arrays, {})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    try:
        with pytest.raises(CheckpointError, match=r"must find room on the disk; those before it stay") as caught:
            folder.write(Place(0, 2), arrays, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [Place(0, 1).name]
    assert find_damage(tmp_path / Place(0, 1).name) == ""


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.write(Place(), values({"network": [keras.Variable([1.0, 1.0, 1.0]), keras.Variable(2.0)]}), {})
    checkpoint = folder.newest()
    fitting = keras.Variable([0.0, 0.0, 0.0])
    for others, unlike in (
        ([fitting, keras.Variable([0.0, 0.0])], r"network/1 is float32 \[\], not float32 \[2\]"),
        ([fitting, keras.Variable(0, dtype="int32")], r"network/1 is float32 \[\], not int32 \[\]"),
        ([fitting], "2 arrays for 1 variables"),
        ([], "2 arrays for 0 variables"),
    ):
        with pytest.raises(CheckpointError, match=f"must belong to the network .* \\({unlike}\\)") as caught:
            checkpoint.read({"network": others})
        assert "\n" not in str(caught.value)
    assert not np.asarray(fitting).any()
    checkpoint.read({"network": [fitting, keras.Variable(0.0)]})
    assert np.asarray(fitting).all()


@pytest.mark.parametrize("harm", ["manifest.json", "state.json", "arrays.npz"])
def test_a_checkpoint_without_one_of_its_files_is_damaged(tmp_path, harm):
    folder = CheckpointFolder(tmp_path, keep=1)
    written = folder.write(Place(), {"network/0": np.zeros(3)}, {})
    (written / harm).unlink()
    assert find_damage(written) == f"without {harm}"
    with pytest.warns(UserWarning, match="left out the damaged checkpoint"):
        assert folder.newest() is None


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_training_goes_on_where_there_is_room(tmp_path):
    """On a file system of its own, in a name space of its own."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user make name spaces")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"{sys.executable} -c 'import sys; from keras_inception.cli import main; sys.exit(main())' train"
    options = "--recipe digits --epochs 1 --model.alpha 0.1 --model.image-size 12 --checkpoint.every-steps 1"
    script = f"""
        mount -t tmpfs -o size=10m none {disk}
        {command} {options} --checkpoint.keep 100 --output {disk}/run; echo exit $?
        mount -o remount,size=100m {disk}
        {command} --resume {disk}/run; echo exit $?
    """
    result = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.count("exit 1") == 1
    assert result.stdout.count("exit 0") == 1
    [sentence] = [line for line in result.stderr.splitlines() if line.startswith("keras-inception:")]
    assert "No space left on device" in sentence
