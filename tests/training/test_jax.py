"""Training on the JAX backend: the same pipeline, and checkpoints that either backend goes on from."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_training import config
from repeats import REPEATS
from resumed_runs import assert_same, final_state, history, train_and_kill
from rich.console import Console

from keras_inception.training import resume, train
from keras_inception.training.config import CheckpointConfig
from keras_inception.training.engine.checkpoints import CheckpointFolder, Place

START = "import sys; from keras_inception.cli import main; sys.exit(main())"
HELPERS = Path(__file__).parents[1] / "helpers"
HEADS_LOSSES = {"val_predictions_loss", "val_aux1_loss"}
"""In which Keras lets a smaller last batch weigh like a full one, on TensorFlow alone."""
TINY_ON_JAX = """
import json
import sys
from pathlib import Path

from killed_training import tiny_registered

from keras_inception.training import TrainConfig, resume, train

with tiny_registered():
    train(TrainConfig.from_json(Path(sys.argv[1]).read_text()), sys.argv[2])
    resume(sys.argv[3])
"""


def on(backend: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(HELPERS), os.environ.get("PYTHONPATH"))))
    return os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path}


def command(backend: str, *arguments: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-c", START, "train", *arguments]
    return subprocess.run(words, env=on(backend), capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "chosen"),
    [
        ("test_resume.py", ["killed_run", "sigterm", "ctrl_c"]),
        ("test_distillation.py", ["every_head", "own_pixels", "resumed_student", "without_weight"]),
    ],
    ids=["resuming", "distillation"],
)
def test_what_training_promises_holds_on_jax(file, chosen):
    """Killed once, stopped while training and while validating, the newest checkpoint damaged; and with a teacher."""
    pytest.importorskip("jax")
    words = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name(file)), "-m", "not proof"]
    done = subprocess.run(
        [*words, "-k", " or ".join(chosen)], env=on("jax"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(chosen)} passed" in done.stdout


def at(run: Path, folder: Path, place: Place) -> Path:
    """A copy of a finished run, as it was when a place was its newest checkpoint."""
    shutil.copytree(run, folder)
    (folder / "report.html").unlink()
    state = folder / "checkpoints" / "state"
    for later in CheckpointFolder(state, keep=99).places():
        if later > place:
            shutil.rmtree(state / later.name)
    return folder


@pytest.mark.slow
def test_a_run_goes_on_on_the_other_backend_as_it_would_have_on_its_own(tiny, tmp_path: Path):
    """Without a dropout, of which each backend draws its own: what is left differs by rounding."""
    pytest.importorskip("jax")
    base = config(checkpoint=CheckpointConfig(every_steps=6, keep=99))
    calm = dataclasses.replace(base, model=dataclasses.replace(base.model, options={"dropout": 0.0}))
    console = Console(file=io.StringIO(), width=500)
    own = train(calm, tmp_path / "tensorflow", console=console).folder
    moved = at(own, tmp_path / "tensorflow-jax", Place(1, 6))
    (tmp_path / "config.json").write_text(calm.to_json())
    words = [sys.executable, "-c", TINY_ON_JAX, str(tmp_path / "config.json"), str(tmp_path / "jax"), str(moved)]
    done = subprocess.run(words, env=on("jax"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "note: begun on tensorflow; on jax it goes on, to other bits" in done.stdout
    back = at(tmp_path / "jax", tmp_path / "jax-tensorflow", Place(1, 6))
    resume(back, console=console)
    assert "note: begun on jax; on tensorflow it goes on, to other bits" in console.file.getvalue()
    for begun, other in ((own, moved), (tmp_path / "jax", back)):
        for row, expected in zip(history(other), history(begun), strict=True):
            assert row.keys() == expected.keys()
            for name in expected.keys() - HEADS_LOSSES:
                assert float(row[name]) == pytest.approx(float(expected[name]), abs=1e-5), name
        state, expected_state = final_state(other), final_state(begun)
        assert state.keys() == expected_state.keys()
        for name, array in expected_state.items():
            if not name.startswith("metrics/"):
                np.testing.assert_allclose(state[name], array, atol=1e-5, err_msg=name)


@pytest.mark.proof
def test_runs_killed_ten_times_each_end_as_an_undisturbed_one(tiny, tmp_path: Path):
    pytest.importorskip("jax")
    runs = max(1, REPEATS // 3)
    train_and_kill(tmp_path, runs=runs, kills=10, changes=json.dumps({"epochs": 12}), backend="jax")
    for number in range(runs):
        assert_same(tmp_path / "undisturbed", tmp_path / str(number))


@pytest.mark.proof
def test_digits_reach_the_accuracy_of_tensorflow_within_a_point(tmp_path: Path):
    pytest.importorskip("jax")
    accuracy = {}
    for backend in ("tensorflow", "jax"):
        folder = tmp_path / backend
        result = command(backend, "--recipe", "digits", "--optimizer.ema-momentum", "0.9", "--output", str(folder))
        assert result.returncode == 0, result.stderr
        accuracy[backend] = json.loads((folder / "metrics.json").read_text())["test_accuracy"]
    print(accuracy)
    assert accuracy["tensorflow"] > 0.97
    assert accuracy["jax"] == pytest.approx(accuracy["tensorflow"], abs=0.01)
