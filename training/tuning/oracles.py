"""KerasTuner's oracles, made to survive: every call of a search's oracle is journaled, a line of JSON each.

KerasTuner rewrites its state files in place, so that a kill can leave half of one, and its grid search cannot be
taken up at all. An oracle is a machine, though, that comes to the same state by the same calls: random, Bayesian, grid
and hyperband alike. So the calls are written down, each flushed to the disk before its effect is used, and a resumed
search repeats them. A line that a kill cut short is a call that never happened.
"""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from .outcomes import Outcome
from .settings import SearchPlan

KINDS: dict[str, Any] = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}
SCORE = "score"
JOURNAL = "journal.jsonl"
DEFAULT_TRIALS = 20
HYPERBAND_FACTOR = 3
REJECTED_IN_A_ROW = 100  # then nothing else is to be expected
_CREATE, _END, _RESUME = "create_trial", "end_trial", "resume"


class Journal:
    """The calls of a search's oracle.

    Args:
        path: the file; it need not exist.

    Attributes:
        events: what was written so far, in order.

    Raises:
        ValueError: where a line before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.is_file() else b""
        *lines, cut_short = content.split(b"\n")
        self.events = [_event(path, number, line) for number, line in enumerate(lines, start=1)]
        if cut_short:
            os.truncate(path, len(content) - len(cut_short))

    def add(self, **event: Any) -> None:
        """Writes an event down and waits until the disk has it."""
        with self.path.open("ab") as file:
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.events.append(event)


def _event(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        raise ValueError(f"A search's journal holds a JSON object a line. Received: {path}, line {number}") from None
    return event


def most_trials(plan: SearchPlan) -> int | None:
    """How many trials a search trains at most; None where the oracle alone decides."""
    if plan.search.max_trials:
        return plan.search.max_trials
    return None if plan.search.tuner in ("hyperband", "grid") else DEFAULT_TRIALS


def make_oracle(
    plan: SearchPlan, space: keras_tuner.HyperParameters, journal: Journal, outcome_of: Callable[[str], Outcome | None]
) -> Any:
    """Makes a search's oracle; once its tuner is made, `repeat` takes up what the journal tells.

    Every trial is scored (`Goal.score`), failed and rejected ones badly, and none is told to KerasTuner as failed:
    Bayesian search then learns from them, hyperband never waits for them, and no number of failures ends the search.

    Args:
        plan: the search.
        space: its hyperparameters.
        journal: calls so far.
        outcome_of: reads a trial's outcome by its id.

    Returns:
        A `keras_tuner.Oracle`.
    """
    most = most_trials(plan)
    arguments: dict[str, Any] = {}
    if plan.search.tuner == "hyperband":
        arguments = {"max_epochs": plan.recipe.epochs, "factor": HYPERBAND_FACTOR}
    if plan.search.tuner == "bayesian":  # KerasTuner's own default is three times the dimensions: all of a short search
        assert most is not None
        arguments = {"num_initial_points": min(3 * max(len(space.space), 1), max(3, most // 3))}
    oracle = _journaled(KINDS[plan.search.tuner], patient=plan.search.tuner == "grid")(
        objective=keras_tuner.Objective(SCORE, "max"),
        hyperparameters=space,
        seed=plan.recipe.seed + 1,  # KerasTuner takes 0 for no seed
        allow_new_entries=False,
        tune_new_entries=True,
        **arguments,
    )
    oracle.verbose = 0
    oracle.max_trials = None  # counted here, since rejected trials do not count
    oracle.journal, oracle.outcome_of, oracle.most = journal, outcome_of, most
    return oracle


def _journaled(kind: Any, patient: bool) -> Any:
    class Journaled(kind):
        """An oracle that writes its calls down.

        Writing happens outside KerasTuner's lock, which an exception inside would leave locked for good.
        """

        journal: Journal
        outcome_of: Callable[[str], Outcome | None]
        most: int | None

        def create_trial(self, tuner_id: str) -> Trial:
            ended = [self.outcome_of(trial) for trial in self.end_order]
            rejected = [outcome is not None and outcome.status == "rejected" for outcome in ended]
            enough = self.most is not None and len(self.trials) - sum(rejected) >= self.most
            last = rejected[-REJECTED_IN_A_ROW:]
            # A grid comes to an end by itself, and what it rejects lies side by side.
            hopeless = len(last) == REJECTED_IN_A_ROW and all(last) and not patient
            # Ends the search within KerasTuner's own bookkeeping, which first hands out what is queued.
            self.max_trials = len(self.trials) if enough or hopeless else None
            trial = self._create(tuner_id)
            self.journal.add(**_created(tuner_id, trial, self.max_trials))
            return trial

        def end_trial(self, trial: Trial) -> None:
            if trial.trial_id in self.end_order:  # a worker that outlived its chief, after another has taken over
                return
            score = self.trials[trial.trial_id].metrics.get_best_value(SCORE)
            self._end(trial)
            self.journal.add(call=_END, trial=trial.trial_id, score=score)

        def repeat(self) -> None:
            """Repeats what the journal tells, and hands out first what was in progress.

            Raises:
                ValueError: where the oracle no longer does the same, as after an update of KerasTuner.
            """
            for number, event in enumerate(list(self.journal.events), start=1):
                if event["call"] == _CREATE:
                    self.max_trials = event["max_trials"]
                    trial = self._create(event["tuner"])
                    if _created(event["tuner"], trial, self.max_trials) != event:
                        raise ValueError(
                            "A search goes on with the KerasTuner that it was begun with. "
                            f"Received: another trial than line {number} of {self.journal.path} tells of"
                        )
                elif event["call"] == _END:
                    self.update_trial(event["trial"], {SCORE: event["score"]})
                    ended = self.trials[event["trial"]]
                    ended.status = TrialStatus.COMPLETED
                    self._end(ended)
                else:
                    self._interrupt()
            if self.ongoing_trials or self.tuner_ids:
                self._interrupt()
                self.journal.add(call=_RESUME)

        def _create(self, tuner_id: str) -> Trial:
            with warnings.catch_warnings(action="ignore"):  # scikit-learn remarks on Gaussian processes of few points
                return super().create_trial(tuner_id)

        def _end(self, trial: Trial) -> None:
            if trial.trial_id in self._retry_queue:
                self._retry_queue.remove(trial.trial_id)
            super().end_trial(trial)

        def _interrupt(self) -> None:
            """Queues the trials in progress for whoever asks next, the earliest first."""
            waiting = sorted((trial.trial_id for trial in self.ongoing_trials.values()), reverse=True)
            self._retry_queue += waiting
            self.ongoing_trials.clear()
            self.tuner_ids.clear()

    return Journaled


def _created(tuner_id: str, trial: Trial, max_trials: int | None) -> dict[str, Any]:
    values = trial.hyperparameters.values if trial.status == TrialStatus.RUNNING else {}
    return {
        "call": _CREATE,
        "tuner": tuner_id,
        "trial": trial.trial_id,
        "status": trial.status,
        "values": dict(values),
        "max_trials": max_trials,
    }
