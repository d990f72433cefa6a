"""What several benchmarks measure against: keras.applications' networks, by our names for them."""

import tempfile
from pathlib import Path

import keras
import numpy as np

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


def take_statistics(model: keras.Model, pictures: np.ndarray) -> None:
    """Gives the batch norms the statistics of the pictures, and none so small a variance that it magnifies rounding."""
    batch_norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in batch_norms:
        layer.momentum = 0.0
    model(pictures.astype("float32"), training=True)
    for layer in batch_norms:
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(np.maximum(variance, variance.mean()))
