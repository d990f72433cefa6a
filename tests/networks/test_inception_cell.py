"""The network of one Inception module, repeated."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception.models.inception_cell import module_counts
from keras_inception.plot import plot
from keras_inception.training import load_recipe

SHAPE = (16, 16, 3)
BRANCHES = ("branch_1x1", "branch_3x3", "branch_5x5", "branch_pool")
NO_BRANCH = dict.fromkeys(BRANCHES, 0)


def cell(**options):
    """A small cell of two modules."""
    small = {"input_shape": SHAPE, "classes": 3, "stem": "low_resolution", "width": 16, "modules": 2}
    return ki.InceptionCell(**{**small, **options})


def convolutions(model, block="inception_3a"):
    """Kernel and filters of a block's convolutions, by the last part of their names."""
    return {
        layer.name.removeprefix(f"{block}_").removesuffix("_conv"): (*layer.kernel_size, layer.filters)
        for layer in model.layers
        if layer.name.startswith(block) and isinstance(layer, keras.layers.Conv2D)
    }


def test_the_cell_is_built_by_name_and_not_listed_among_the_published_networks():
    entry = ki.get_entry("inception_cell")
    assert "inception_cell" not in ki.list_models() and len(ki.list_models()) == 12
    assert not entry.published and all(ki.get_entry(name).published for name in ki.list_models())
    assert "InceptionCell" in dir(ki) and ki.InceptionCell is entry.load_builder()
    model = ki.create_model("inception_cell", input_shape=SHAPE, classes=3, stem="low_resolution", width=8, modules=1)
    assert model.output_shape == (None, 3) and model.name == "inception_cell"
    pixels = np.zeros((1, 2, 2, 3), "float32")
    assert np.array_equal(ki.preprocess_input(pixels, "inception_cell"), ki.preprocess_input(pixels, "inception_v1"))


def test_the_registry_knows_the_costs_of_the_default_cell():
    from keras_inception.training.tuning import network_costs

    config = load_recipe("digits")
    model = dataclasses.replace(
        config.model, name="inception_cell", alpha=1.0, image_size=224, channels=3, options={}, aux_heads=True
    )
    costs, entry = network_costs(dataclasses.replace(config, model=model), 1000), ki.get_entry("inception_cell")
    assert (costs.parameters, costs.multiply_adds) == (entry.parameters, entry.multiply_adds)


@pytest.mark.parametrize(
    ("modules", "counts"),
    [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (4, [1, 2, 1]), (7, [2, 3, 2]), (9, [2, 5, 2]), (40, [9, 22, 9])],
)
def test_stages_share_the_modules_as_googlenets_do(modules, counts):
    assert module_counts(modules) == counts


def test_stages_double_the_width_and_halve_the_size():
    model = cell(modules=4)
    shapes = {row.name: row.output_shape for row in ki.block_table(model)}
    assert list(shapes) == [
        "input", "conv1", "conv2", "inception_3a", "pool3", "inception_4a", "inception_4b", "pool4", "inception_5a",
        "global_pool", "predictions",
    ]  # fmt: skip
    assert shapes["conv2"] == (16, 16, 12)
    assert [shapes[f"inception_{name}"] for name in ("3a", "4b", "5a")] == [(16, 16, 16), (8, 8, 32), (4, 4, 64)]


def test_the_stem_for_imagenet_reduces_eightfold():
    model = cell(stem="imagenet", input_shape=(64, 64, 3))
    assert model.get_layer("inception_3a").output.shape == (None, 8, 8, 16)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {},
            {
                "branch0_a_1x1": (1, 1, 4),
                "branch1_a_1x1": (1, 1, 4),
                "branch1_b_3x3": (3, 3, 8),
                "branch2_a_1x1": (1, 1, 1),
                "branch2_b_5x5": (5, 5, 2),
                "branch3_b_1x1": (1, 1, 2),
            },
        ),
        ({**NO_BRANCH, "branch_1x1": 3}, {"branch0_a_1x1": (1, 1, 16)}),
        ({**NO_BRANCH, "branch_3x3": 1, "reduction": 0}, {"branch0_a_3x3": (3, 3, 16)}),
        ({**NO_BRANCH, "branch_pool": 1}, {"branch0_b_1x1": (1, 1, 16)}),
        (
            {**NO_BRANCH, "branch_5x5": 1, "factorisation": "two_3x3", "reduction": 0.25},
            {"branch0_a_1x1": (1, 1, 4), "branch0_b_3x3": (3, 3, 16), "branch0_c_3x3": (3, 3, 16)},
        ),
        (
            {**NO_BRANCH, "branch_5x5": 1, "factorisation": "1x5_5x1", "reduction": 0},
            {"branch0_a_1x5": (1, 5, 16), "branch0_b_5x1": (5, 1, 16)},
        ),
        (
            {"branch_1x1": 1, "branch_3x3": 0, "branch_5x5": 2, "branch_pool": 0, "factorisation": "1x7_7x1"},
            {
                "branch0_a_1x1": (1, 1, 5),
                "branch1_a_1x1": (1, 1, 6),
                "branch1_b_1x7": (1, 7, 11),
                "branch1_c_7x1": (7, 1, 11),
            },
        ),
        (
            {**NO_BRANCH, "branch_3x3": 1, "alpha": 2.0, "reduction": 1},
            {"branch0_a_1x1": (1, 1, 32), "branch0_b_3x3": (3, 3, 32)},
        ),
    ],
    ids=["googlenet", "1x1", "3x3", "pool", "two_3x3", "1x5", "1x7", "alpha"],
)
def test_the_options_shape_the_module(options, expected):
    assert convolutions(cell(**options)) == expected


