"""Runs that were killed and resumed, compared with one that was not."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_inception.training.engine.checkpoints import CheckpointFolder

SCRIPT = Path(__file__).with_name("killed_training.py")
TIMES = {"images_per_second", "seconds"}


def train_and_kill(folder: Path, runs: int, kills: int, changes: str = "{}", backend: str | None = None) -> str:
    """Trains FOLDER/undisturbed, and so many runs beside it, each killed so often.

    Args:
        folder: where.
        runs: how many are killed.
        kills: how often each.
        changes: of the configuration, as JSON.
        backend: what they are trained on; by default what the tests run on.
    """
    command = [sys.executable, str(SCRIPT), str(folder), str(runs), str(kills), changes]
    environment = os.environ | {"KERAS_BACKEND": backend or keras.backend.backend()}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count(f"done after {kills} kills") == runs
    print(result.stdout)
    return result.stdout


def history(folder: Path) -> list[dict[str, str]]:
    rows = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def logged(folder: Path) -> list[tuple]:
    """What TensorBoard shows: (part, tag, step, value)."""
    points = []
    for file in sorted((folder / "tensorboard").rglob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag.removeprefix("epoch_") not in TIMES:
                    points.append((file.parent.name, value.tag, event.step, float(tf.make_ndarray(value.tensor))))
    return sorted(points)


def final_state(folder: Path) -> dict[str, np.ndarray]:
    newest = CheckpointFolder(folder / "checkpoints" / "state", keep=1).newest()
    with np.load(newest.folder / "arrays.npz") as arrays:
        return dict(arrays)


def assert_same_state(one: Path, other: Path) -> None:
    """Network, optimizer and metrics bit for bit, which runs that were paused have as well."""
    states = final_state(one), final_state(other)
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)


def assert_same(one: Path, other: Path) -> None:
    """Weights bit for bit, in the files and in the state; histories, logs and choice of the best epoch."""
    assert history(one) == history(other)
    assert logged(one) == logged(other)
    for name in ("best", "last"):
        first, second = (
            keras.saving.load_model(run / f"checkpoints/{name}.keras", compile=False) for run in (one, other)
        )
        for weight, expected in zip(second.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
    assert_same_state(one, other)
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (one, other)]
    for name in ("best_epoch", "validation_accuracy", "test_accuracy", "test_loss"):
        assert metrics[0][name] == metrics[1][name]
    assert not [path for run in (one, other) for path in run.rglob(".*") if path.is_file()]
