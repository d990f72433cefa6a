"""Grad-CAM: which parts of an image speak for a class (https://arxiv.org/abs/1610.02391)."""

from typing import Any

import keras
import numpy as np
from keras import ops

from ..config import MAIN_HEAD

_FEATURES, _LOGITS = "global_pool", f"{MAIN_HEAD}_logits"


class GradCam:
    """Maps of a network of this package with its classifier, on the TensorFlow and JAX backends.

    The map of a class is the network's last feature maps, each weighted by the mean gradient of the class's logit with
    respect to it, summed up, and cut off below 0.

    Args:
        model: takes pixels in 0..255; the maps are those before its layer `global_pool`.
    """

    def __init__(self, model: keras.Model) -> None:
        features = model.get_layer(_FEATURES).input
        self._trunk = keras.Model(model.input, features)
        self._head = keras.Model(features, model.get_layer(_LOGITS).output)

    def features(self, pixels: np.ndarray) -> Any:
        """Computes the last feature maps of images, float32 [n, height, width, channels] in 0..255."""
        if keras.backend.backend() == "jax":  # compiles each operation of a call by itself
            return ops.convert_to_tensor(self._trunk.predict_on_batch(pixels))
        return self._trunk(pixels, training=False)

    def probabilities(self, features: Any) -> np.ndarray:
        """Computes the probabilities of the classes, float32 [n, classes]."""
        logits = ops.cast(self._head(features, training=False), "float32")
        return np.asarray(ops.convert_to_numpy(ops.softmax(logits)))

    def maps(self, features: Any, classes: np.ndarray) -> np.ndarray:
        """Computes the maps.

        Args:
            features: what `features` gave.
            classes: the class asked about of each image, int [n].

        Returns:
            float32 [n, rows, columns] in 0..1, the strongest part of each image 1; all 0 where nothing speaks for it.
        """
        targets = ops.one_hot(classes, self._head.output.shape[-1])
        gradients = ops.convert_to_numpy(ops.cast(self._gradients(features, targets), "float32"))
        space = (2, 3) if keras.config.image_data_format() == "channels_first" else (1, 2)
        weighted = ops.convert_to_numpy(ops.cast(features, "float32")) * gradients.mean(axis=space, keepdims=True)
        maps = np.maximum(weighted.sum(axis=1 if space == (2, 3) else 3), 0)
        peaks: np.ndarray = maps.max(axis=(1, 2), keepdims=True)
        result: np.ndarray = maps / np.where(peaks > 0, peaks, 1)
        return result

    def _gradients(self, features: Any, targets: Any) -> Any:
        def score(values: Any) -> Any:
            return ops.sum(ops.cast(self._head(values, training=False), "float32") * targets)

        if keras.backend.backend() == "jax":
            import jax

            return jax.grad(score)(features)
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(features)
            total = score(features)
        return tape.gradient(total, features)