@pytest.mark.parametrize(
    ("kind", "layer"), [("max", keras.layers.MaxPooling2D), ("avg", keras.layers.AveragePooling2D)]
)
def test_the_kind_of_pool(kind, layer):
    assert isinstance(cell(pool=kind).get_layer("inception_4a_branch3_a_pool"), layer)


@pytest.mark.parametrize(("modules", "tap"), [(1, "inception_3a"), (4, "inception_4a")])
def test_the_auxiliary_head_reads_the_second_stage(modules, tap):
    model = cell(modules=modules, aux_heads=True, include_preprocessing=True)
    outputs = model(np.full((2, *SHAPE), 100.0, "float32"))
    assert {name: output.shape for name, output in outputs.items()} == {"predictions": (2, 3), "aux": (2, 3)}
    assert model.get_layer("aux_pool").input is model.get_layer(tap).output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NO_BRANCH, "A module needs at least one branch: .*Received: all 0.$"),
        ({"branch_3x3": -1}, "branch_3x3 must be a whole number of at least 0. Received: branch_3x3=-1.$"),
        ({"branch_3x3": 1.5}, "branch_3x3 must be a whole number of at least 0. Received: branch_3x3=1.5.$"),
        ({"branch_1x1": 99}, "at least one of the module's 16 channels. Received: branch_5x5=1 of 105.$"),
        ({"width": 0}, "width must be a whole number from 1 to 4096. Received: width=0.$"),
        ({"width": True}, "width must be a whole number from 1 to 4096. Received: width=True.$"),
        ({"modules": 41}, "modules must be a whole number from 1 to 40. Received: modules=41.$"),
        ({"reduction": float("nan")}, "reduction must be a number from 0 to 4. Received: reduction=nan.$"),
        ({"factorisation": "7x7"}, "factorisation must be one of '5x5', .*Received: factorisation='7x7'.$"),
        ({"pool": "min"}, "pool must be one of 'max', 'avg'. Received: pool='min'.$"),
        ({"stem": "none"}, "stem must be one of 'imagenet', 'half_resolution', 'low_resolution'. Received"),
        ({"modules": 3, "input_shape": (7, 7, 3)}, "needs images of at least 8x8 pixels in this form."),
        ({"stem": "imagenet"}, "needs images of at least 16x16 pixels in this form."),
        ({"input_shape": (8, 8, 3), "aux_heads": True}, "needs images of at least 9x9 pixels in this form."),
        ({"weights": "imagenet"}, "none were released for InceptionCell. Received: weights='imagenet'.$"),
    ],
)
def test_bad_input_is_told_in_a_sentence(options, message):
    if "input_shape" not in options and options.get("stem") == "imagenet":
        options = {**options, "input_shape": (15, 15, 3)}
    with pytest.raises(ValueError, match=message) as error:
        cell(**options)
    assert "\n" not in str(error.value)


def test_dropout_may_be_left_to_the_cell():
    with keras.StatelessScope(initialize_variables=False):
        models = [ki.InceptionCell(**kwargs) for kwargs in ({}, {"dropout": None})]
    assert [layer.name for layer in models[0].layers] == [layer.name for layer in models[1].layers]


def test_the_smallest_images_suffice():
    assert cell(modules=3, input_shape=(8, 8, 3)).get_layer("inception_5a").output.shape[1:3] == (2, 2)
    assert cell(modules=2, input_shape=(9, 9, 3), aux_heads=True).get_layer("aux_pool").output.shape[1:3] == (1, 1)
    assert cell(modules=1, input_shape=(5, 5, 3), aux_heads=True).get_layer("aux_pool").output.shape[1:3] == (1, 1)


def test_a_saved_cell_gives_the_same_and_is_drawn(tmp_path: Path):
    model = cell(factorisation="1x7_7x1", pool="avg")
    model.save(tmp_path / "cell.keras")
    loaded = keras.models.load_model(tmp_path / "cell.keras")
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE)).astype("float32")
    assert np.array_equal(model(images), loaded(images))
    assert [row.name for row in ki.block_table(loaded)] == [row.name for row in ki.block_table(model)]
    assert "inception_4a" in plot(loaded, tmp_path / "cell.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_cell_is_exported_as_the_other_networks_are(tmp_path: Path):
    import keras_inception.tflite as mobile

    model = cell(factorisation="1x5_5x1", pool="avg", include_preprocessing=True, aux_heads=True)
    pixels = np.random.default_rng(0).integers(0, 256, (8, *SHAPE)).astype("uint8")
    export = mobile.export(model, tmp_path / "export", calibration=list(pixels[:, None]), modes=("float32", "int8"))
    proof = mobile.verify(model, export.folder, [(pixels.astype("float32"), np.zeros(8, int))])
    rows = {row.mode: row for row in proof.rows}
    assert rows.keys() == {"keras", "saved_model", "float32", "int8"}
    assert max(rows["float32"].difference, rows["saved_model"].difference) < 1e-4
    assert not rows["int8"].custom_operators
