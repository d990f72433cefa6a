"""A process's part in a search: alone, or by KerasTuner's protocol a chief who proposes trials, workers who run them.

KerasTuner reads who a process is from its environment: KERASTUNER_TUNER_ID (the chief's begins with `chief`), and the
chief's address in KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT. One of several on this machine is
`python -m keras_inception.training.tuning.cluster FOLDER THREADS`.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import grpc
import keras_tuner

from ..signals import raising_at_sigterm
from . import processes
from .hypermodel import RecipeHyperModel
from .oracles import JOURNAL, SCORE, Journal, make_oracle
from .outcomes import Goal, Outcome
from .runner import TRIALS, TrialRunner
from .settings import SearchPlan

ID, HOST, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
_POLL_SECONDS = 0.5
_IDLE_SECONDS = 1.0
_RESTARTS = 3


def role() -> Literal["alone", "chief", "worker"]:
    """Who this process is in a search.

    Raises:
        ValueError: where only some of KerasTuner's variables are set.
    """
    missing = [name for name in (ID, HOST, PORT) if name not in os.environ]
    if len(missing) == 3 or missing == [HOST, PORT]:
        return "alone"
    if missing:
        raise ValueError(
            f"A search on several machines sets {ID}, {HOST} and {PORT}. Received: no {', '.join(missing)}"
        )
    return "chief" if "chief" in os.environ[ID] else "worker"


def address() -> str:
    """The chief's address."""
    return f"{os.environ[HOST]}:{os.environ[PORT]}"


def check_port() -> None:
    """Sees whether the chief can have its port: gRPC would share it with whoever has it.

    Raises:
        ValueError: where it cannot.
    """
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((os.environ[HOST], int(os.environ[PORT])))
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"The chief's address must be free. Received: {address()} ({reason})") from None


def take_part(
    folder: Path, plan: SearchPlan, space: RecipeHyperModel, threads: int, show: Callable[[], object]
) -> None:
    """Does this process's part in a search: alone, as the chief who proposes trials, or as a worker who runs them."""
    part = role()
    hp = keras_tuner.HyperParameters()
    space.declare(hp)

    def outcome_of(trial: str) -> Outcome | None:
        return Outcome.read(folder / TRIALS / trial)

    journal = Journal(folder / JOURNAL if part != "worker" else Path(os.devnull))
    oracle = make_oracle(plan, hp, journal, outcome_of)
    runner = TrialRunner(folder, plan, space, threads, show)
    if part == "chief":
        check_port()
    with tempfile.TemporaryDirectory() as scratch:  # KerasTuner's own files: the journal is what is kept
        tuner = _Tuner(oracle, runner, plan.search.goal, scratch)
        if part != "worker":
            oracle.repeat()
        try:
            tuner.search()
        except keras_tuner.errors.FatalError as error:
            raise error.__cause__ or error from None
        except grpc.RpcError as error:
            raise ValueError(f"A worker needs its chief. Received: {address()} ({error})") from None


class _Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    def __init__(self, oracle: Any, runner: TrialRunner, goal: Goal, directory: str) -> None:
        super().__init__(oracle, directory=directory, project_name="search", overwrite=True)
        self.runner, self.goal, self.idle = runner, goal, False

    def pre_create_trial(self) -> None:
        if self.idle:  # the chief had nothing to run yet
            time.sleep(_IDLE_SECONDS)
        self.idle = True

    def on_trial_begin(self, trial: Any) -> None:  # noqa: ARG002 (KerasTuner fixes the arguments)
        self.idle = False

    def run_trial(self, trial: Any) -> dict[str, float]:
        try:
            outcome = self.runner.run(trial.trial_id, trial.hyperparameters)
        except Exception as error:  # KerasTuner would take any but its own for a failure of the trial
            raise keras_tuner.errors.FatalError from error
        return {SCORE: self.goal.score(outcome)}


def launch(folder: Path, workers: int, show: Callable[[], object]) -> None:
    """Runs a search that has been begun as a chief and so many workers on this machine, and waits for its end.

    A worker that is killed is started again and goes on with its trial.

    Raises:
        ValueError: where the chief or a worker fails; the search can be resumed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chief_at = {HOST: "127.0.0.1", PORT: str(free.getsockname()[1])}
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(name: str) -> subprocess.Popen[bytes]:
            environment = {**chief_at, ID: name}
            with (place / name).open("wb") as errors:
                process = processes.start(
                    "cluster", folder, str(threads), environment=environment, stdout=subprocess.DEVNULL, stderr=errors
                )
            stack.callback(processes.end, process)
            return process

        def failure(name: str) -> ValueError:
            lines = (place / name).read_text(errors="replace").strip().splitlines()
            return ValueError(f"{lines[-1] if lines else name + ' ended without a word.'}")

        chief = start("chief")
        team = {f"worker{number}": start(f"worker{number}") for number in range(workers)}
        restarts = 0
        while any(process.poll() != 0 for process in team.values()):
            show()
            if chief.poll() is not None:
                time.sleep(_POLL_SECONDS)  # where the search is over, workers are about to leave as well
                if chief.returncode != 0 or any(process.poll() is None for process in team.values()):
                    raise failure("chief")
                break
            for name, process in team.items():
                if process.poll() in (None, 0):
                    continue
                restarts += 1
                if process.returncode > 0 or restarts > _RESTARTS * workers:
                    raise failure(name)
                team[name] = start(name)
            time.sleep(_POLL_SECONDS)
    if not (folder / JOURNAL).is_file():
        raise failure("chief")


def main(folder: str, threads: str) -> int:
    """Does this process's part in a search; 1 and a sentence on stderr where it cannot."""
    processes.end_with_parent()
    try:
        with raising_at_sigterm():
            plan = SearchPlan.read(Path(folder))
            take_part(Path(folder), plan, plan.make_space(), int(threads), lambda: None)
    except (ValueError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
