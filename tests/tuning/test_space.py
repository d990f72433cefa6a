"""The search over networks of the family and over how they are trained."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import pytest
from repeats import DRAWS
from training_helpers import tiny_config, write_digits

kt = pytest.importorskip("keras_tuner", reason="the extra `tune` is not installed")

import keras_inception as ki
from keras_inception.training import TrainConfig, load_recipe
from keras_inception.training.config import AugmentConfig
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.tuning import HyperInception, network_costs
from keras_inception.training.tuning.search import draw
from keras_inception.training.tuning.space import PUT, dimensions_of

# Keras Tuner asks for a thread's name in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")

ALL = [name for name in PUT if name != "frozen_depth"]


def declared(space: HyperInception, **values: Any) -> Any:
    """The values where a grid begins, some of them changed."""
    hp = kt.HyperParameters()
    space.declare(hp)
    hp.values.update(values)
    return hp


def check_draws(space: HyperInception, count: int, build_every: int) -> dict[str, int]:
    """Counts networks drawn; every few of those that are not rejected are built."""
    hp, seen = declared(space), {}
    for seed in range(count):
        drawn = draw(hp, seed)
        config, reason = space.config(drawn), space.reject(drawn)
        assert TrainConfig.from_json(config.to_json()) == config
        verdict = f"{config.model.name} {'rejected' if reason else 'fine'}"
        seen[verdict] = seen.get(verdict, 0) + 1
        if reason:
            assert "Received: " in reason and "\n" not in reason
        elif seed % build_every == 0:
            model = build_model(config, space.classes)
            heads = set(model.output) if isinstance(model.output, dict) else {"predictions"}
            assert heads == set(make_objective(config, space.classes).weights)
            keras.utils.clear_session(free_memory=False)
    return seen


def test_random_candidates_are_built_or_rejected_with_a_reason():
    space = HyperInception(tiny_config(), search=ALL, choices={"alpha": [0.1, 0.2], "image_size": [12, 40]})
    seen = check_draws(space, 24, build_every=24)
    assert any(verdict.endswith("fine") for verdict in seen) and any(verdict.endswith("rejected") for verdict in seen)


@pytest.mark.proof
def test_candidates_of_all_networks_are_built_or_rejected_with_a_reason():
    choices = {"network": ki.list_models(), "alpha": [0.1, 0.25], "image_size": [32, 80, 128]}
    colour = dataclasses.replace(tiny_config(), model=dataclasses.replace(tiny_config().model, channels=3))
    space = HyperInception(colour, search=ALL, choices=choices)
    seen = check_draws(space, DRAWS, build_every=100)
    print(seen)
    assert {verdict.split()[0] for verdict in seen if verdict.endswith("fine")} == set(ki.list_models())


def test_values_are_put_where_training_reads_them():
    recipe = tiny_config()
    space = HyperInception(recipe, search=ALL, choices={"network": ["inception_v1", "mobilenet_v2"]})
    values = {
        "network": "inception_v1", "alpha": 0.5, "image_size": 16, "stem": "imagenet", "aux_weight": 0.5,
        "dropout": 0.4, "label_smoothing": 0.2, "learning_rate": 0.05, "optimizer": "adamw", "weight_decay": 1e-4,
        "schedule": "linear", "warmup_epochs": 1.0, "augment": 2.0, "batch_size": 4,
    }  # fmt: skip
    config = space.config(declared(space, **values))
    assert (config.model.alpha, config.model.image_size, config.model.aux_heads) == (0.5, 16, True)
    assert config.model.options == {"stem": "imagenet", "dropout": 0.4}
    assert (config.objective.aux_weight, config.objective.label_smoothing) == (0.5, 0.2)
    assert make_objective(config, 10).weights == {"predictions": 1.0, "aux1": 0.5, "aux2": 0.5}
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == ("adamw", 0.001, 1e-4)
    assert (config.schedule.name, config.schedule.warmup_epochs, config.pipeline.batch_size) == ("linear", 1.0, 4)
    assert config.pipeline.augment == AugmentConfig(crop_padding=4, contrast=0.6, randaugment_magnitude=10.0)
    plain = space.config(declared(space, network="inception_v1", aux_weight=0.0, augment=0.0))
    assert not plain.model.aux_heads and plain.pipeline.augment == AugmentConfig()
    other = space.config(declared(space, network="mobilenet_v2"))
    assert not other.model.aux_heads and other.model.name == "mobilenet_v2"
    config.validate()


def test_a_dimension_is_active_only_where_its_network_has_it():
    choices = {"network": ["inception_v1", "xception"]}
    space = HyperInception(tiny_config(), search=["network", "alpha", "aux_weight", "dropout"], choices=choices)
    hp = declared(space, network="xception")
    active = {parameter.name for parameter in hp.space if hp.is_active(parameter)}
    assert active == {"network", "dropout"}
    assert space.config(hp).model.alpha == 1.0


def test_a_grid_begins_with_the_recipe_itself():
    recipe = load_recipe("digits")
    space = HyperInception(recipe)
    first = space.config(declared(space))
    assert dataclasses.replace(first, objective=recipe.objective) == recipe
    assert make_objective(first, 10).weights == make_objective(recipe, 10).weights


def test_frozen_depth_counts_blocks(shared: Path):
    weights = str(shared / "weights/mobilenet_v2_1.0_224.h5")
    model = dataclasses.replace(load_recipe("finetune").model, weights=weights)
    space = HyperInception(dataclasses.replace(tiny_config(), model=model).resolved(), search=["frozen_depth"])
    found = {
        share: space.config(declared(space, frozen_depth=share)).model.unfreeze_from for share in (0.0, 0.5, 0.9, 1.0)
    }
    assert found == {0.0: "", 0.5: "block10", 0.9: "conv_last", 1.0: "predictions"}


def test_limits_reject_what_costs_too_much():
    recipe = tiny_config()
    free = HyperInception(recipe, search=["alpha"], choices={"alpha": [0.1, 1.0]})
    cost = network_costs(free.config(declared(free, alpha=0.1)), 10).multiply_adds
    space = HyperInception(recipe, search=["alpha"], choices={"alpha": [0.1, 1.0]}, limits={"multiply_adds": cost})
    assert space.reject(declared(space, alpha=0.1)) is None
    assert f"at most {cost:,} multiply-adds. Received: " in str(space.reject(declared(space, alpha=1.0)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"search": ["depth"]}, "A searched dimension must be one of network, alpha, .* Received: 'depth'"),
        ({"search": ["network"], "choices": {"network": ["resnet50"]}}, "The model must be one of .*'resnet50'"),
        ({"search": ["stem"], "choices": {"stem": ["wide"]}}, "stem must be one of imagenet, low_resolution"),
        ({"search": ["alpha"], "choices": {"alpha": []}}, "The choices of alpha must be a list"),
        ({"search": ["frozen_depth"]}, "frozen_depth is searched where a recipe starts from weights"),
        ({"limits": {"weight": 1}}, "A limit must be one of parameters, multiply_adds. Received: 'weight'"),
        ({"recipe": "digit"}, "A recipe is one of .* Did you mean digits"),
    ],
)
def test_bad_input_is_one_sentence(arguments: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        HyperInception(**{"recipe": tiny_config(), **arguments})


def test_a_dimension_that_no_network_has_is_refused():
    model = dataclasses.replace(tiny_config().model, name="xception", alpha=1.0, aux_heads=False)
    recipe = dataclasses.replace(tiny_config(), model=model)
    with pytest.raises(ValueError, match="must be one that a network has. Received: alpha for xception"):
        HyperInception(recipe, search=["alpha"])
    assert "alpha" not in HyperInception(recipe).dimensions


def test_own_values_suit_the_recipe():
    values = dimensions_of(load_recipe("digits"))
    assert values["image_size"] == [12, 16, 20] and values["batch_size"] == [32, 64, 128]
    assert "inception_v4" not in values["network"] and "mobilenet_v2" in values["network"]  # needs 75x75
    assert "resnext50" not in values["network"]  # its preprocessing is for colours


@pytest.mark.parametrize(
    "tuner",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("RandomSearch", "Hyperband") else pytest.mark.proof)
        for name in ("RandomSearch", "BayesianOptimization", "Hyperband", "GridSearch")
    ],
)
def test_stock_tuners_search_it(tuner: str, tmp_path: Path):
    recipe = tiny_config(f"folder:{write_digits(tmp_path / 'data')}")
    choices = {"network": ["inception_v1", "mobilenet_v2"], "batch_size": [4, 8]}
    space = HyperInception(recipe, search=["network", "aux_weight", "batch_size"], choices=choices)
    size = {"max_epochs": 2, "factor": 2} if tuner == "Hyperband" else {"max_trials": 2}
    search = getattr(kt, tuner)(
        space, objective=kt.Objective("val_predictions_accuracy", "max"), directory=tmp_path / "stock", seed=1, **size
    )
    search.search(verbose=0, **({} if tuner == "Hyperband" else {"epochs": 1}))
    trials = search.oracle.get_best_trials(2)
    assert len(trials) == 2 and all(0 <= trial.score <= 1 for trial in trials)
    assert space.config(search.get_best_hyperparameters()[0]).model.name in choices["network"]
