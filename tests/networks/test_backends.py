"""The same outputs from the same weights on every Keras backend, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_inception as ki

SCRIPT = Path(__file__).parents[1] / "helpers" / "backend_outputs.py"

QUICK = ("inception_v1",)
OTHERS = tuple(name for name in ki.list_models() if name not in QUICK)
QUICK_JAX = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling takes nearly all of the time


@pytest.fixture(scope="module")
def outputs_of(tmp_path_factory):
    """The logits of a network under a backend; a backend runs once for `QUICK`, and once for all others."""
    known = {}

    def outputs(backend, name):
        names = QUICK if name in QUICK else OTHERS
        if (backend, names) not in known:
            if importlib.util.find_spec(backend) is None:
                pytest.skip(f"{backend} is not installed")
            file = tmp_path_factory.mktemp(backend) / "logits.npz"
            settings = {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", **QUICK_JAX}
            subprocess.run([sys.executable, SCRIPT, file, *names], env=os.environ | settings, check=True)
            with np.load(file) as arrays:
                known[backend, names] = dict(arrays)
        return known[backend, names][name]

    return outputs


def _assert_equal(ours, theirs):
    assert np.abs(ours).max() > 1e-2
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_jax_gives_what_tensorflow_gives(name, outputs_of):
    _assert_equal(outputs_of("tensorflow", name), outputs_of("jax", name))


@pytest.mark.torch
@pytest.mark.parametrize("name", ki.list_models())
def test_torch_gives_what_jax_gives(name, outputs_of):
    _assert_equal(outputs_of("jax", name), outputs_of("torch", name))
