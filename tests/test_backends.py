"""The same network with the same weights answers the same on every backend, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys

import keras
import numpy as np

import keras_inception as ki

assert keras.backend.backend() == sys.argv[1]
answers = {}
for variant in ("slim", "paper"):
    model = ki.InceptionV1(variant=variant, aux_heads=True, alpha=0.5, classes=10, input_shape=(96, 96, 3))
    random = np.random.default_rng(0)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            fan_in = max(int(np.prod(weight.shape[:-1])), 1)
            drawn = random.normal(0, np.sqrt(2 / fan_in), weight.shape)
            values.append(np.abs(drawn) + 0.5 if "variance" in weight.name or "gamma" in weight.name else drawn)
        layer.set_weights(values)
    images = random.integers(0, 256, (2, 96, 96, 3))
    outputs = model.predict(ki.preprocess_input(images, "inception_v1"), verbose=0)
    answers |= {f"{variant}/{name}": values for name, values in outputs.items()}
np.savez(sys.argv[2], **answers)
"""


def answers_of(backend: str, folder: Path) -> dict[str, np.ndarray]:
    file = folder / f"{backend}.npz"
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", SCRIPT, backend, str(file)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return dict(np.load(file))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    backend = "tensorflow" if importlib.util.find_spec("tensorflow") else "jax"
    return answers_of(backend, tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.torch)])
def test_a_backend_answers_as_the_reference_does(backend: str, reference: dict[str, np.ndarray], tmp_path: Path):
    answers = answers_of(backend, tmp_path)
    assert answers.keys() == reference.keys()
    assert len(answers) == 6
    for name, values in answers.items():
        assert np.ptp(values) > 1e-3, f"{name} does not tell its classes apart, so that it proves nothing"
        np.testing.assert_allclose(values, reference[name], atol=1e-4, err_msg=name)
