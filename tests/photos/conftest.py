"""Narrow trained weights, and pictures of three kinds that any trunk tells apart."""

from pathlib import Path

import keras
import pytest
from training_helpers import write_digits

import keras_inception as ki
from keras_inception import weights


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours for MobileNet v1 at a quarter of its width, which tells what it is."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("narrow")
    model = ki.create_model("mobilenet_v1", alpha=0.25, classes=5, input_shape=(64, 64, 3))
    weights.save_weights(model, folder / "bare.h5")
    return weights.convert(
        folder / "bare.h5", folder / "narrow.safetensors", network="mobilenet_v1", alpha=0.25, classes=5
    )


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three digits of fourteen pictures each, as PNG."""
    return write_digits(tmp_path_factory.mktemp("photos") / "digits", each=14, classes=3)
