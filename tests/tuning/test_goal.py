"""What a search is after: how trials rank, which ones count, and the front."""

import dataclasses
import itertools

import pytest

from keras_inception.training.tuning.outcomes import Goal, Outcome, pareto_front, show

GOOD = Outcome(
    "0", "completed", accuracy=0.95, loss=0.2, epochs=10, parameters=300_000, multiply_adds=8_000_000, size_mb=1.5,
    latency_ms=2.0,
)  # fmt: skip


def trial(name: str = "1", **changes: object) -> Outcome:
    return dataclasses.replace(GOOD, trial=name, **changes)


FAILURES = [
    Outcome("9", status, "It broke.") for status in ("rejected", "out_of_memory", "diverged", "killed", "crashed")
]


@pytest.mark.parametrize(
    "goal",
    [
        Goal(limits={"parameters": 500_000}),
        Goal("loss", limits={"parameters": 500_000}),
        Goal("parameters", limits={"latency_ms": 40, "parameters": 10_000_000}),
        Goal("multiply_adds", limits={"accuracy": 0.9}),
        Goal("size_mb", limits={"accuracy": 0.9}),
        Goal("latency_ms", limits={"accuracy": 0.9}),
        Goal(limits={"latency_ms": 50.0}, weights={"latency_ms": 0.2, "parameters": 0.5}),
    ],
    ids=lambda goal: goal.objective + "-weighed" * bool(goal.weights),
)
def test_whatever_the_aim_good_trials_rank_above_those_beyond_a_limit_and_these_above_failed_ones(goal: Goal):
    """Also where the figure itself is large: a loss of 5, nine million weights, 900 million multiply-adds, 40 ms."""
    poor = trial(accuracy=0.9, loss=5.0, latency_ms=40.0, size_mb=50.0, multiply_adds=900_000_000)
    poor = dataclasses.replace(poor, parameters=9_000_000 if goal.limits.get("parameters") != 500_000 else 400_000)
    slightly = dataclasses.replace(GOOD, accuracy=0.89, parameters=10_100_000, latency_ms=50.5)
    far = dataclasses.replace(GOOD, accuracy=0.001, parameters=900_000_000, latency_ms=5000.0)
    assert goal.meets(GOOD) and goal.meets(poor)
    assert not goal.meets(slightly) and not goal.meets(far)
    scores = [goal.score(outcome) for outcome in (GOOD, poor, slightly, far)]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > 0 > scores[2]
    for failed in FAILURES:
        assert not goal.meets(failed)
        assert goal.score(failed) < scores[-1]


def test_accuracy_alone_is_its_own_score():
    assert Goal().score(GOOD) == 0.95


def test_a_score_ranks_as_the_value_does():
    trials = [trial(str(n), latency_ms=n / 3, loss=n / 7, accuracy=1 - n / 30) for n in range(1, 30)]
    for goal in (Goal("latency_ms"), Goal("loss"), Goal(weights={"latency_ms": 0.4})):
        by_score = sorted(trials, key=goal.score)
        assert by_score == sorted(trials, key=goal.value)
        assert len({goal.score(outcome) for outcome in trials}) == len(trials)


def test_weights_take_their_units_off_accuracy():
    goal = Goal(weights={"parameters": 0.1, "multiply_adds": 0.01, "size_mb": 0.02, "latency_ms": 0.005})
    assert goal.value(GOOD) == pytest.approx(0.95 - 0.1 * 0.3 - 0.01 * 8 - 0.02 * 1.5 - 0.005 * 2)
    assert Goal("multiply_adds").value(GOOD) == -8
    assert Goal("loss").value(GOOD) == -0.2


def test_a_rejected_trial_beyond_a_limit_says_by_how_much_it_is():
    goal = Goal(limits={"parameters": 200_000, "latency_ms": 1.9, "accuracy": 0.9})
    rejected = Outcome("3", "rejected", parameters=300_000)
    assert goal.violation(rejected) == (0.5, "parameters must be at most 0.20 M. Received: 0.30 M")
    assert goal.score(rejected) == -0.5
    share, words = Goal(limits={"accuracy": 0.98}).violation(GOOD)
    assert share == pytest.approx(0.03 / 0.98)
    assert words == "accuracy must be at least 98.00 %. Received: 95.00 %"
    assert Goal(limits={"latency_ms": 2.0}).violation(GOOD) == (0.0, "")


