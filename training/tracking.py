"""Trackers, MLflow and Weights & Biases, told of a run: they read what the run writes, and neither hold nor end it.

A tracker is asked for by name. Its run's id is kept in tracking.json of the run folder with the number of epochs that
it has been told, so that a resumed run goes on in the same place and tells no epoch twice.
"""

import contextlib
import dataclasses
import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console

from .config import TrainConfig
from .runs import run as names
from .runs.history import read_history
from .runs.run import Run

PROJECT = "keras-inception"
# What metrics.json adds to the rows of history.csv.
_RESULTS = (
    "parameters", "best_epoch", "temperature", "validation_accuracy", "validation_mean_average_precision",
    "validation_loss", "test_accuracy", "test_mean_average_precision", "test_loss",
)  # fmt: skip
_TAG_LENGTH, _PARAMETERS_AT_ONCE = 64, 100


class Tracker(Protocol):
    """A run as a tracker knows it: a new one, or the one that `key` names.

    Attributes:
        key: the tracker's id of the run.
        epochs: how many epochs it has been told.
    """

    key: str
    epochs: int

    def log(self, epoch: int, figures: dict[str, float]) -> None:
        """Takes an epoch's row of history.csv."""

    def log_results(self, figures: dict[str, float], places: dict[str, str]) -> None:
        """Takes what came of the run, and where its files lie."""

    def close(self, finished: bool) -> None:
        """Lets go of the run: finished, or broken off."""


class _MLflow:
    """A run of MLflow's, at the place that MLFLOW_TRACKING_URI names. The process's active run is left alone."""

    def __init__(self, run: Run, name: str, key: str | None, epochs: int) -> None:
        import mlflow

        self._client = client = mlflow.MlflowClient()
        if key is None:
            title = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            found = client.get_experiment_by_name(title)
            experiment = found.experiment_id if found else client.create_experiment(title)
            key = client.create_run(experiment, run_name=name, tags=_labels(run.config)).info.run_id
            entries = [(option, str(value)) for option, value in _options(run.config).items()]
            told = [mlflow.entities.Param(option, text) for option, text in entries if text]  # servers want a value
            for start in range(0, len(told), _PARAMETERS_AT_ONCE):
                client.log_batch(key, params=told[start : start + _PARAMETERS_AT_ONCE])
        else:
            client.update_run(key, status="RUNNING")
            epochs = max((point.step for point in client.get_metric_history(key, "loss")), default=0)
        self.key, self.epochs, self._metric = key, epochs, mlflow.entities.Metric

    def log(self, epoch: int, figures: dict[str, float]) -> None:
        now = round(1000 * time.time())
        points = [self._metric(name, value, now, epoch) for name, value in figures.items()]
        self._client.log_batch(self.key, metrics=points)

    def log_results(self, figures: dict[str, float], places: dict[str, str]) -> None:
        self.log(self.epochs, figures)
        for name, place in places.items():
            self._client.set_tag(self.key, name, place)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self.key, "FINISHED" if finished else "KILLED")


class _WeightsAndBiases:
    """A run of Weights & Biases, in the mode that WANDB_MODE names. The process's own run, if any, is left alone."""

    def __init__(self, run: Run, name: str, key: str | None, epochs: int) -> None:
        import wandb

        labels = [label[:_TAG_LENGTH] for label in _labels(run.config).values()]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            id=key,
            resume="allow",
            config=_options(run.config),
            tags=labels,
            reinit="create_new",
            settings=wandb.Settings(console="off"),  # it would stand between the progress display and the terminal
        )
        self.key = self._run.id
        self.epochs = max(epochs, self._run.step - 1)  # offline it knows nothing of earlier processes

    def log(self, epoch: int, figures: dict[str, float]) -> None:
        self._run.log(figures, step=epoch, commit=True)

    def log_results(self, figures: dict[str, float], places: dict[str, str]) -> None:
        self._run.summary.update({**figures, **places})

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


TRACKERS: dict[str, Callable[[Run, str, str | None, int], Tracker]] = {"mlflow": _MLflow, "wandb": _WeightsAndBiases}


def checked(log: str | Sequence[str]) -> tuple[str, ...]:
    """The names of the trackers that are asked for.

    Raises:
        ValueError: where there is no tracker of a name.
        ImportError: where the package of one is not installed.
    """
    asked = (log,) if isinstance(log, str) else log
    if not isinstance(asked, list | tuple) or not all(isinstance(name, str) and name in TRACKERS for name in asked):
        raise ValueError(f"log must name trackers, {' or '.join(TRACKERS)}. Received: {log!r}")
    for name in asked:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # a folder called wandb, as W&B leaves, is no package
            raise ImportError(
                f"Logging to {name} needs its package: pip install 'keras-inception[{name}]'. "
                "Received: an environment without it"
            )
    return tuple(dict.fromkeys(asked))


