"""Training on the JAX backend, fed by the same pipeline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

START = "import sys; from keras_inception.cli import main; sys.exit(main())"


def train(backend: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", START, "train", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_few_epochs_are_trained_and_a_run_is_not_resumed(tmp_path: Path):
    pytest.importorskip("jax")
    short = ["--epochs", "3", "--model.alpha", "0.1", "--model.image-size", "12", "--model.no-aux-heads"]
    result = train(
        "jax", "--recipe", "digits", *short, "--optimizer.ema-momentum", "0.9", "--output", str(tmp_path / "jax")
    )
    assert result.returncode == 0, result.stderr
    assert "cannot be resumed" in result.stdout
    assert json.loads((tmp_path / "jax/metrics.json").read_text())["test_accuracy"] > 0.2
    refused = train("jax", "--resume", str(tmp_path / "jax"))
    assert refused.returncode == 1
    assert refused.stderr == (
        "keras-inception: Only the TensorFlow backend saves what resuming needs; on others a run is trained in one go. "
        "Received: KERAS_BACKEND=jax\n"
    )


@pytest.mark.proof
def test_digits_reach_the_accuracy_of_tensorflow_within_a_point(tmp_path: Path):
    pytest.importorskip("jax")
    accuracy = {}
    for backend in ("tensorflow", "jax"):
        folder = tmp_path / backend
        result = train(backend, "--recipe", "digits", "--optimizer.ema-momentum", "0.9", "--output", str(folder))
        assert result.returncode == 0, result.stderr
        accuracy[backend] = json.loads((folder / "metrics.json").read_text())["test_accuracy"]
        assert ("cannot be resumed" in result.stdout) == (backend == "jax")
    print(accuracy)
    assert accuracy["tensorflow"] > 0.97
    assert accuracy["jax"] == pytest.approx(accuracy["tensorflow"], abs=0.01)
