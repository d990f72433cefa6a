"""The catalogue of released weight sets, and what loads and writes them.

    import keras_inception as ki
    from keras_inception import weights

    model = ki.InceptionV4(weights="timm/inception_v4.tf_in1k")
    weights.list_weights("inception_v4")
    weights.load_weights(model, "path/to/file.h5")
    weights.save_weights(model, "mine.safetensors")

Importing this package loads no framework.
"""

from __future__ import annotations

from keras_inception.weights.catalogue import get_weights, list_weights
from keras_inception.weights.download import cache_folder
from keras_inception.weights.errors import DownloadError, WeightsError
from keras_inception.weights.loading import build, convert, load_weights, save_weights
from keras_inception.weights.pictures import read as read_picture
from keras_inception.weights.sets import WeightSet

__all__ = [
    "DownloadError",
    "WeightSet",
    "WeightsError",
    "build",
    "cache_folder",
    "convert",
    "get_weights",
    "list_weights",
    "load_weights",
    "read_picture",
    "save_weights",
]
