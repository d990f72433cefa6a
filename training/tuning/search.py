"""A search: a plan and a folder become trials, a best recipe and a report."""

import dataclasses
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras_tuner
from filelock import FileLock, Timeout
from rich.console import Console

from ..config import TrainConfig
from ..files import write_text
from ..runs.history import read_history
from ..runs.run import HISTORY
from ..signals import raising_at_sigterm
from . import cluster
from .display import Display, html_of_trials
from .hypermodel import RecipeHyperModel
from .oracles import most_trials
from .outcomes import Outcome
from .report import write_report
from .runner import TRIALS, state
from .settings import PLAN, SearchConfig, SearchPlan
from .trial import RUN, Task

BEST, LOCK = "best.json", ".lock"
_DRAWS = 200
_IDLE_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Search:
    """A search's folder, opened for reading.

    Attributes:
        folder: the folder.
        plan: what was searched, and how.
    """

    folder: Path
    plan: SearchPlan

    @classmethod
    def open(cls, folder: str | Path) -> "Search":
        """Opens a search's folder.

        Raises:
            FileNotFoundError: where there is no search.
            ValueError: where its plan cannot be read.
        """
        return cls(Path(folder), SearchPlan.read(Path(folder)))

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of the trials, in the order in which they began."""
        return state(self.folder)[0]

    @property
    def best(self) -> Outcome | None:
        """The best trial; None where none was completed within the limits."""
        return self.plan.search.goal.best(self.outcomes)

    @cached_property
    def space(self) -> RecipeHyperModel:
        """The space that is searched."""
        return self.plan.make_space()

    def _repr_html_(self) -> str:
        return html_of_trials(self.plan.search.goal, self.outcomes)

    def recipe(self, outcome: Outcome | None = None) -> TrainConfig:
        """Returns the recipe of a trial, by default the best one's, as `train` runs it.

        Raises:
            ValueError: where no trial was completed within the limits.
        """
        outcome = outcome or self.best
        if outcome is None:
            raise ValueError(f"A search must have completed a trial within its limits. Received: {self.folder} without")
        return TrainConfig.from_json(Task.read(self.folder / TRIALS / outcome.trial).config)

    def write_best(self, path: str | Path | None = None) -> Path:
        """Writes the best trial's recipe to a JSON file, by default best.json in the search's folder."""
        path = Path(path or self.folder / BEST)
        write_text(path, self.recipe().to_json())
        return path

    def write_report(self) -> Path:
        """Writes report.html."""
        outcomes = self.outcomes
        read = {o.trial: read_history(self.folder / TRIALS / o.trial / RUN / HISTORY) for o in outcomes}
        histories = {trial: rows for trial, rows in read.items() if rows}
        return write_report(self.folder, self.plan, outcomes, histories)


def tune(
    recipe: TrainConfig,
    folder: str | Path,
    search: SearchConfig | None = None,
    *,
    workers: int = 1,
    console: Console | None = None,
) -> Search:
    """Searches around a recipe and leaves the trials, the best one's recipe and a report in a folder.

    Each trial is trained in a process of its own, so that one that takes all memory, or crashes, is an outcome like any
    other. A search that was broken off goes on with `resume_tuning`.

    Where KerasTuner's variables `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` are set,
    this process is the chief or a worker of a search on several machines that share the folder.

    Args:
        recipe: where the search starts from.
        folder: the folder to make.
        search: what is searched and how.
        workers: trials at a time on this machine.
        console: where progress is shown; standard output by default.

    Returns:
        The finished search.

    Raises:
        FileNotFoundError: where the data is not there.
        ValueError: for a recipe, search, space or folder that cannot be used, or a port that is taken.
    """
    plan = SearchPlan(search or SearchConfig(), recipe.resolved())
    plan.search.validate()
    plan.recipe.validate()
    folder, role = Path(folder), cluster.role()
    if role == "worker":
        _wait_for(folder, plan)
    else:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"A search's folder must be new or empty. Received: {folder}")
        _check_candidates(plan.make_space())
        (folder / TRIALS).mkdir(parents=True, exist_ok=True)
        write_text(folder / PLAN, plan.to_json())
    return _conduct(Search(folder, plan), workers, console or Console())


def resume_tuning(folder: str | Path, *, workers: int = 1, console: Console | None = None) -> Search:
    """Goes on with a search that was broken off, and finishes it as if nothing had happened.

    Args:
        folder: the folder that `tune` was given.
        workers: trials at a time on this machine.
        console: where progress is shown; standard output by default.

    Returns:
        The finished search.

    Raises:
        FileNotFoundError: where no search was begun.
        ValueError: where the search is going on in another process, or KerasTuner has changed.
    """
    return _conduct(Search.open(folder), workers, console or Console())


def _conduct(search: Search, workers: int, console: Console) -> Search:
    if workers < 1:
        raise ValueError(f"workers must be at least 1. Received: {workers}")
    role, plan = cluster.role(), search.plan
    if role == "worker":
        cluster.take_part(search.folder, plan, search.space, 0, lambda: None)
        return search
    shown = Display(console, plan, most_trials(plan), workers)
    with raising_at_sigterm(), _alone(search.folder), shown as display:

        def show() -> None:
            display.update(*state(search.folder))

        show()
        if workers > 1 and role == "alone":
            cluster.launch(search.folder, workers, show)
        else:
            cluster.take_part(search.folder, plan, search.space, 0, show)
        show()
    search.write_report()
    if search.best:
        search.write_best()
    elif ended := search.outcomes:
        last = ended[-1]
        raise ValueError(
            f"A search must complete a trial within its limits; {search.folder / 'report.html'} tells of all. "
            f"Received: {len(ended)} trials without, the last {last.status}: {last.reason}"
        )
    return search


@contextmanager
def _alone(folder: Path) -> Any:
    """Sees to it that one search at a time goes on in a folder."""
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise ValueError(f"A search goes on in one place at a time. Received: {folder}, in use") from None


def _check_candidates(space: RecipeHyperModel) -> None:
    """Draws until a candidate is accepted; a space in which none is found is refused before anything is begun."""
    hp = keras_tuner.HyperParameters()
    space.declare(hp)
    reason = ""
    for number in range(_DRAWS):
        drawn = draw(hp, number)
        reason = space.reject(drawn) or ""
        if not reason:
            return
    raise ValueError(
        f"A space must hold candidates to train. Received: {_DRAWS} draws, all rejected, the last: {reason}"
    )


def draw(space: keras_tuner.HyperParameters, seed: int) -> keras_tuner.HyperParameters:
    """Draws values for all hyperparameters that are active together."""
    seeds = random.Random(seed)
    drawn = keras_tuner.HyperParameters()
    for hp in space.space:
        drawn.merge([hp])
        if drawn.is_active(hp):
            drawn.values[hp.name] = hp.random_sample(seeds.random())
    return drawn


def _wait_for(folder: Path, plan: SearchPlan) -> None:
    """Waits until the chief has begun the search, and sees whether it is the same."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not (folder / PLAN).is_file():
        if time.monotonic() > ends:
            raise ValueError(f"A worker shares its chief's folder. Received: {folder} without {PLAN}")
        time.sleep(_IDLE_SECONDS)
    found = SearchPlan.read(folder)
    if found != plan:
        fields = [
            f.name
            for f in dataclasses.fields(SearchConfig)
            if getattr(found.search, f.name) != getattr(plan.search, f.name)
        ]
        raise ValueError(f"A worker must join the chief's search. Received: another {', '.join(fields) or 'recipe'}")
