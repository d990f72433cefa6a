"""Export of a trained network to SavedModel and TFLite, and the proof that it is the same network.

Importing this package loads neither TensorFlow nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.tflite.deployment import deploy
    from keras_inception.tflite.errors import ExportError
    from keras_inception.tflite.exporting import Export, export
    from keras_inception.tflite.metadata import About
    from keras_inception.tflite.prediction import Prediction, Predictor
    from keras_inception.tflite.proof import Limits, Proof, Row
    from keras_inception.tflite.runtime import LiteRTModel
    from keras_inception.tflite.timing import Timing, benchmark
    from keras_inception.tflite.verification import verify

_MODULES = {
    "About": "metadata",
    "Export": "exporting",
    "ExportError": "errors",
    "Limits": "proof",
    "LiteRTModel": "runtime",
    "Prediction": "prediction",
    "Predictor": "prediction",
    "Proof": "proof",
    "Row": "proof",
    "Timing": "timing",
    "benchmark": "timing",
    "deploy": "deployment",
    "export": "exporting",
    "verify": "verification",
}

__all__ = [
    "About",
    "Export",
    "ExportError",
    "Limits",
    "LiteRTModel",
    "Prediction",
    "Predictor",
    "Proof",
    "Row",
    "Timing",
    "benchmark",
    "deploy",
    "export",
    "verify",
]

# No sub-module bears the name of a function: importing it would put the module in the function's place.


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
