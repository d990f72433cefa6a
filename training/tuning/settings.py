"""What a search is made of. The docstring under a field is the help text of its command-line option."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..config import OptionValue, TrainConfig
from .outcomes import Goal

if TYPE_CHECKING:
    from .hypermodel import RecipeHyperModel

PLAN = "search.json"


@dataclass(frozen=True)
class SearchConfig:
    """A search over a recipe's values."""

    space: Literal["network", "cell"] = "network"
    """network: networks of the family and how they are trained. cell: the Inception module itself."""
    search: tuple[str, ...] = ()
    """What is searched, such as `alpha learning_rate`, or with the values to choose from, `alpha=0.25,0.5`; all else
    stays as the recipe has it. Empty: a choice that suits the space."""
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = "random"
    """KerasTuner's oracle that proposes trials. hyperband trains many a little and the best ones on."""
    max_trials: int = 0
    """Trials to train; those that are rejected before training do not count. 0: 20, or as many as hyperband and grid
    come to."""
    objective: Literal["accuracy", "loss", "parameters", "multiply_adds", "size_mb", "latency_ms"] = "accuracy"
    """What is to be best, on the validation images: accuracy, loss, or a cost of the network, its weights and
    multiply-adds or the size and latency of its TFLite file."""
    limits: dict[str, OptionValue] = field(default_factory=dict)
    """Largest value of a cost, such as `size_mb=6 latency_ms=5`, or smallest accuracy; a trial beyond it is rejected
    before it trains where that can be known."""
    weights: dict[str, OptionValue] = field(default_factory=dict)
    """Accuracy that a unit of a cost takes away (a million weights or multiply-adds, a megabyte, a millisecond), such
    as `latency_ms=0.01`."""
    tflite_mode: Literal["float32", "float16", "dynamic", "int8"] = "float32"
    """Mode of the TFLite file whose size and latency are measured."""
    memory_mb: int = 0
    """Memory that a trial may take, in megabytes; beyond it the trial ends as out of memory. 0: all there is."""

    @property
    def goal(self) -> Goal:
        """What the search is after."""
        return Goal(self.objective, dict(self.limits), dict(self.weights))  # type: ignore[arg-type]

    def validate(self) -> None:
        """Checks the values that types alone cannot.

        Raises:
            ValueError: with one sentence that names the rule and the value received.
        """
        for name in ("max_trials", "memory_mb"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Received: {getattr(self, name)}")
        _ = self.goal


@dataclass(frozen=True)
class SearchPlan:
    """All that decides a search: what search.json keeps, and what a resumed search must agree with."""

    search: SearchConfig
    recipe: TrainConfig

    def to_json(self) -> str:
        """Returns the plan as indented JSON text."""
        search = dataclasses.asdict(self.search)
        return json.dumps({"search": search, "recipe": json.loads(self.recipe.to_json())}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "SearchPlan":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: for text that is no plan of a search.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            values = content["search"]
            search = SearchConfig(**{**values, "search": tuple(values["search"])})
            return cls(search, TrainConfig.from_json(json.dumps(content["recipe"])))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"The plan of a search must be whole. Received: {text[:40]!r} ({error})") from None

    @classmethod
    def read(cls, folder: Path) -> "SearchPlan":
        """Reads the plan of a search's folder.

        Raises:
            FileNotFoundError: where there is no search.
            ValueError: where its plan cannot be read.
        """
        if not (folder / PLAN).is_file():
            raise FileNotFoundError(f"A search's folder holds {PLAN}. Received: {folder} without it")
        return cls.from_json((folder / PLAN).read_text(encoding="utf-8"))

    def make_space(self) -> "RecipeHyperModel":
        """Makes the space of the search from its words, such as `alpha=0.25,0.5`.

        Raises:
            ValueError: for a word that the space does not know.
        """
        from .cell import HyperInceptionCell  # these bring Keras; the command reads options without
        from .hypermodel import LIMITS
        from .space import HyperInception

        names, choices = [], {}
        for word in self.search.search:
            name, equals, values = word.partition("=")
            names.append(name)
            if equals:
                choices[name] = [_value(text) for text in values.split(",")]
        limits = {name: value for name, value in self.search.goal.limits.items() if name in LIMITS}
        space = HyperInceptionCell if self.search.space == "cell" else HyperInception
        return space(self.recipe, search=names or None, choices=choices, limits=limits)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
