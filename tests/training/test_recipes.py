"""The recipes of the papers: every value that a paper gives, and learning rates at given steps."""

import dataclasses
import inspect
from pathlib import Path

import keras
import pytest

import keras_inception as ki
from keras_inception.cli.training import with_options
from keras_inception.training import list_recipes, load_recipe, recipes
from keras_inception.training.engine.network import build_model, options_of_another
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.optimizer import make_optimizer, make_schedule

IMAGES = 1_281_167
IMAGENET = [name for name in list_recipes() if load_recipe(name).data == "tfds:imagenet2012"]
WEIGHT_SIZE = 10


def steps_per_epoch(config):
    return IMAGES // config.pipeline.batch_size


def test_every_family_has_its_recipe():
    families = {"resnext50" if name.startswith("resnext") else name for name in ki.list_models()}
    assert families == set(IMAGENET)


@pytest.mark.parametrize("name", IMAGENET)
def test_a_recipe_says_where_it_comes_from(name):
    text = (Path(recipes.__file__).parent / f"{name}.py").read_text()
    assert ki.get_entry(name).url in text
    assert f"keras-inception train --recipe {name} --output" in text
    assert "To expect, by the paper" in text
    assert "Deviations:" in text


@pytest.mark.parametrize("name", IMAGENET)
def test_the_network_takes_what_the_recipe_gives_it(name):
    config = load_recipe(name)
    config.validate()
    entry = ki.get_entry(config.model.name)
    assert config.model.image_size == entry.input_size
    assert config.model.aux_heads == bool(entry.aux_heads)
    assert make_objective(config, 1000).weights == {"predictions": 1.0, **entry.aux_heads}
    assert set(config.model.options) <= set(inspect.signature(entry.load_builder()).parameters)


@pytest.mark.parametrize("name", [name for name in list_recipes() if not load_recipe(name).model.weights])
def test_the_network_of_a_recipe_is_built(name):
    config = load_recipe(name)
    with keras.StatelessScope(initialize_variables=False):  # shapes alone: making weights takes most of the time
        model = build_model(config, WEIGHT_SIZE)
    assert model.input_shape == (None, config.model.image_size, config.model.image_size, config.model.channels)


# Recipe: learning rates by epoch, from the papers.
RATES = {
    "inception_v1": {0: 0.0015, 8: 0.0015 * 0.96, 16: 0.0015 * 0.96**2},
    "inception_v2": {0: 0.045, 8: 0.045 * 0.96**6},
    "inception_v3": {0: 0.045, 2: 0.045 * 0.94, 10: 0.045 * 0.94**5, 98: 0.045 * 0.94**49},
    "inception_v4": {0: 0.045, 4: 0.045 * 0.94**2},
    "inception_resnet_v1": {0: 0.045, 4: 0.045 * 0.94**2},
    "inception_resnet_v2": {0: 0.045, 4: 0.045 * 0.94**2},
    "xception": {0: 0.045, 2: 0.045 * 0.94},
    "resnext50": {0: 0.1, 30: 0.01, 60: 0.001, 90: 0.0001},
    "mobilenet_v1": {0: 0.045, 2: 0.045 * 0.94},
    "mobilenet_v2": {0: 0.045, 1: 0.045 * 0.98, 50: 0.045 * 0.98**50},
    "shufflenet": {0: 0.5, 60: 0.375, 120: 0.25, 240: 0.0},
}


@pytest.mark.parametrize("name", IMAGENET)
def test_learning_rates_are_those_of_the_paper(name):
    config = load_recipe(name)
    steps = steps_per_epoch(config)
    rate = make_schedule(config.schedule, config.optimizer.learning_rate, steps, config.epochs)
    for epoch, expected in RATES[name].items():
        assert float(rate(epoch * steps + 10)) == pytest.approx(expected, rel=1e-4, abs=2e-5)
        if config.schedule.name == "exponential" and epoch:
            assert float(rate(epoch * steps - 10)) > expected * 1.01


# Recipe: weight decay, what it spares, moving average, smoothing, steps in all.
SETTINGS = {
    "inception_v1": (2e-4, "vectors", 0.9999, 0.0, 31.0e6),
    "inception_v2": (4e-5, "vectors", 0.9999, 0.0, 6.0e6),
    "inception_v3": (4e-5, "vectors", 0.9999, 0.1, None),
    "inception_v4": (4e-5, "vectors", 0.9999, 0.1, None),
    "inception_resnet_v1": (4e-5, "vectors", 0.9999, 0.1, None),
    "inception_resnet_v2": (4e-5, "vectors", 0.9999, 0.1, None),
    "xception": (1e-5, "vectors", 0.9999, 0.0, None),
    "resnext50": (1e-4, "nothing", None, 0.0, None),
    "mobilenet_v1": (4e-5, "depthwise", 0.9999, 0.0, None),
    "mobilenet_v2": (4e-5, "depthwise", 0.9999, 0.1, None),
    "shufflenet": (4e-5, "vectors", None, 0.0, 3.0e5),
}


