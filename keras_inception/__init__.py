"""keras-inception: the Inception family on Keras 3.

Importing the package loads neither Keras nor a backend; the first model that is asked for does. The two layers that
Keras lacks are registered as soon as Keras is there, before this package or after it, so that `keras.models.load_model`
finds them.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_inception import models as _models  # which registers the networks
from keras_inception.registry import ModelEntry, create_model, get_entry, list_models, register

if TYPE_CHECKING:
    from keras_inception.end_points import embedding, features
    from keras_inception.finetune import unfreeze
    from keras_inception.graph import BlockRow, block_table, feature_pyramid
    from keras_inception.handles import open_model
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
    "embedding": "keras_inception.end_points",
    "feature_pyramid": "keras_inception.graph",
    "features": "keras_inception.end_points",
    "open_model": "keras_inception.handles",
    "preprocess_input": "keras_inception.preprocessing",
    "unfreeze": "keras_inception.finetune",
} | {entry.function_name: entry.builder.partition(":")[0] for entry in _models.ENTRIES}

_SUBPACKAGES = ("numerics", "weights")


_REGISTERED = ("keras_inception.custom_layers", "keras_inception.integers")


class _AfterKeras(MetaPathFinder):
    """Registers the custom layers when Keras is imported: Keras itself looks for no package that it does not know."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                for name in _REGISTERED:
                    importlib.import_module(name)

            spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec


if "keras" in sys.modules:
    for _name in _REGISTERED:
        importlib.import_module(_name)
else:
    sys.meta_path.insert(0, _AfterKeras())

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
    "embedding",
    "feature_pyramid",
    "features",
    "get_entry",
    "list_models",
    "open_model",
    "preprocess_input",
    "register",
    "unfreeze",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"keras_inception.{name}")
    raise AttributeError(f"module 'keras_inception' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_SUBPACKAGES})
