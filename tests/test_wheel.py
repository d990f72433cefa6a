"""The wheel: what is in it, and that it works where nothing else is installed."""

import configparser
import importlib.util
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that KERAS_INCEPTION_WHEEL names (`nox -s wheel`), else one built here, without the network."""
    named = os.environ.get("KERAS_INCEPTION_WHEEL")
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):  # a copy, since a build leaves files in its source
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    return python


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], capture_output=True, text=True, cwd=python.parent)


def test_it_holds_keras_inception_only(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"keras_inception"}


def test_it_holds_every_module_and_data_file_of_the_three_rooms(wheel: Path):
    expected = set()
    for room, folder in [("", "keras_inception"), ("training/", "training"), ("tflite/", "tflite")]:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md":
                expected.add(f"keras_inception/{room}{path.relative_to(ROOT / folder).as_posix()}")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected


def test_its_metadata_names_the_light_core_and_the_licence(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    lines = archive.read(metadata).decode().splitlines()
    core = [line.split()[1] for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert sorted(requirement.partition("<")[0].partition(">")[0] for requirement in core) == ["keras", "numpy"]
    assert [name for name in archive.namelist() if name.endswith("/LICENSE")]


def test_it_imports_in_an_empty_environment(empty_python: Path):
    code = "import keras_inception as ki, keras_inception.training, keras_inception.tflite; print(*ki.list_models())"
    result = run(empty_python, "-I", "-c", code)
    assert result.returncode == 0, result.stderr
    assert "inception_v1" in result.stdout


def test_the_command_says_which_extra_it_lacks(empty_python: Path):
    code = "import sys; from keras_inception.cli import main; sys.exit(main(['models']))"
    result = run(empty_python, "-I", "-c", code)
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["keras-inception: This needs tyro: pip install 'keras-inception[cli]'."]


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is here: see nox -s wheel")
def test_jax_is_enough_to_build_and_run_a_network():
    code = """
import keras_inception as ki, numpy as np, sys
model = ki.create_model("inception_v1", alpha=0.25, input_shape=(32, 32, 3), classes=10)
assert model.predict(np.zeros((1, 32, 32, 3)), verbose=0).shape == (1, 10)
assert "tensorflow" not in sys.modules
"""
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr


def test_setup_cfg_lists_every_package():
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    listed = set(metadata["options"]["packages"].split())
    found = set()
    for name, folder in [("keras_inception", "keras_inception"), ("keras_inception.training", "training"),
                         ("keras_inception.tflite", "tflite")]:  # fmt: skip
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    assert listed == found