def test_the_best_is_within_limits_and_trained_as_long_as_any():
    goal = Goal(limits={"size_mb": 2.0})
    large, brief = trial("large", accuracy=0.99, size_mb=3.0), trial("brief", accuracy=0.98, epochs=3)
    assert goal.best([large, GOOD, brief, trial("worse", accuracy=0.94), *FAILURES]) is GOOD
    assert goal.best([large, *FAILURES]) is None
    assert goal.best([]) is None


def test_the_front_of_a_known_case():
    points = {
        "a": (1, 0.80),
        "b": (2, 0.80),
        "c": (2, 0.90),
        "d": (3, 0.85),
        "e": (4, 0.95),
        "f": (4, 0.95),
        "g": (9, 0.95),
    }
    trials = [trial(name, latency_ms=float(cost), accuracy=accuracy) for name, (cost, accuracy) in points.items()]
    unknown = trial("u", latency_ms=None, accuracy=1.0)
    for order in itertools.islice(itertools.permutations(trials), 0, None, 97):
        names = [outcome.trial for outcome in pareto_front([*order, unknown, *FAILURES], "latency_ms")]
        assert names in (["a", "c", "e"], ["a", "c", "f"])  # e and f are equals
    assert pareto_front(FAILURES, "latency_ms") == []


def test_an_outcome_comes_back_as_it_was_written(tmp_path):
    assert Outcome.read(tmp_path) is None
    outcome = trial(values={"alpha": 0.5, "stem": "low_resolution", "flip": True, "weights": None})
    outcome.write(tmp_path)
    assert Outcome.read(tmp_path) == outcome


def test_figures_are_shown_with_their_units():
    shown = [show(name, getattr(GOOD, name)) for name in ("accuracy", "loss", "parameters", "multiply_adds")]
    assert shown == ["95.00 %", "0.2000", "0.30 M", "8.00 M"]
    assert [show("size_mb", 1.5), show("latency_ms", 2)] == ["1.50 MB", "2.00 ms"]
    assert show("multiply_adds", 4e9) == "4,000.00 M"


@pytest.mark.parametrize(
    ("arguments", "rule", "received"),
    [
        ({"objective": "speed"}, "The objective must be one of accuracy, loss", "'speed'"),
        ({"limits": {"speed": 1}}, "A limit must be on one of accuracy, parameters", "'speed'"),
        ({"limits": {"loss": 1}}, "A limit must be on one of", "'loss'"),
        ({"limits": {"size_mb": 0}}, "A limit must be a number above 0", "size_mb=0"),
        ({"limits": {"size_mb": -1.5}}, "A limit must be a number above 0", "size_mb=-1.5"),
        ({"limits": {"size_mb": float("nan")}}, "A limit must be a number above 0", "size_mb=nan"),
        ({"limits": {"size_mb": float("inf")}}, "A limit must be a number above 0", "size_mb=inf"),
        ({"limits": {"size_mb": "six"}}, "A limit must be a number above 0", "size_mb=six"),
        ({"limits": {"size_mb": True}}, "A limit must be a number above 0", "size_mb=True"),
        ({"limits": {"accuracy": 98}}, "A limit on accuracy must be at most 1", "98"),
        ({"weights": {"accuracy": 1}}, "A weight must be on one of parameters", "'accuracy'"),
        ({"weights": {"latency_ms": 0}}, "A weight must be a number above 0", "latency_ms=0"),
        ({"objective": "loss", "weights": {"latency_ms": 1}}, "Weights reduce the objective accuracy", "loss"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_in_one_sentence(arguments, rule, received):
    with pytest.raises(ValueError, match=f"^{rule}") as caught:
        Goal(**arguments)
    message = str(caught.value)
    assert message.count("Received: ") == 1 and message.endswith(received) and "\n" not in message
