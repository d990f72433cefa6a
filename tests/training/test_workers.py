"""Two processes, or two devices, train as one with the whole batch."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "helpers" / "worker_training.py"
ALONE = ["unshare", "--net", "--map-root-user"]


def isolated(*command: str) -> subprocess.CompletedProcess:
    """Runs a command in a network of its own: TensorFlow's server listens on every interface."""
    shell = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return subprocess.run([*ALONE, *shell, *command], capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The losses of 20 steps and the run folders, of two workers, of two devices in one process, and of one."""
    if subprocess.run([*ALONE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user make a network of his own")
    folder = tmp_path_factory.mktemp("workers")
    for name in ("workers", "devices", "one"):
        result = isolated(sys.executable, str(SCRIPT), name, str(folder / name))
        assert result.returncode == 0, result.stderr
    return folder


def losses(folder: Path) -> np.ndarray:
    return np.array(json.loads((folder / "losses.json").read_text()))


def weights(folder: Path) -> list[np.ndarray]:
    return keras.saving.load_model(folder / "run" / "checkpoints" / "last.keras", compile=False).get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["workers", "devices"])
def test_several_equal_one_with_the_whole_batch(results, name):
    """With an auxiliary head, batch norms, clipped gradients and a moving average."""
    expected, found = losses(results / "one"), losses(results / name)
    assert len(expected) == 20
    assert expected[-1] < expected[0]
    print(f"{name}: largest difference of a loss {abs(found - expected).max():.1e}")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for weight, other in zip(weights(results / name), weights(results / "one"), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-4)


@pytest.mark.slow
def test_the_run_folder_is_that_of_one(results):
    rows = [
        list(csv.DictReader((results / name / "run" / "history.csv").read_text().splitlines()))
        for name in ("workers", "one")
    ]
    # Keras's mean of a head's loss takes batches of unequal size for equal; `val_loss` is exact.
    left_out = {"seconds", "images_per_second", "val_predictions_loss", "val_aux1_loss"}
    for row, other in zip(*rows, strict=True):
        for figure in row.keys() - left_out:
            assert float(row[figure]) == pytest.approx(float(other[figure]), abs=1e-4)
    assert {path.name for path in (results / "workers" / "run").iterdir()} == {
        path.name for path in (results / "one" / "run").iterdir()
    }
    model = keras.saving.load_model(results / "workers" / "run" / "checkpoints" / "best.keras", compile=False)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [layer.synchronized for layer in norms] == [False, False]


@pytest.mark.slow
def test_workers_that_were_killed_go_on_together(results):
    environment = os.environ | {"KILL_AFTER": "18"}
    folder = results / "killed"
    command = [*ALONE, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, str(SCRIPT)]
    first = subprocess.run([*command, "workers", str(folder)], env=environment, capture_output=True, check=False)
    assert first.returncode
    second = isolated(sys.executable, str(SCRIPT), "workers", str(folder))
    assert second.returncode == 0, second.stderr
    for weight, other in zip(weights(folder), weights(results / "workers"), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_a_malformed_tf_config_is_refused(monkeypatch):
    from keras_inception.training.engine.devices import find_devices

    for text, message in (
        ("{", "TF_CONFIG must look like"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}}', "TF_CONFIG must look like"),
        ('{"cluster": {"worker": ["a:1", "b:2"], "ps": ["c:3"]}, "task": {"type": "worker", "index": 0}}', "alone"),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match=message) as caught:
            find_devices()
        assert "\n" not in str(caught.value)


def test_a_batch_that_devices_cannot_share_is_refused():
    from keras_inception.training.engine.devices import Devices

    class Three(Devices):
        replicas = 3

    with pytest.raises(ValueError, match="must divide evenly among 3 devices. Received: 64"):
        Three().check(64)


def test_the_first_worker_to_fail_ends_all_and_is_heard(capfd):
    from keras_inception.training.engine.launch import launch

    code = """
import json, os, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
if index:
    sys.exit("worker 1 has no data")
time.sleep(60)
"""
    assert launch(2, [sys.executable, "-c", code]) == 1
    assert "worker 1 has no data" in capfd.readouterr().err
    assert launch(2, [sys.executable, "-c", "pass"]) == 0
