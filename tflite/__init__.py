"""Export of a trained network to SavedModel and TFLite, and the proof that it is the same network.

Importing this package loads neither TensorFlow nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ExportError
    from .exporting import export
    from .files.metadata import About
    from .files.trust import Trust
    from .folder import Export
    from .network.deploying import deploy
    from .network.familiarity import Familiarity, familiarity, fit_familiarity
    from .network.simulating import simulate
    from .proving.layers import LayerRow, Layers
    from .proving.layerwise import layer_errors
    from .proving.limits import Limits, Proof, Row, Trusted
    from .proving.rehearsed import Rehearsal, Rehearsed
    from .proving.verification import verify
    from .running.answer import Prediction
    from .running.litert import LiteRTModel
    from .running.phone import PhoneTiming, benchmark_on_phone
    from .running.prediction import Predictor
    from .running.timing import Timing, benchmark

# Each imports from those before it alone; tests/test_imports.py holds it.
_ROOMS = ("errors", "atomic", "pictures", "network", "files", "folder", "running", "proving", "writing", "exporting")

_MODULES = {
    "About": "files.metadata",
    "Export": "folder",
    "ExportError": "errors",
    "Familiarity": "network.familiarity",
    "LayerRow": "proving.layers",
    "Layers": "proving.layers",
    "Limits": "proving.limits",
    "LiteRTModel": "running.litert",
    "Prediction": "running.answer",
    "Predictor": "running.prediction",
    "Proof": "proving.limits",
    "Rehearsal": "proving.rehearsed",
    "Rehearsed": "proving.rehearsed",
    "Row": "proving.limits",
    "Timing": "running.timing",
    "Trust": "files.trust",
    "Trusted": "proving.limits",
    "PhoneTiming": "running.phone",
    "benchmark": "running.timing",
    "benchmark_on_phone": "running.phone",
    "deploy": "network.deploying",
    "export": "exporting",
    "familiarity": "network.familiarity",
    "fit_familiarity": "network.familiarity",
    "layer_errors": "proving.layerwise",
    "simulate": "network.simulating",
    "verify": "proving.verification",
}

__all__ = [
    "About",
    "Export",
    "ExportError",
    "Familiarity",
    "LayerRow",
    "Layers",
    "Limits",
    "LiteRTModel",
    "PhoneTiming",
    "Prediction",
    "Predictor",
    "Proof",
    "Rehearsal",
    "Rehearsed",
    "Row",
    "Timing",
    "Trust",
    "Trusted",
    "benchmark",
    "benchmark_on_phone",
    "deploy",
    "export",
    "familiarity",
    "fit_familiarity",
    "layer_errors",
    "simulate",
    "verify",
]

# No sub-module bears the name of a function: importing it would put the module in the function's place.


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
