"""Images in files that several tests read, and the tiny network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_training import tiny_registered
from training_helpers import write_digits


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    return write_digits(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def here(photos, tmp_path) -> Path:
    """A folder of 24 images of three classes, of one's own."""
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def tiny() -> Iterator[None]:
    """The tiny network, while a test runs."""
    with tiny_registered():
        yield
