"""Whole searches: real trials in processes of their own, killed, starved and resumed."""

import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from repeats import REPEATS
from training_helpers import tiny_config, write_digits

pytest.importorskip("keras_tuner", reason="the extra `tune` is not installed")

from keras_inception.training import TrainConfig, load_recipe, train
from keras_inception.training.tuning import Search, SearchConfig, resume_tuning, tune
from keras_inception.training.tuning.cluster import HOST, ID, PORT
from keras_inception.training.tuning.runner import TRIALS

# Keras Tuner asks for a thread's name in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")

COMMAND = [sys.executable, "-c", "import sys; from keras_inception.cli import main; sys.exit(main())", "tune"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A network of one small module on 60 real digits."""
    data = f"folder:{write_digits(tmp_path_factory.mktemp('data'), each=20)}"
    config = tiny_config(data, epochs=2)
    options = {"modules": 1, "width": 16, "stem": "low_resolution"}
    model = dataclasses.replace(config.model, name="inception_cell", alpha=1.0, aux_heads=False, options=options)
    return dataclasses.replace(config, model=model)


def summary(search: Search) -> list[tuple[Any, ...]]:
    """What two equal searches have in common: everything but the time they took."""
    return [(o.trial, o.status, o.values, o.accuracy, o.loss, o.epochs) for o in search.outcomes]


def plan_file(folder: Path, recipe: TrainConfig) -> Path:
    path = folder / "recipe.json"
    path.write_text(recipe.to_json())
    return path


def test_a_search_tells_a_good_trial_from_a_diverged_and_a_rejected_one(recipe: TrainConfig, tmp_path: Path):
    words = ("learning_rate=0.05,1e30", "alpha=1.0,64.0")
    settings = SearchConfig(search=words, tuner="grid", limits={"parameters": 1e6})
    search = tune(recipe, tmp_path / "search", settings)
    found = {(o.values["learning_rate"], o.values["alpha"]): o for o in search.outcomes}
    statuses = {key: outcome.status for key, outcome in found.items()}
    assert statuses == {
        (0.05, 1.0): "completed", (1e30, 1.0): "diverged", (0.05, 64.0): "rejected", (1e30, 64.0): "rejected",
    }  # fmt: skip
    assert "The loss must stay finite" in found[1e30, 1.0].reason
    assert "at most 1,000,000 parameters. Received:" in found[0.05, 64.0].reason
    best = search.best
    assert best == found[0.05, 1.0] and best.accuracy is not None and best.parameters and best.epochs == 2
    chosen = load_recipe(str(tmp_path / "search/best.json"))
    assert chosen.optimizer.learning_rate == 0.05
    assert chosen == search.recipe()
    assert all(f">{o.trial}<" in (tmp_path / "search/report.html").read_text() for o in search.outcomes)
    with pytest.raises(ValueError, match="folder must be new or empty"):
        tune(recipe, tmp_path / "search", settings)


@pytest.mark.proof
def test_searches_killed_many_times_are_the_search_that_was_not(recipe: TrainConfig, tmp_path: Path):
    settings = ["--search", "learning_rate=0.02,0.05,0.1", "batch_size=4,8,16"]
    arguments = [*COMMAND, str(plan_file(tmp_path, recipe)), *settings, "--max-trials", "5", "--tuner", "bayesian"]
    began = time.monotonic()
    subprocess.run([*arguments, "--output", str(tmp_path / "whole")], check=True)
    whole = Search.open(tmp_path / "whole")
    seconds, dice = time.monotonic() - began, random.Random(0)
    kills = searches = 0
    while kills < REPEATS:  # a search that ends before its last kill is followed by another
        place = tmp_path / f"killed{searches}"
        while not (place / "report.html").is_file():
            begun = (place / "search.json").is_file()
            rest = [*COMMAND, "--resume", str(place)] if begun else [*arguments, "--output", str(place)]
            process = subprocess.Popen(rest, start_new_session=True)
            try:
                process.wait(dice.uniform(0.02, 0.25) * seconds if kills < REPEATS else None)
                assert process.returncode == 0
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)  # this process alone: its trial must see to its own end
                process.wait()
                kills += 1
        assert summary(Search.open(place)) == summary(whole)
        assert Search.open(place).recipe() == whole.recipe()
        searches += 1
    print(f"{kills} kills in {searches} searches of {seconds:.0f} s")


@pytest.mark.slow
def test_a_trial_that_takes_too_much_memory_is_one_outcome_among_others(recipe: TrainConfig, tmp_path: Path):
    settings = SearchConfig(search=("alpha=1.0,1000.0",), tuner="grid", memory_mb=1500)
    search = tune(recipe, tmp_path / "search", settings)
    assert {o.values["alpha"]: o.status for o in search.outcomes} == {1.0: "completed", 1000.0: "out_of_memory"}
    assert "at most 1,500 MB. Received: " in search.outcomes[1].reason


@pytest.mark.slow
def test_a_killed_trial_is_one_outcome_among_others(recipe: TrainConfig, tmp_path: Path):
    recipe = dataclasses.replace(recipe, epochs=40)
    arguments = [*COMMAND, str(plan_file(tmp_path, recipe)), "--search", "learning_rate=0.02,0.05", "--max-trials", "2"]
    process = subprocess.Popen([*arguments, "--output", str(tmp_path / "search")])
    trial = tmp_path / "search" / TRIALS / "0000"
    while not (trial / "run/history.csv").is_file():
        assert process.poll() is None
        time.sleep(0.1)
    victims = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(trial).encode() in _read(p)]
    os.kill(int(victims[0].parent.name), signal.SIGKILL)
    assert process.wait() == 0
    first, second = Search.open(tmp_path / "search").outcomes
    assert (first.status, second.status) == ("killed", "completed") and "SIGKILL" in first.reason


@pytest.mark.proof
def test_hyperband_trains_the_best_trials_on(recipe: TrainConfig, tmp_path: Path):
    recipe = dataclasses.replace(recipe, epochs=4)
    settings = SearchConfig(search=("learning_rate=0.01,0.02,0.05,0.1", "batch_size=4,8,16"), tuner="hyperband")
    search = tune(recipe, tmp_path / "search", settings)
    by_trial = {o.trial: o for o in search.outcomes}
    continued = [o for o in search.outcomes if o.values.get("tuner/trial_id")]
    assert continued
    for outcome in continued:
        earlier = by_trial[outcome.values["tuner/trial_id"]]
        assert outcome.epochs > earlier.epochs == outcome.values["tuner/initial_epoch"]
        rows, before = (
            (tmp_path / "search" / TRIALS / o.trial / "run/history.csv").read_text().splitlines()
            for o in (outcome, earlier)
        )
        assert rows[: len(before)] == before
    assert search.best and search.best.epochs == 4
    run = train(search.recipe(), tmp_path / "run")
    assert run.read_json("metrics.json")["validation_accuracy"] == search.best.accuracy


@pytest.mark.slow
def test_workers_and_a_chief_share_a_search_on_loopback(recipe: TrainConfig, tmp_path: Path):
    settings = SearchConfig(search=("learning_rate=0.02,0.05,0.1", "batch_size=4,8,16"), max_trials=4)
    search = tune(recipe, tmp_path / "search", settings, workers=2)
    events = [json.loads(line) for line in (search.folder / "journal.jsonl").read_text().splitlines()]
    begun = [event for event in events if event["call"] == "create_trial" and event["status"] == "RUNNING"]
    ended = [event["trial"] for event in events if event["call"] == "end_trial"]
    assert sorted(event["trial"] for event in begun) == sorted(ended) == [o.trial for o in search.outcomes]
    assert len(ended) == 4 and {event["tuner"] for event in begun} == {"worker0", "worker1"}
    assert all(o.status == "completed" for o in search.outcomes)
    assert len({str(o.values) for o in search.outcomes}) == 4


@pytest.mark.slow
def test_latency_and_size_are_measured_before_training_and_the_best_recipe_trains_to_its_accuracy(
    recipe: TrainConfig, tmp_path: Path
):
    settings = SearchConfig(search=("alpha=1.0,16.0",), tuner="grid", limits={"size_mb": 0.2, "latency_ms": 1000.0})
    search = tune(recipe, tmp_path / "search", settings)
    small, large = search.outcomes
    assert small.status == "completed" and small.size_mb < 0.2 and small.latency_ms > 0
    assert large.status == "rejected" and large.size_mb > 0.2 and large.epochs == 0
    assert "size_mb must be at most 0.20 MB. Received:" in large.reason
    run = train(load_recipe(str(search.write_best(tmp_path / "best.json"))), tmp_path / "run")
    assert run.read_json("metrics.json")["validation_accuracy"] == search.best.accuracy == small.accuracy


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--limits", "parameters=10"], "A space must hold candidates to train. Received: 200 draws"),
        (["--search", "depth"], "A searched dimension must be one of network, alpha"),
        (["--search", "stem=wide"], "stem must be one of imagenet, low_resolution. Received: 'wide'"),
        (["--limits", "weight=3"], "A limit must be on one of accuracy, parameters"),
        (["--resume", "{folder}/none"], "A search's folder holds search.json. Received:"),
        (["--resume", "{folder}/other", "--max-trials", "3"], "keeps its own plan. Received: --resume"),
        (["--resume", "{folder}/run"], "A search's folder holds search.json. Received:"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path, capfd: Any):
    from keras_inception.cli import main

    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text(tiny_config().to_json())
    given = [argument.format(folder=tmp_path) for argument in arguments]
    more = [] if "--resume" in given else ["--search", "alpha=0.1,0.2", "--output", str(tmp_path / "new")]
    assert main(["tune", "digits", *more, *given]) == 1
    output = capfd.readouterr().err.strip()
    assert sentence in output and output.count("\n") == 0
    assert not (tmp_path / "new").exists()


def test_a_port_in_use_is_one_sentence(recipe: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name, value in ((ID, "chief"), (HOST, "127.0.0.1"), (PORT, str(taken.getsockname()[1]))):
            monkeypatch.setenv(name, value)
        with pytest.raises(ValueError, match=r"The chief's address must be free. Received: 127.0.0.1:\d+ \(Address"):
            tune(recipe, tmp_path / "search", SearchConfig(search=("batch_size=4,8",)))
    monkeypatch.delenv(HOST)
    with pytest.raises(ValueError, match=f"sets {ID}, {HOST} and {PORT}. Received: no {HOST}"):
        resume_tuning(tmp_path / "search")


def test_one_search_at_a_time(recipe: TrainConfig, tmp_path: Path):
    from filelock import FileLock

    from keras_inception.training.tuning.settings import SearchPlan

    (tmp_path / "search").mkdir()
    (tmp_path / "search/search.json").write_text(SearchPlan(SearchConfig(), recipe).to_json())
    with (
        FileLock(tmp_path / "search/.lock"),
        pytest.raises(ValueError, match="one place at a time. Received: .*in use"),
    ):
        resume_tuning(tmp_path / "search")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
