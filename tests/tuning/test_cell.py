"""The search over the Inception module itself."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
from repeats import DRAWS
from training_helpers import tiny_config, write_digits

kt = pytest.importorskip("keras_tuner", reason="the extra `tune` is not installed")

from keras_inception.training import TrainConfig, load_recipe
from keras_inception.training.engine.network import build_model
from keras_inception.training.tuning import HyperInceptionCell, network_costs
from keras_inception.training.tuning.search import draw

BRANCHES = ("branch_1x1", "branch_3x3", "branch_5x5", "branch_pool")
NO_BRANCH = dict.fromkeys(BRANCHES, 0)
SMALL = ("low_resolution", "half_resolution")
OBJECTIVE = kt.Objective("val_predictions_accuracy", "max")
# Keras Tuner asks for a thread's name in an old way.
old_threads = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")


def default(space: HyperInceptionCell, **values) -> kt.HyperParameters:
    """The values where a grid begins, some of them changed."""
    hp = kt.HyperParameters()
    space.declare(hp)
    hp.values.update(values)
    return hp


def check_draws(space: HyperInceptionCell, count: int, build_every: int) -> dict[str, int]:
    """Counts what random candidates are rejected for; every few of the others are built."""
    verdicts: dict[str, int] = {}
    declared = default(space)
    for seed in range(count):
        hp = draw(declared, seed)
        config = space.config(hp)
        assert TrainConfig.from_json(config.to_json()) == config
        reason = space.reject(hp)
        verdict = "fine" if reason is None else reason.partition(" Received: ")[0]
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        if reason is None:
            config.validate()
            if seed % build_every == 0:
                costs, model = network_costs(config, space.classes), build_model(config, space.classes)
                assert list(model.output) == ["predictions", "aux"]
                deployed = keras.Model(model.input, model.output["predictions"])
                counts = [np.prod(weight.shape) for weight in deployed.trainable_weights]
                assert costs.parameters == sum(counts)
                keras.utils.clear_session(free_memory=False)
        else:
            assert " Received: " in reason and "\n" not in reason
    return verdicts


NO_BRANCH_AT_ALL = "A module needs at least one branch: one of branch_1x1, branch_3x3, branch_5x5, branch_pool above 0."


def test_random_candidates_are_built_or_rejected_with_a_reason():
    few = {name: [0, 1] for name in BRANCHES}
    space = HyperInceptionCell(choices={**few, "modules": [1, 2, 3]}, limits={"multiply_adds": 5e6})
    verdicts = check_draws(space, 24, build_every=24)
    limit = "A candidate may have at most 5,000,000 multiply-adds."
    assert verdicts.keys() == {"fine", NO_BRANCH_AT_ALL, limit} and min(verdicts.values()) >= 2, verdicts


@pytest.mark.proof
def test_many_candidates_are_built_or_rejected_with_a_reason():
    verdicts = check_draws(HyperInceptionCell(limits={"multiply_adds": 2e7, "parameters": 4e5}), DRAWS, build_every=25)
    print(verdicts)
    reasons = verdicts.keys() - {"fine"}
    assert verdicts["fine"] > DRAWS / 10 and {reason.partition(" at most ")[0] for reason in reasons} <= {
        NO_BRANCH_AT_ALL,
        "A candidate may have",
    }


def test_a_candidate_is_the_recipe_with_another_network():
    recipe = load_recipe("digits")
    space = HyperInceptionCell("digits")
    config = space.config(default(space, width=96, factorisation="1x7_7x1"))
    assert dataclasses.replace(config, model=recipe.model) == recipe
    assert (config.model.name, config.model.alpha, config.model.aux_heads) == ("inception_cell", 1.0, True)
    assert (config.model.image_size, config.model.channels, config.model.batch_norm_momentum) == (16, 1, 0.9)
    assert config.model.options == {
        "stem": "low_resolution", "width": 96, "modules": 5, "branch_1x1": 2, "branch_3x3": 4, "branch_5x5": 1,
        "branch_pool": 1, "reduction": 0.5, "factorisation": "1x7_7x1", "pool": "max",
    }  # fmt: skip
    again = HyperInceptionCell(config, search=["width"])
    assert again.config(default(again)) == config and again.config(default(again, width=32)) != config


def test_what_depends_on_a_branch_is_active_with_it_alone():
    space = HyperInceptionCell()
    hp = default(space, branch_5x5=0)
    assert not hp.is_active("factorisation") and hp.is_active("pool")
    never = HyperInceptionCell(choices={"branch_pool": [0]})
    assert "pool" not in default(never).values and "factorisation" in default(never).values
    always = HyperInceptionCell(search=["pool"])
    assert default(always).values == {"pool": "max"}


def test_dimensions_of_training_are_searched_where_they_are_named():
    space = HyperInceptionCell(search=["width", "learning_rate", "dropout"], choices={"dropout": [0.1, 0.3]})
    hp = default(space, learning_rate=0.05)
    config = space.config(hp)
    assert list(hp.values) == ["width", "dropout", "learning_rate"]
    assert (config.optimizer.learning_rate, config.model.options["dropout"]) == (0.05, 0.1)


@pytest.mark.parametrize(
    ("size", "stems"), [(16, SMALL[:1]), (32, [*SMALL]), (96, [*SMALL, "imagenet"]), (224, ["imagenet"])]
)
def test_the_stems_are_those_that_the_images_suit(size, stems):
    config = load_recipe("digits")
    space = HyperInceptionCell(
        dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=size, options={}))
    )
    assert space.dimensions["stem"] == list(stems)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (NO_BRANCH, "A module needs at least one branch"),
        ({"stem": "imagenet"}, "InceptionCell needs images of at least 65x65 pixels in this form. Received: "),
        ({"branch_1x1": 500}, "Every branch must get at least one of the module's 64 channels. Received: "),
        ({"modules": 0}, "modules must be a whole number from 1 to 40. Received: modules=0."),
    ],
)  # fmt: skip
def test_a_candidate_that_makes_no_network_is_rejected(values, reason):
    space = HyperInceptionCell()
    hp = default(space, **values)
    assert space.reject(hp).startswith(reason)
    with pytest.raises(kt.errors.FailedTrialError, match=reason):
        space.build(hp)


def test_a_budget_holds_to_the_last_unit():
    free = HyperInceptionCell()
    costs = network_costs(free.config(default(free)), 10)
    for name in ("parameters", "multiply_adds"):
        cost = getattr(costs, name)
        just, short = (HyperInceptionCell(limits={name: limit}) for limit in (cost, cost - 1))
        assert just.reject(default(just)) is None
        assert short.reject(default(short)).endswith(f"Received: {cost:,}")


def test_counting_costs_leaves_keras_as_it_was():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = keras.layers.Dense(1)
    space = HyperInceptionCell()
    network_costs(space.config(default(space, width=48)), 10)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.layers.Dense(1).name == f"{layer.name}_1"
    layer.build((None, 2))  # no variable of the counted network is waiting to be made
    assert layer.kernel.shape == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "digit"}, "Did you mean digits"),
        ({"search": ["widht"]}, "A searched dimension must be one of stem, width, .*batch_size. Received: 'widht'$"),
        ({"choices": {"depth": [1]}}, "A dimension with choices must be one of stem, .*pool. Received: 'depth'$"),
        ({"choices": {"width": []}}, r"The choices of width must be a list of different .* Received: \[\]$"),
        ({"choices": {"width": [8, 8]}}, r"Received: \[8, 8\]$"),
        ({"choices": {"width": [8.0]}}, r"different values of type int. Received: \[8.0\]$"),
        ({"choices": {"pool": "max"}}, "must be a list of different values of type str. Received: 'max'$"),
        ({"choices": {"pool": ["min"]}}, "pool must be one of max, avg. Received: 'min'$"),
        ({"limits": {"flops": 1}}, "A limit must be one of parameters, multiply_adds. Received: 'flops'$"),
        ({"limits": {"parameters": 0}}, "The limit of parameters must be a number greater than 0. Received: 0$"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_is_told_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        HyperInceptionCell(**arguments)


def test_a_recipe_that_starts_from_weights_is_refused():
    config = load_recipe("digits")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, weights="imagenet"))
    with pytest.raises(ValueError, match="starts from random weights. Received: imagenet$"):
        HyperInceptionCell(config)


@old_threads
def test_a_grid_tries_every_combination_once(tmp_path: Path):
    choices = {"branch_5x5": [0, 1], "factorisation": ["5x5", "two_3x3"], "width": [8, 16]}
    space = HyperInceptionCell(search=list(choices), choices=choices)

    class Grid(kt.GridSearch):
        def run_trial(self, trial, *args, **kwargs):
            return {OBJECTIVE.name: float(space.reject(trial.hyperparameters) is None)}

    grid = Grid(space, objective=OBJECTIVE, directory=tmp_path)
    grid.search(verbose=0)
    tried = [tuple(sorted(trial.hyperparameters.values.items())) for trial in grid.oracle.trials.values()]
    assert len(tried) == len(set(tried)) == 2 * (1 + 2)
    assert all(trial.score == 1 for trial in grid.oracle.trials.values())


@pytest.fixture
def tiny_space(tmp_path: Path) -> HyperInceptionCell:
    """A space of small modules on 24 images."""
    config = tiny_config(f"folder:{write_digits(tmp_path / 'digits')}")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, aux_heads=False))
    choices = {"width": [8, 12], "modules": [1], "branch_3x3": [1, 2]}
    return HyperInceptionCell(config, search=list(choices), choices=choices)


@pytest.mark.slow
@old_threads
def test_a_stock_tuner_searches(tiny_space: HyperInceptionCell, tmp_path: Path):
    tuner = kt.RandomSearch(tiny_space, objective=OBJECTIVE, max_trials=2, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert all({"val_loss", "val_predictions_accuracy"} <= trial.metrics.metrics.keys() for trial in trials)
    (best,) = tuner.get_best_models()
    best.save(tmp_path / "best.keras")
    assert keras.models.load_model(tmp_path / "best.keras").output_shape == (None, 3)


@old_threads
def test_rejected_candidates_fail_as_trials(tiny_space: HyperInceptionCell, tmp_path: Path):
    tiny_space.limits = {"parameters": 1}
    tuner = kt.RandomSearch(tiny_space, objective=OBJECTIVE, max_trials=2, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert [trial.status for trial in trials] == ["FAILED"] * 2
    assert all("A candidate may have at most 1 parameters. Received: " in trial.message for trial in trials)


@pytest.mark.slow
@old_threads
def test_hyperband_goes_on_where_a_shorter_trial_ended(tiny_space: HyperInceptionCell, tmp_path: Path):
    model = dataclasses.replace(tiny_space.recipe.model, aux_heads=True)
    tiny_space.recipe = dataclasses.replace(tiny_space.recipe, epochs=4, model=model)
    tuner = kt.Hyperband(tiny_space, objective=OBJECTIVE, max_epochs=4, factor=2, seed=1, directory=tmp_path)
    tuner.search(verbose=0)
    trials = tuner.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert any("tuner/trial_id" in trial.hyperparameters.values for trial in trials)


def test_training_begins_at_the_epoch_that_it_is_told(tiny_space: HyperInceptionCell):
    hp = default(tiny_space)
    model = tiny_space.build(hp)
    assert tiny_space.splits(tiny_space.config(hp)) is tiny_space.splits(tiny_space.config(hp))
    history = tiny_space.fit(hp, model, initial_epoch=1, epochs=2)
    steps = len(tiny_space.splits(tiny_space.recipe).train.labels) // 8
    assert history.epoch == [1] and int(model.optimizer.iterations.numpy()) == 2 * steps
    assert {"val_loss", "val_predictions_accuracy"} <= history.history.keys()


@pytest.mark.parametrize("arguments", [((np.zeros(1),), {}), ((), {"validation_split": 0.1})])
def test_data_of_ones_own_is_refused(arguments):
    positional, keywords = arguments
    space = HyperInceptionCell()
    with pytest.raises(ValueError, match=r"call search\(\) without. Received: (1 by position|validation_split)$"):
        space.fit(default(space), None, *positional, **keywords)