@pytest.mark.parametrize("name", IMAGENET)
def test_decay_average_smoothing_and_length_are_those_of_the_paper(name):
    config = load_recipe(name)
    decay, spares, average, smoothing, steps = SETTINGS[name]
    optimizer = config.optimizer
    assert (optimizer.weight_decay, optimizer.decay, optimizer.decay_spares) == (decay, "l2", spares)
    assert (optimizer.ema_momentum, config.objective.label_smoothing) == (average, smoothing)
    if steps:
        assert config.epochs * steps_per_epoch(config) == pytest.approx(steps, rel=2e-3)


@pytest.mark.parametrize("name", list_recipes())
def test_the_optimizer_of_a_recipe_is_made(name):
    config = load_recipe(name)
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    optimizer = make_optimizer(config, small, steps_per_epoch(config))
    kinds = {"sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop, "adamw": keras.optimizers.AdamW}
    assert type(optimizer) is kinds[config.optimizer.name]
    optimizer.build(small.trainable_variables)
    assert float(optimizer.learning_rate) > 0
    if config.optimizer.name == "rmsprop":
        assert (optimizer.rho, optimizer.momentum, optimizer.epsilon) == (0.9, 0.9, 1.0)
    if config.optimizer.name == "sgd":
        assert optimizer.momentum == 0.9
        looks_ahead = {"cifar10", "cifar10_full", "digits", "flowers17", "resnext50", "shufflenet"}
        assert optimizer.nesterov == (name in looks_ahead)
    assert optimizer.global_clipnorm == (2.0 if name == "inception_v3" else None)


def test_recipes_name_values_that_a_command_line_could_change():
    config = load_recipe("inception_v3")
    changed = dataclasses.replace(config, epochs=2, model=dataclasses.replace(config.model, alpha=0.5))
    changed.validate()
    assert changed.recipe == "inception_v3"


def _number(value):
    return f"{value:g}"


def table():
    """The table of docs/recipes.md."""
    head = [
        "recipe", "network", "size", "optimizer", "rate", "schedule", "batch", "epochs", "weight decay", "smoothing",
        "average", "smallest crop",
    ]  # fmt: skip
    rows = [head, ["---"] * 2 + ["--:"] + ["---"] + ["--:"] + ["---"] + ["--:"] * 2 + ["---"] + ["--:"] * 3]
    for name in list_recipes():
        config = load_recipe(name)
        optimizer, schedule = config.optimizer, config.schedule
        fall = {
            "exponential": f"x {_number(schedule.decay_rate)} every {_number(round(schedule.decay_epochs, 2))}",
            "cosine": "cosine",
            "linear": "linear",
        }[schedule.name]
        warmup = f", {_number(schedule.warmup_epochs)} to rise" if schedule.warmup_epochs else ""
        spared = {"vectors": "", "depthwise": ", none on depthwise kernels", "nothing": ", of all weights"}
        kind = "L2 " if optimizer.decay == "l2" else ""
        rows.append([
            f"`{name}`", f"`{config.model.name}`", str(config.model.image_size or "its own"),
            optimizer.name + (", clipped" if optimizer.clip_norm else ""), _number(optimizer.learning_rate),
            fall + warmup, str(config.pipeline.batch_size), str(config.epochs),
            f"{kind}{_number(optimizer.weight_decay)}{spared[optimizer.decay_spares]}",
            _number(config.objective.label_smoothing),
            "–" if optimizer.ema_momentum is None else _number(optimizer.ema_momentum),
            f"{config.pipeline.augment.min_area:.0%}",
        ])  # fmt: skip
    return "\n".join("|" + "|".join(row) + "|" if row[0] == "---" else f"| {' | '.join(row)} |" for row in rows)


def test_the_documented_table_is_that_of_the_configurations():
    page = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
    assert table() in page.read_text(encoding="utf-8"), f"docs/recipes.md's table should be:\n{table()}"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("inception_v1", {"stem": "low_resolution", "dropout": 0.1}),
        ("inception_v4", {"dropout": 0.1}),
        ("inception_cell", {"stem": "half_resolution", "width": 64, "dropout": 0.1}),
    ],
)
def test_another_network_takes_of_a_recipes_options_those_that_it_has(name, kept):
    options = {"stem": "half_resolution", "width": 64, "dropout": 0.1, "variant": "paper"}
    assert options_of_another(name, options) == kept


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "mobilenet_v2"}, {"stem": "low_resolution"}),
        ({"name": "mobilenet_v2", "options": {"dropout": 0.2}}, {"stem": "low_resolution", "dropout": 0.2}),
        ({"options": {"width": 64}}, load_recipe("cifar10").model.options | {"width": 64}),
        ({}, load_recipe("cifar10").model.options),
    ],
    ids=["another network", "with options of its own", "an option", "nothing"],
)
def test_the_command_line_changes_a_recipes_network(changes, expected):
    recipe = load_recipe("cifar10")
    config = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **changes))
    assert with_options(config, recipe).model.options == expected


@pytest.mark.parametrize(
    ("name", "arguments", "heads"),
    [("mobilenet_v2", (), False), ("inception_v3", (), True), ("mobilenet_v2", ("--model.aux-heads",), True)],
)
def test_another_network_gets_a_recipes_auxiliary_heads_where_it_has_some(name, arguments, heads):
    recipe = load_recipe("digits")
    assert recipe.model.aux_heads
    config = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, name=name))
    assert with_options(config, recipe, arguments).model.aux_heads == heads
