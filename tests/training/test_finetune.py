"""Training that starts from weights: what is loaded, what trains, what is built in, and what a run needs afterwards."""

import dataclasses

import keras
import numpy as np
import pytest
from training_helpers import tiny_config, write_digits

import keras_inception as ki
from keras_inception import weights
from keras_inception.training import Run, load_recipe, train
from keras_inception.training.config import ModelConfig, TrainConfig
from keras_inception.training.engine.network import build_model

SMALL = ModelConfig(name="mobilenet_v1", alpha=0.25, aux_heads=False, image_size=16, options={"stem": "low_resolution"})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights of a narrow network for five classes."""
    keras.utils.set_random_seed(0)
    model = ki.create_model("mobilenet_v1", alpha=0.25, classes=5, input_shape=(16, 16, 3), stem="low_resolution")
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    weights.save_weights(model, path)
    return path, {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def built(path, classes=3, **changes):
    keras.utils.set_random_seed(1)
    return build_model(TrainConfig(model=dataclasses.replace(SMALL, weights=str(path), **changes)), classes)


def test_the_trunk_is_loaded_and_the_classifier_new(file):
    path, values = file
    model = built(path)
    assert model.output_shape == (None, 3)
    own = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    assert set(own) == set(values)
    for name, value in values.items():
        if "predictions" not in name:
            np.testing.assert_array_equal(own[name], value)
    assert own["predictions_logits/kernel"].shape[1] == 3
    fresh = built(path, classes=5).get_layer("predictions_logits").kernel
    assert not np.array_equal(fresh, values["predictions_logits/kernel"])


@pytest.mark.parametrize(("choice", "trainable"), [("auto", 0), ("frozen", 0), ("trainable", 27)])
def test_batch_norms_are_frozen_unless_asked_otherwise(file, choice, trainable):
    model = built(file[0], batch_norm=choice)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 27
    assert sum(layer.trainable for layer in norms) == trainable


def test_without_weights_batch_norms_learn_as_ever():
    model = built("")
    assert all(layer.trainable for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))


def test_what_trains_is_chosen_by_block(file):
    paths = [variable.path for variable in built(file[0], unfreeze_from="block13").trainable_variables]
    assert {path.split("_")[0] for path in paths} == {"block13", "predictions"}
    assert len(built(file[0], unfreeze_from="predictions").trainable_variables) == 2
    with pytest.raises(ValueError, match="name of a layer or block. Received: 'block99'"):
        built(file[0], unfreeze_from="block99")


def test_auxiliary_heads_start_afresh_on_a_trunk_that_had_none(tmp_path):
    small = {"alpha": 0.1, "input_shape": (16, 16, 3), "stem": "low_resolution"}
    weights.save_weights(ki.create_model("inception_v1", classes=4, **small), tmp_path / "v1.h5")
    settings = ModelConfig("inception_v1", alpha=0.1, image_size=16, options={"stem": "low_resolution"})
    settings = dataclasses.replace(settings, weights=str(tmp_path / "v1.h5"))
    model = build_model(TrainConfig(model=settings), 3)
    assert set(model.output) == {"predictions", "aux1", "aux2"}


def test_preprocessing_and_numerics_of_the_weights_are_built_in(tmp_path):
    """A file of ours that holds torchvision's MobileNet v2 wants ImageNet's mean and deviation, and epsilon 1e-5."""
    known = next(known for known in weights.list_weights("mobilenet_v2") if known.tag.startswith("torchvision"))
    model = ki.create_model("mobilenet_v2", input_shape=(32, 32, 3), numerics=known.numerics)
    weights.save_weights(model, tmp_path / "v2.safetensors", source=known)
    settings = ModelConfig("mobilenet_v2", aux_heads=False, image_size=32, weights=str(tmp_path / "v2.safetensors"))
    network = build_model(TrainConfig(model=settings), 3)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    scaled = network.get_layer("preprocessing")(pixels)
    np.testing.assert_allclose(scaled, ki.preprocess_input(pixels, known.preprocessing), rtol=1e-4, atol=1e-5)
    assert network.get_layer("conv1_bn").epsilon == pytest.approx(1e-5)
    assert built("").get_layer("preprocessing").scale == pytest.approx(1 / 127.5)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("/nowhere/weights.h5", FileNotFoundError, "A file of weights must exist. Received: /nowhere/weights.h5"),
        ("no_such_tag", ValueError, "no_such_tag"),
    ],
)
def test_weights_that_are_not_there_are_refused(source, error, message):
    with pytest.raises(error, match=message):
        built(source)


def test_a_run_does_without_the_file_that_it_started_from(file, tmp_path):
    data = write_digits(tmp_path / "data", classes=3, each=12)
    own = tmp_path / "mine.safetensors"
    own.write_bytes(file[0].read_bytes())
    settings = dataclasses.replace(SMALL, weights=str(own), unfreeze_from="predictions")
    run = train(tiny_config(f"folder:{data}", model=settings), tmp_path / "run")
    assert run.config.model.weights == str(own)
    own.unlink()
    model = Run.open(run.folder).model()
    np.testing.assert_array_equal(model.get_layer("conv1_conv").kernel, file[1]["conv1_conv/kernel"])
    assert (run.folder / "report.html").is_file()


@pytest.mark.proof
def test_six_epochs_of_the_recipe_beat_a_linear_probe(shared, tmp_path):
    recipe = load_recipe("finetune")
    weights_file = shared / "weights" / "mobilenet_v2_1.0_224.h5"
    if not weights_file.is_file():
        pytest.skip(f"no weights at {weights_file}")
    config = dataclasses.replace(
        recipe,
        epochs=6,
        data=f"folder:{shared / 'data' / 'flowers17'}",
        model=dataclasses.replace(recipe.model, weights=str(weights_file)),
    )
    run = train(config, tmp_path / "run")
    assert run.read_json("metrics.json")["test_accuracy"] >= 0.95
