"""What several benchmarks measure against: keras.applications' networks, by our names for them."""

import tempfile
from pathlib import Path

import keras

from keras_inception import weights

THEIRS = {
    "inception_v3": keras.applications.InceptionV3,
    "inception_resnet_v2": keras.applications.InceptionResNetV2,
    "xception": keras.applications.Xception,
    "mobilenet_v1": keras.applications.MobileNet,
    "mobilenet_v2": keras.applications.MobileNetV2,
}


def give_weights(theirs: keras.Model, ours: keras.Model) -> None:
    """Gives our network theirs' weights, through a file as keras.applications publishes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.weights.h5"
        theirs.save_weights(path)
        weights.load_weights(ours, path)
