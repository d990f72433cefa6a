"""Searches with Keras Tuner: spaces of networks and of how they are trained.

Importing this package loads neither Keras Tuner nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.training.tuning.cell import HyperInceptionCell
    from keras_inception.training.tuning.costs import Costs, network_costs
    from keras_inception.training.tuning.hypermodel import RecipeHyperModel
    from keras_inception.training.tuning.outcomes import Goal, Outcome, pareto_front
    from keras_inception.training.tuning.search import Search, resume_tuning, tune
    from keras_inception.training.tuning.settings import SearchConfig
    from keras_inception.training.tuning.space import HyperInception

_MODULES = {
    "Costs": "costs",
    "Goal": "outcomes",
    "HyperInception": "space",
    "HyperInceptionCell": "cell",
    "Outcome": "outcomes",
    "RecipeHyperModel": "hypermodel",
    "Search": "search",
    "SearchConfig": "settings",
    "network_costs": "costs",
    "pareto_front": "outcomes",
    "resume_tuning": "search",
    "tune": "search",
}

__all__ = [
    "Costs",
    "Goal",
    "HyperInception",
    "HyperInceptionCell",
    "Outcome",
    "RecipeHyperModel",
    "Search",
    "SearchConfig",
    "network_costs",
    "pareto_front",
    "resume_tuning",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
