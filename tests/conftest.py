"""What every test shares: a quiet TensorFlow, a fresh Keras session, and the folder of shared data."""

import gc
import os
import re

# Before anything imports them: TensorFlow and Keras read these once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")

gc.disable()  # while half a million objects are imported, all of which stay: see pytest_collection_finish

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Holds docs/proofs.md to name every proof: nothing else says what is not tested at each change."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")))
    proofs = {getattr(item, "originalname", item.name) for item in items if item.get_closest_marker("proof")}
    if proofs - named:
        raise pytest.UsageError(f"docs/proofs.md must name every proof. Received: {', '.join(sorted(proofs - named))}")


def pytest_collection_finish() -> None:
    """Spares the collector of garbage what was imported, and most of its small rounds."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000, 10, 10)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data/, weights/ and golden/; the test is skipped where it is absent."""
    named = os.environ.get("KERAS_INCEPTION_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared test data at {folder}: name the folder in KERAS_INCEPTION_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def _fresh_keras() -> Iterator[None]:
    """Clear Keras's global state after each test that used it, so that names and policies do not leak.

    Memory is left to Python: a full collection among TensorFlow's objects costs a third of a second a test.
    """
    yield
    if "keras" in sys.modules:
        import keras

        keras.config.set_dtype_policy("float32")
        keras.utils.clear_session(free_memory=False)
