"""A small run with its export, and a hub on this machine with a cache of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_helpers import command  # noqa: F401 (a fixture)
from hub_server import Hub, served
from training_helpers import tiny_config, write_digits

from keras_inception import tflite
from keras_inception.photos.shipping import export_run
from keras_inception.training import train


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits as picture files, whose paths and names nobody else is to see, with a proven export."""
    pictures = write_digits(tmp_path_factory.mktemp("private") / "my_pictures", classes=3, each=10)
    folder = tmp_path_factory.mktemp("runs") / "three_digits"
    config = tiny_config(f"folder:{pictures}", calibrate=True)
    network = {
        "name": "inception_cell",
        "alpha": 1.0,
        "image_size": 32,
        "aux_heads": False,
        "options": {"modules": 1, "width": 16},
    }
    run = train(replace(config, model=replace(config.model, **network)), folder)
    limits = tflite.Limits(agreement=None, accuracy_loss=None)
    export_run(run, folder / "export", proof=run.batches("test"), limits=limits, modes=("float32",), saved_model=False)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, empty, with a token for it that may write to the repositories of `ada`."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its store has a protocol of its own
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    with served() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server