class Tracking:
    """The trackers that follow a run, a context in which it is trained and evaluated.

    A tracker that fails is named in one warning and left alone until the run ends; then it is told once more what it
    lacks. Nothing that a tracker raises gets out of here.

    Args:
        run: the run; its folder is there, maybe with a tracking.json.
        final: what its folder will be called.
        asked: names of trackers; None for those that have followed the run so far.
        console: where a warning is shown.

    Raises:
        ValueError: where tracking.json is damaged.
    """

    def __init__(self, run: Run, final: Path, asked: Sequence[str] | None, console: Console) -> None:
        self.run, self.final, self.console = run, final, console
        self.kept = _read(run)
        self.names = tuple(self.kept if asked is None else asked)
        self.open: dict[str, Tracker] = {}
        self.failed: set[str] = set()
        self.finished = False

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, tracker in self.open.items():
            with self._forgiving(name):
                tracker.close(self.finished)

    def follow(self) -> None:
        """Tells the trackers what they do not know of history.csv."""
        for name in self.names:
            if name not in self.failed:
                with self._forgiving(name):
                    self._catch_up(name)

    def finish(self, metrics: dict[str, Any]) -> None:
        """Tells them what came of the run, as metrics.json holds it."""
        self.finished = True
        figures = {name: float(metrics[name]) for name in _RESULTS if name in metrics}
        places = {
            "report": str(self.final.absolute() / names.REPORT),
            "checkpoint": str(self.final.absolute() / names.BEST),
        }
        for name in self.names:
            with self._forgiving(name):
                self._catch_up(name).log_results(figures, places)

    def _catch_up(self, name: str) -> Tracker:
        kept = self.kept.get(name, {"run": None, "epochs": 0})
        tracker = self.open.get(name)
        if tracker is None:
            tracker = self.open[name] = TRACKERS[name](self.run, self.final.name, kept["run"], kept["epochs"])
            self.console.print(f"{name}: run {tracker.key}", markup=False, highlight=False, soft_wrap=True)
            self._keep(name, tracker)
        for row in read_history(self.run.folder / names.HISTORY)[tracker.epochs :]:
            tracker.log(int(row["epoch"]), {figure: value for figure, value in row.items() if figure != "epoch"})
            tracker.epochs = int(row["epoch"])
            self._keep(name, tracker)
        return tracker

    def _keep(self, name: str, tracker: Tracker) -> None:
        self.kept[name] = {"run": tracker.key, "epochs": tracker.epochs}
        self.run.write_json(names.TRACKING, self.kept)

    @contextlib.contextmanager
    def _forgiving(self, name: str) -> Iterator[None]:
        try:
            with _impatient():
                yield
        except Exception as error:  # whatever a server or its library comes up with
            if name not in self.failed:
                said = " ".join(str(error).split()) or type(error).__name__
                self.console.print(
                    f"warning: {name} failed and is left alone until the run ends ({said})",
                    style="yellow", markup=False, soft_wrap=True,
                )  # fmt: skip
            self.failed.add(name)


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """A server that is away costs seconds: by default MLflow asks for four minutes, W&B for 100 seconds.

    What the user has set is left as it is.
    """
    mine = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "WANDB_INIT_TIMEOUT": "15",
    }  # fmt: skip
    unset = {name: value for name, value in mine.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]


def _read(run: Run) -> dict[str, dict[str, Any]]:
    kept = run.read_json(names.TRACKING)
    for name, place in kept.items():
        known = name in TRACKERS and isinstance(place, dict)
        if not (known and isinstance(place.get("run"), str) and type(place.get("epochs")) is int):
            raise ValueError(
                f"{names.TRACKING} must hold a run and a number of epochs for each tracker. "
                f"Received: {run.folder / names.TRACKING}"
            )
    return kept


def _options(config: TrainConfig) -> dict[str, Any]:
    """The values of a configuration by the names that the command's options have."""

    def flat(tree: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{above}{name}.")
            else:
                yield f"{above}{name}", value

    return dict(flat(dataclasses.asdict(config), ""))


def _labels(config: TrainConfig) -> dict[str, str]:
    """What a run is found by."""
    labels = {"recipe": Path(config.recipe).stem, "network": config.model.name, "data": config.data}
    return {name: label for name, label in labels.items() if label}
