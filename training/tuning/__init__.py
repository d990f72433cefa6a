"""Searches with Keras Tuner: spaces of networks and of how they are trained.

Importing this package loads neither Keras Tuner nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.training.tuning.cell import HyperInceptionCell
    from keras_inception.training.tuning.costs import Costs, network_costs
    from keras_inception.training.tuning.hypermodel import RecipeHyperModel

_MODULES = {
    "Costs": "costs",
    "HyperInceptionCell": "cell",
    "RecipeHyperModel": "hypermodel",
    "network_costs": "costs",
}

__all__ = ["Costs", "HyperInceptionCell", "RecipeHyperModel", "network_costs"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
