"""Runs trials, each in a process of its own whose memory returns to the system, and tells what became of them."""

import dataclasses
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import keras_tuner
import psutil

from ..engine.watching import VALIDATION_ACCURACY
from ..runs.history import read_history
from ..runs.run import HISTORY
from . import processes
from .costs import network_costs
from .display import Running
from .hypermodel import RecipeHyperModel
from .outcomes import Outcome, Status
from .settings import SearchPlan
from .trial import RUN, TASK, Task, seconds_since_task

TRIALS, LOG = "trials", "log.txt"
_POLL_SECONDS = 0.1
_SHOW_SECONDS = 0.5


class TrialRunner:
    """Runs one trial after the other.

    Args:
        folder: the search's folder.
        plan: the search.
        space: its space.
        threads: of the processor that a trial may use, 0 for all.
        show: called about twice a second while a trial runs.
    """

    def __init__(
        self, folder: Path, plan: SearchPlan, space: RecipeHyperModel, threads: int, show: Callable[[], object]
    ) -> None:
        self.folder, self.plan, self.space, self.threads, self.show = folder / TRIALS, plan, space, threads, show

    def run(self, trial: str, hp: keras_tuner.HyperParameters) -> Outcome:
        """Runs a trial, or goes on with it at its last epoch's end, or returns the outcome that it has already.

        Whatever ends the trial but the end of this process is an outcome.

        Raises:
            OSError: where the search's folder cannot be written.
        """
        folder = self.folder / trial
        if outcome := Outcome.read(folder):
            return outcome
        folder.mkdir(parents=True, exist_ok=True)
        if reason := self.space.reject(hp):
            outcome = Outcome(trial, "rejected", reason, dict(hp.values))
        else:
            task = self._task(trial, hp)
            task.write(folder)
            why = self._supervise(folder)
            if outcome := Outcome.read(folder):
                return outcome
            outcome = dataclasses.replace(task.outcome(*why), seconds=seconds_since_task(folder))
        outcome.write(folder)
        return outcome

    def _task(self, trial: str, hp: keras_tuner.HyperParameters) -> Task:
        plan = self.plan
        config = self.space.config(hp)
        goal = plan.search.goal
        return Task(
            trial=trial,
            values=dict(hp.values),
            config=config.to_json(),
            epochs=int(hp.values.get("tuner/epochs", config.epochs)),
            continues=str(hp.values.get("tuner/trial_id", "")),
            **dataclasses.asdict(network_costs(config, self.space.classes)),
            objective=goal.objective,
            limits=dict(goal.limits),
            weights=dict(goal.weights),
            tflite_mode=plan.search.tflite_mode if goal.needs_tflite else "",
        )

    def _supervise(self, folder: Path) -> tuple[Status, str]:
        """Waits for a trial's process; returns why it ended where it does not say so itself."""
        kills = processes.kernel_kills()
        limited = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS") if self.threads else ()
        environment = dict.fromkeys(limited, str(self.threads))
        with (folder / LOG).open("ab") as log:
            process = processes.start("trial", folder, environment=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            if largest := self._wait(process):
                limit = self.plan.search.memory_mb
                return "out_of_memory", f"A trial may take at most {limit:,} MB. Received: {largest / 1e6:,.0f} MB"
        finally:
            processes.end(process)
        return processes.death(process.returncode, folder / LOG, kills)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Waits for the end; returns the memory in bytes that the process was ended for, or 0."""
        limit, shown = self.plan.search.memory_mb * 1_000_000, time.monotonic()
        while process.poll() is None:
            if limit and (taken := _memory(process.pid)) > limit:
                process.kill()
                process.wait()
                return taken
            if time.monotonic() - shown > _SHOW_SECONDS:
                self.show()
                shown = time.monotonic()
            time.sleep(_POLL_SECONDS)
        return 0


def state(folder: Path) -> tuple[list[Outcome], list[Running]]:
    """The trials of a search that have ended, and those that have begun and not ended, in the order of their ids."""
    outcomes, running = [], []
    for place in sorted((folder / TRIALS).glob("*")):
        if outcome := Outcome.read(place):
            outcomes.append(outcome)
        elif (place / TASK).is_file():
            task = Task.read(place)
            rows = read_history(place / RUN / HISTORY)
            accuracy = max((row[VALIDATION_ACCURACY] for row in rows), default=None)
            seconds = seconds_since_task(place)
            running.append(Running(task.trial, task.values, len(rows), task.epochs, accuracy, seconds))
    return outcomes, running


def _memory(process: int) -> int:
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0
