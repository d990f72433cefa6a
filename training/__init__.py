"""Training for the Inception family: from a folder of images to a run folder that explains itself.

Importing this package loads neither TensorFlow nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import TrainConfig
    from .data.arrays import write_arrays
    from .data.packing import pack
    from .data.scanning import Scan, scan
    from .data.tables import write_frame
    from .evaluation.coverage import coverage_thresholds
    from .evaluation.evaluate import evaluate
    from .evaluation.result import Evaluation
    from .evaluation.temperature import calibrate
    from .learning_rate import LearningRates, find_learning_rate
    from .recipes import list_recipes, load_recipe
    from .runs.run import Run
    from .training import CheckpointError, DivergedError, resume, train

# Each imports from those before it alone; tests/test_imports.py holds it.
_ROOMS = (
    "files", "signals", "config", "recipes", "data", "pipeline", "runs", "tracking", "engine", "evaluation", "report",
    "learning_rate", "training", "tuning",
)  # fmt: skip

_MODULES = {
    "CheckpointError": "training",
    "DivergedError": "training",
    "Evaluation": "evaluation.result",
    "LearningRates": "learning_rate",
    "Run": "runs.run",
    "Scan": "data.scanning",
    "TrainConfig": "config",
    "calibrate": "evaluation.temperature",
    "coverage_thresholds": "evaluation.coverage",
    "evaluate": "evaluation.evaluate",
    "find_learning_rate": "learning_rate",
    "list_recipes": "recipes",
    "load_recipe": "recipes",
    "pack": "data.packing",
    "resume": "training",
    "scan": "data.scanning",
    "train": "training",
    "write_arrays": "data.arrays",
    "write_frame": "data.tables",
}

__all__ = [
    "CheckpointError", "DivergedError", "Evaluation", "LearningRates", "Run", "Scan", "TrainConfig", "calibrate",
    "coverage_thresholds", "evaluate", "find_learning_rate", "list_recipes", "load_recipe", "pack", "resume",
    "scan", "train", "write_arrays", "write_frame",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
