"""Configurations and recipes: what they accept, and that they come back from JSON as they went in."""

import dataclasses
import subprocess
import sys

import pytest

from keras_inception.training import TrainConfig, list_recipes, load_recipe
from keras_inception.training.config import AugmentConfig, ModelConfig, PipelineConfig


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_valid_named_after_its_file_and_survives_json(name):
    config = load_recipe(name)
    config.validate()
    assert config.recipe == name
    assert TrainConfig.from_json(config.to_json()) == config


def test_the_recipes_are_those_of_the_folder():
    assert {"cifar10", "digits"} <= set(list_recipes())


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(ValueError, match="Did you mean cifar10"):
        load_recipe("cifar")


def test_json_keeps_option_types():
    options = {"stem": "low_resolution", "naive": True, "dropout": 0.5, "count": 3}
    config = TrainConfig(model=ModelConfig(options=options))
    assert TrainConfig.from_json(config.to_json()).model.options == options
    assert TrainConfig.from_json(config.to_json()).model.options["naive"] is True


def test_absent_fields_take_their_defaults_and_whole_numbers_pass_for_fractions():
    config = TrainConfig.from_json('{"epochs": 3, "optimizer": {"learning_rate": 1}}')
    assert config == dataclasses.replace(
        TrainConfig(), epochs=3, optimizer=dataclasses.replace(TrainConfig().optimizer, learning_rate=1.0)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"epoch": 3}', "Received: epoch$"),
        ('{"pipeline": {"augment": {"flips": true}}}', "pipeline.augment has the fields .* Received: flips$"),
        ('{"epochs": "3"}', "epochs must be int. Received: '3'"),
        ('{"epochs": true}', "epochs must be int. Received: True"),
        ('{"precision": "float16"}', "precision must be one of float32, mixed_float16, mixed_bfloat16"),
        ('{"model": 3}', "model must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("{", "is a JSON object. Received: '{'"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_sentence(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1. Received: 0"),
        (
            {"data": "imagenet"},
            "data must be digits or begin with folder:, csv:, tfds:, hf:, tfrecord:, array:. Received: 'imagenet'",
        ),
        ({"test_data": "digits"}, "test_data must be empty or begin with folder:"),
        ({"model": ModelConfig(channels=4)}, "model.channels must be 1 or 3. Received: 4"),
        (
            {"pipeline": PipelineConfig(balance_classes=True, class_weights={"a": 2.0})},
            "balance_classes and pipeline.class_weights exclude each other",
        ),
        ({"pipeline": PipelineConfig(class_weights={"a": -1.0})}, "class_weights must be at least 0. Received: {'a'"),
        (
            {"model": ModelConfig(channels=1), "pipeline": PipelineConfig(augment=AugmentConfig(hue=0.1))},
            r"augment.hue needs colour images \(model.channels 3\). Received: 0.1 with 1 channel",
        ),
        ({"model": ModelConfig(alpha=0)}, "model.alpha must be more than 0"),
        ({"pipeline": PipelineConfig(validation_share=1)}, "validation_share must be between 0.001 and 0.9"),
        (
            {"pipeline": PipelineConfig(augment=AugmentConfig(crop_padding=224))},
            "must be smaller than model.image_size",
        ),
    ],
)
def test_values_out_of_range_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TrainConfig(), **change).validate()


def test_grey_images_have_no_saturation_to_change():
    config = TrainConfig(model=ModelConfig(channels=1), pipeline=PipelineConfig(augment=AugmentConfig(saturation=0.2)))
    with pytest.raises(ValueError, match="needs colour images"):
        config.validate()


def test_importing_configuration_and_recipes_loads_no_framework():
    program = (
        "import sys, keras_inception.training as t; t.load_recipe('digits').to_json(); "
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
