"""A small network, and files of ours with its weights."""

from pathlib import Path

import pytest
from hostile import SMALL

import keras_inception as ki
from keras_inception import weights


@pytest.fixture(scope="module")
def model():
    """A network that files are refused for, which leaves it as it is: one for all tests of a file."""
    return ki.MobileNetV1(**SMALL)


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> dict[str, Path]:
    """Files of ours, in both formats."""
    folder = tmp_path_factory.mktemp("own")
    model = ki.MobileNetV1(**SMALL)
    paths = {to: folder / f"model.{to}" for to in ("safetensors", "h5")}
    for to, path in paths.items():
        weights.save_weights(model, path, to)
    return paths
