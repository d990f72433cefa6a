"""Every oracle of Keras Tuner, journaled: killed at any byte of its journal, it goes on as if nothing had happened."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from training_helpers import tiny_config

kt = pytest.importorskip("keras_tuner", reason="the extra `tune` is not installed")

from keras_inception.training.tuning import Outcome, SearchConfig
from keras_inception.training.tuning.oracles import JOURNAL, SCORE, Journal, make_oracle
from keras_inception.training.tuning.settings import SearchPlan

# Keras Tuner asks for a thread's name in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")

TUNERS = ("random", pytest.param("bayesian", marks=pytest.mark.slow), "hyperband", "grid")  # slow to propose


def plan_for(tuner: str, **changes: Any) -> SearchPlan:
    settings = {"tuner": tuner, "max_trials": 6 if tuner == "bayesian" else 9, **changes}
    return SearchPlan(SearchConfig(**settings), dataclasses.replace(tiny_config(), epochs=9))


def small_space() -> Any:
    hp = kt.HyperParameters()
    hp.Choice("alpha", [0.25, 0.5, 1.0])
    hp.Choice("network", ["inception_v1", "mobilenet_v2"])
    with hp.conditional_scope("network", ["inception_v1"]):
        hp.Choice("aux_weight", [0.0, 0.3])
    return hp


class Rig:
    """An oracle and what a search keeps of it, scored by a formula in place of training."""

    def __init__(self, plan: SearchPlan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        folder.mkdir(exist_ok=True)
        self.outcomes: dict[str, Outcome] = {}
        self.rise()

    def rise(self) -> None:
        """Makes the oracle anew, as after a kill."""
        self.journal = Journal(self.folder / JOURNAL)
        self.oracle = make_oracle(self.plan, small_space(), self.journal, self.outcomes.get)
        self.oracle._set_project_dir(str(self.folder / "scratch"), "search")
        self.oracle.repeat()

    def ask(self, tuner: str = "tuner0") -> Any:
        return self.oracle.create_trial(tuner)

    def tell(self, trial: Any) -> None:
        values = trial.hyperparameters.values
        accuracy = values["alpha"] / 2 + values.get("aux_weight", 0.1) + values.get("tuner/epochs", 0) / 100
        rejected = values["alpha"] == 0.5 and values["network"] == "mobilenet_v2"
        status = "rejected" if rejected else "completed"
        self.outcomes[trial.trial_id] = Outcome(trial.trial_id, status, accuracy=accuracy)
        self.oracle.update_trial(trial.trial_id, {SCORE: -1.0 if rejected else accuracy})
        trial.status = "COMPLETED"
        self.oracle.end_trial(trial)

    def finish(self) -> dict[str, dict]:
        while (trial := self.ask()).status == "RUNNING":
            self.tell(trial)
        assert trial.status == "STOPPED"
        return self.trials

    @property
    def trials(self) -> dict[str, dict]:
        return {name: trial.hyperparameters.values for name, trial in self.oracle.trials.items()}


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_search_killed_at_any_byte_of_its_journal_has_the_same_trials(tuner: str, tmp_path: Path):
    whole = Rig(plan_for(tuner), tmp_path / "whole")
    expected = whole.finish()
    assert len(expected) >= 5
    content = (tmp_path / "whole" / JOURNAL).read_bytes()
    for cut in random.Random(0).sample(range(1, len(content)), 2 if tuner == "bayesian" else 8):
        killed = Rig(plan_for(tuner), tmp_path / f"cut{cut}")
        killed.outcomes = whole.outcomes
        (killed.folder / JOURNAL).write_bytes(content[:cut])
        killed.rise()
        assert killed.finish() == expected, cut


@pytest.mark.parametrize("tuner", TUNERS)
def test_two_workers_and_kills_lose_and_double_no_trial(tuner: str, tmp_path: Path):
    rig, dice = Rig(plan_for(tuner), tmp_path / "search"), random.Random(1)
    at_work: dict[str, Any] = {}
    stopped: set[str] = set()
    for _ in range(1000):
        name = dice.choice(["worker0", "worker1"])
        if name in at_work and dice.random() < 0.6:
            rig.tell(at_work.pop(name))
        elif name not in at_work and name not in stopped:
            trial = rig.ask(name)
            assert trial.trial_id not in {other.trial_id for other in at_work.values()}
            if trial.status == "RUNNING":
                at_work[name] = trial
            elif trial.status == "STOPPED":
                stopped.add(name)
        elif dice.random() < 0.1:
            rig.rise()
            at_work, stopped = {}, set()
        if len(stopped) == 2 and not at_work:
            break
    ended = [event["trial"] for event in rig.journal.events if event["call"] == "end_trial"]
    assert sorted(ended) == sorted(rig.trials) and len(set(ended)) == len(ended)


def test_a_worker_that_outlives_its_chief_does_not_end_a_trial_twice(tmp_path: Path):
    rig = Rig(plan_for("random"), tmp_path / "search")
    first = rig.ask("worker0")
    rig.rise()
    again = rig.ask("worker1")
    assert again.trial_id == first.trial_id
    rig.tell(again)
    rig.tell(first)
    assert [event["call"] for event in rig.journal.events].count("end_trial") == 1
    assert rig.ask("worker0").trial_id != first.trial_id


def test_seed_0_is_a_seed(tmp_path: Path):
    first, second = (Rig(plan_for("random"), tmp_path / name).finish() for name in ("a", "b"))
    assert first == second
    other = SearchPlan(SearchConfig(max_trials=9), dataclasses.replace(plan_for("random").recipe, seed=1))
    assert Rig(other, tmp_path / "c").finish() != first


def test_rejected_trials_do_not_count(tmp_path: Path):
    rig = Rig(plan_for("random", max_trials=5), tmp_path / "search")
    rig.finish()
    statuses = [rig.outcomes[name].status for name in rig.trials]
    assert statuses.count("completed") == 5
    assert len(statuses) == 5 or statuses[-1] == "completed"


def test_another_keras_tuner_is_told_apart(tmp_path: Path):
    rig = Rig(plan_for("random"), tmp_path / "search")
    rig.finish()
    path = rig.folder / JOURNAL
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace('"alpha":', '"alpha": 9, "was":'), *lines[1:]]) + "\n")
    with pytest.raises(ValueError, match="goes on with the KerasTuner that it was begun with. Received: .* line 1"):
        rig.rise()


def test_a_damaged_journal_is_one_sentence(tmp_path: Path):
    (tmp_path / JOURNAL).write_text('{"call":\n{"call":"resume"}\n')
    with pytest.raises(ValueError, match="a JSON object a line. Received: .*journal.jsonl, line 1"):
        Journal(tmp_path / JOURNAL)
