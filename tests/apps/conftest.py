"""A small export whose files tell strangers, and pictures of several sizes."""

import keras
import numpy as np
import pytest
from command_helpers import command  # noqa: F401 (a fixture)
from tflite_helpers import coloured, colours

import keras_inception.tflite as kt
from keras_inception.apps import Kit

NAMES = (*(f"colour {index}" for index in range(8)), 'it\'s <this> & "that"', "größer")


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Pictures wider, higher, larger and smaller than what the network sees; uint8 [height, width, 3]."""
    sizes = ((40, 52), (70, 45), (32, 32), (20, 24))
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]


@pytest.fixture(scope="session")
def network() -> keras.Model:
    return colours()


@pytest.fixture(scope="session")
def export(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> kt.Export:
    images = coloured(400).astype(np.float32)
    labels = np.asarray(network(images)).argmax(1)
    labels[:10] = range(10)  # each class is there
    familiarity = kt.familiarity(network, [(images[:300], labels[:300])], [images[300:]])
    return kt.export(
        network,
        tmp_path_factory.mktemp("colours") / "export",
        modes=("float32", "int8"),
        saved_model=False,
        calibration=images[:32],
        class_names=NAMES,
        familiarity=familiarity,
        central_crop=0.875,
    )


@pytest.fixture(scope="session")
def kit(export: kt.Export) -> Kit:
    return Kit.of(export, name="Colours & more")
