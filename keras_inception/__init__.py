"""keras-inception: the Inception family on Keras 3.

Importing the package loads neither Keras nor a backend; the first model that is asked for does. Where Keras is there
already, the two layers that Keras lacks are registered at once, so that `keras.models.load_model` finds them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from keras_inception import models as _models  # which registers the networks
from keras_inception.registry import ModelEntry, create_model, get_entry, list_models, register

if TYPE_CHECKING:
    from keras_inception.finetune import unfreeze
    from keras_inception.graph import BlockRow, block_table, feature_pyramid
    from keras_inception.labels import decode_predictions
    from keras_inception.models.inception_cell import InceptionCell
    from keras_inception.models.inception_resnet import InceptionResNetV1, InceptionResNetV2
    from keras_inception.models.inception_v1 import InceptionV1
    from keras_inception.models.inception_v2 import InceptionV2
    from keras_inception.models.inception_v3 import InceptionV3
    from keras_inception.models.inception_v4 import InceptionV4
    from keras_inception.models.mobilenet_v1 import MobileNetV1
    from keras_inception.models.mobilenet_v2 import MobileNetV2
    from keras_inception.models.resnext import ResNeXt50, ResNeXt101
    from keras_inception.models.shufflenet import ShuffleNet
    from keras_inception.models.xception import Xception
    from keras_inception.numerics import Numerics
    from keras_inception.preprocessing import Preprocessing, preprocess_input

__version__ = "0.1.0"

_LAZY = {
    "BlockRow": "keras_inception.graph",
    "Numerics": "keras_inception.numerics",
    "Preprocessing": "keras_inception.preprocessing",
    "block_table": "keras_inception.graph",
    "decode_predictions": "keras_inception.labels",
    "feature_pyramid": "keras_inception.graph",
    "preprocess_input": "keras_inception.preprocessing",
    "unfreeze": "keras_inception.finetune",
} | {entry.function_name: entry.builder.partition(":")[0] for entry in _models.ENTRIES}

if "keras" in sys.modules:
    importlib.import_module("keras_inception.custom_layers")

__all__ = [
    "BlockRow",
    "InceptionCell",
    "InceptionResNetV1",
    "InceptionResNetV2",
    "InceptionV1",
    "InceptionV2",
    "InceptionV3",
    "InceptionV4",
    "MobileNetV1",
    "MobileNetV2",
    "ModelEntry",
    "Numerics",
    "Preprocessing",
    "ResNeXt50",
    "ResNeXt101",
    "ShuffleNet",
    "Xception",
    "block_table",
    "create_model",
    "decode_predictions",
    "feature_pyramid",
    "get_entry",
    "list_models",
    "preprocess_input",
    "register",
    "unfreeze",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'keras_inception' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
