"""Training for the Inception family: from a folder of images to a run folder that explains itself.

Importing this package loads neither TensorFlow nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.training.config import TrainConfig
    from keras_inception.training.evaluation import Evaluation, evaluate
    from keras_inception.training.fit import CheckpointError, DivergedError, resume, train
    from keras_inception.training.packing import pack
    from keras_inception.training.recipes import list_recipes, load_recipe
    from keras_inception.training.run import Run
    from keras_inception.training.scanning import Scan, scan
    from keras_inception.training.stored import write_arrays

_MODULES = {
    "CheckpointError": "fit",
    "DivergedError": "fit",
    "Evaluation": "evaluation",
    "Run": "run",
    "Scan": "scanning",
    "TrainConfig": "config",
    "evaluate": "evaluation",
    "list_recipes": "recipes",
    "load_recipe": "recipes",
    "pack": "packing",
    "resume": "fit",
    "scan": "scanning",
    "train": "fit",
    "write_arrays": "stored",
}

__all__ = [
    "CheckpointError", "DivergedError", "Evaluation", "Run", "Scan", "TrainConfig", "evaluate", "list_recipes",
    "load_recipe", "pack", "resume", "scan", "train", "write_arrays",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
