"""Real digits and narrow GoogLeNets for the tests of the export."""

from functools import cache

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_inception as ki

CLASSES = tuple(f"digit {index}" for index in range(10))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 scans as pixels, uint8 [n, 32, 32, 1], and their labels."""
    data = load_digits()
    return np.kron(np.rint(data.images / 16 * 255), np.ones((1, 4, 4)))[..., None].astype(np.uint8), data.target


def narrow(**options) -> keras.Model:
    defaults = {"variant": "slim", "include_preprocessing": True, "aux_heads": True}
    size = {"classes": 10, "input_shape": (32, 32, 1), "alpha": 0.25, "stem": "low_resolution"}
    return ki.InceptionV1(**size, **{**defaults, **options})


@cache
def trained() -> keras.Model:
    """GoogLeNet with its auxiliary heads, trained for half a minute on real digits."""
    keras.utils.set_random_seed(0)
    model = narrow()
    images, labels = digits()
    model.compile(keras.optimizers.Adam(3e-3), dict.fromkeys(model.output, "sparse_categorical_crossentropy"))
    targets = dict.fromkeys(model.output, labels[:1280])
    model.fit(images[:1280].astype("float32"), targets, batch_size=64, epochs=4, verbose=0)
    for layer in model.layers:  # 80 steps are too few for a moving average with momentum 0.99
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images[:512].astype("float32"), training=True)
    return model


def tiny(*, last: keras.layers.Layer | None = None, classes: int = 10) -> keras.Model:
    """A network that is exported in a second, for what has nothing to do with the network."""
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Flatten()(x)
    x = last(x) if last else x
    logits = keras.layers.Dense(classes, name="predictions_logits")(x)
    return keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(logits), name="tiny")
