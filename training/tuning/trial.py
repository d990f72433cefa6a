"""A trial, in a process of its own: `python -m keras_inception.training.tuning.trial FOLDER`.

The folder holds trial.json, what to do, and gets run/, a run folder like any other, and outcome.json. When the process
that started it is gone, the trial ends too: the pipe on its standard input tells.
"""

import dataclasses
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import TrainConfig
from ..files import write_text
from .outcomes import Goal, Outcome, Status
from .processes import end_with_parent, failure

TASK, RUN = "trial.json", "run"


@dataclass(frozen=True)
class Task:
    """What a trial's process has to do.

    Attributes:
        trial: the trial's id.
        values: the hyperparameters' values.
        config: what is trained, as JSON.
        epochs: after how many epochs training pauses.
        continues: the trial whose training this one continues, empty for none.
        parameters: of the network, known beforehand.
        multiply_adds: likewise.
        objective: of the search's goal.
        limits: likewise.
        weights: likewise.
        tflite_mode: mode of the TFLite file that is measured, empty for none.
    """

    trial: str
    values: dict[str, Any]
    config: str
    epochs: int
    continues: str
    parameters: int
    multiply_adds: int
    objective: str
    limits: dict[str, float]
    weights: dict[str, float]
    tflite_mode: str

    def write(self, folder: Path) -> None:
        """Writes trial.json."""
        write_text(folder / TASK, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    def outcome(self, status: Status = "completed", reason: str = "") -> Outcome:
        """An outcome of this trial that knows no more than this."""
        return Outcome(
            self.trial, status, reason, self.values, parameters=self.parameters, multiply_adds=self.multiply_adds
        )

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """Reads trial.json.

        Raises:
            ValueError: where it is of another version of this package, or damaged.
        """
        try:
            return cls(**json.loads((folder / TASK).read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"A trial's task must be whole. Received: {folder / TASK} ({error})") from None


def perform(folder: Path) -> Outcome:
    """Trains and measures what a trial's folder says, or goes on with it where it was broken off."""
    import keras_inception.training as room

    from ..runs.run import CONFIG, METRICS
    from .costs import tflite_costs

    task = Task.read(folder)
    config = TrainConfig.from_json(task.config)
    goal = Goal(task.objective, task.limits, task.weights)
    outcome = task.outcome()
    if task.tflite_mode:
        size_mb, latency_ms = tflite_costs(folder, config, task.tflite_mode)
        outcome = dataclasses.replace(outcome, size_mb=size_mb, latency_ms=latency_ms)
        if reason := goal.violation(outcome)[1]:
            return dataclasses.replace(outcome, status="rejected", reason=reason)
    run_folder = folder / RUN
    if task.continues:
        _continue(folder.parent / task.continues / RUN, run_folder)
    if not (run_folder / CONFIG).is_file():
        room.train(config, run_folder, stop_after=task.epochs)
    run = room.Run.open(run_folder)
    if run.read_json(METRICS).get("epochs", 0) < task.epochs:
        room.resume(run_folder, stop_after=task.epochs)
    metrics = run.read_json(METRICS)
    return dataclasses.replace(
        outcome,
        accuracy=metrics["validation_accuracy"],
        loss=metrics["validation_loss"],
        epochs=metrics["epochs"],
    )


def seconds_since_task(folder: Path) -> float:
    """How long ago a trial's process was told what to do."""
    return round(time.time() - (folder / TASK).stat().st_mtime, 1)


def _continue(earlier: Path, run_folder: Path) -> None:
    """Takes over another trial's training, at its last epoch's end; it stays as it is."""
    if run_folder.exists() or not earlier.exists():
        return
    copy = run_folder.with_name(f".{RUN}.partial-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(earlier, copy)
    copy.rename(run_folder)


def main(folder: Path) -> None:
    """Performs a trial and writes its outcome."""
    end_with_parent()
    task = Task.read(folder)
    from filelock import FileLock

    with FileLock(folder / ".lock"):  # the process of a search killed a moment ago may still be ending
        try:
            outcome = perform(folder)
        except Exception as error:
            status, reason = failure(error)
            print(f"{status}: {reason}", flush=True)
            outcome = task.outcome(status, reason)
        dataclasses.replace(outcome, seconds=seconds_since_task(folder)).write(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # TensorFlow takes seconds to take itself apart
