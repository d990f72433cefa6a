"""The same outputs from the same weights on every Keras backend, each but the one in force in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import backend_outputs
import keras
import numpy as np
import pytest

import keras_inception as ki

SCRIPT = Path(__file__).parents[1] / "helpers" / "backend_outputs.py"

QUICK = ("mobilenet_v1", "end points")
OF_EACH_KIND = ("inception_v1", "mobilenet_v2", "resnext50", "shufflenet", "xception")
OTHERS = tuple(name for name in ki.list_models() if name not in (*QUICK, *OF_EACH_KIND))
QUICK_JAX = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling takes nearly all of the time


@pytest.fixture(scope="module")
def outputs_of(tmp_path_factory):
    """The logits of a network under a backend; a backend runs once for each group of networks."""
    known = {}

    def here(names):
        with keras.device("cpu:0"):
            return {key: value for name in names for key, value in backend_outputs.outputs(name).items()}

    def apart(backend, names):
        file = tmp_path_factory.mktemp(backend) / "logits.npz"
        settings = {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", **QUICK_JAX}
        subprocess.run([sys.executable, SCRIPT, file, *names], env=os.environ | settings, check=True)
        with np.load(file) as arrays:
            return dict(arrays)

    def outputs(backend, name):
        names = next(group for group in (QUICK, OF_EACH_KIND, OTHERS) if name.partition("/")[0] in group)
        if (backend, names) not in known:
            if importlib.util.find_spec(backend) is None:
                pytest.skip(f"{backend} is not installed")
            is_here = backend == keras.backend.backend() != "torch"  # which builds no network in a device's scope
            known[backend, names] = here(names) if is_here else apart(backend, names)
        return known[backend, names][name]

    return outputs


def _assert_equal(ours, theirs):
    assert np.abs(ours).max() > 1e-2
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()


MARKED = [
    QUICK[0],
    *(pytest.param(name, marks=pytest.mark.slow) for name in OF_EACH_KIND),
    *(pytest.param(name, marks=pytest.mark.proof) for name in OTHERS),
]


@pytest.mark.parametrize("name", MARKED)
def test_jax_gives_what_tensorflow_gives(name, outputs_of):
    _assert_equal(outputs_of("tensorflow", name), outputs_of("jax", name))


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.torch)])
@pytest.mark.parametrize("name", ["block1", "global_pool", "embedding"])
def test_end_points_are_the_same(backend, name, outputs_of):
    # PyTorch is tested where TensorFlow is not installed.
    other = "tensorflow" if backend == "jax" else "jax"
    _assert_equal(outputs_of(other, f"end points/{name}"), outputs_of(backend, f"end points/{name}"))


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.proof if name in OTHERS else []) for name in ki.list_models()]
)
def test_torch_gives_what_jax_gives(name, outputs_of):
    _assert_equal(outputs_of("jax", name), outputs_of("torch", name))
