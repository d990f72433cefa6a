"""Searches with Keras Tuner: spaces of networks and of how they are trained.

Importing this package loads neither Keras Tuner nor Keras; each public name is imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import HyperInceptionCell
    from .costs import Costs, network_costs
    from .hypermodel import RecipeHyperModel
    from .outcomes import Goal, Outcome, pareto_front
    from .search import Search, resume_tuning, tune
    from .settings import SearchConfig
    from .space import HyperInception

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
