"""What a stranger's photographs get where nothing more is said: the recipe, the size, the blocks that train."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

import keras_inception as ki
from keras_inception.cli.common import recipe_in
from keras_inception.training.config import TrainConfig
from keras_inception.training.data.images import ArrayImages
from keras_inception.training.data.sources import Splits
from keras_inception.training.engine.network import last_third
from keras_inception.training.training import _warn_of_lost_detail


@pytest.mark.parametrize(
    ("arguments", "recipe"),
    [
        (["train"], "digits"),
        (["train", "--data", "digits"], "digits"),
        (["train", "--data", "folder:photos"], "finetune"),
        (["train", "--epochs", "3", "--data=tfrecord:packed"], "finetune"),
        (["train", "--data", "folder:photos", "--recipe", "cifar10"], "cifar10"),
        (["lr-find", "--data", "folder:photos"], "finetune"),
        (["tune", "--data", "folder:photos"], "digits"),
        (["tune", "flowers17", "--data", "folder:photos"], "flowers17"),
    ],
)
def test_data_without_a_recipe_is_fine_tuned_on(arguments: list[str], recipe: str):
    assert recipe_in(arguments) == recipe


@pytest.mark.parametrize(("size", "side", "warned"), [(32, 200, True), (32, 100, False), (128, 2000, False)])
def test_photographs_at_the_size_of_stamps_are_warned_of(size, side, warned):
    pixels = np.zeros((4, side, side + 50, 3), np.uint8)
    images = ArrayImages(pixels, np.arange(4) % 2, list("abcd"))
    told = Console(file=io.StringIO(), width=200)
    config = TrainConfig(model=dataclasses.replace(TrainConfig().model, image_size=size))
    _warn_of_lost_detail(config, Splits(images, images, images, ["a", "b"], []), told)
    assert (f"about {side} pixels and the network sees {size}" in told.file.getvalue()) == warned


def test_a_size_of_0_is_the_network_s_own():
    config = TrainConfig(model=dataclasses.replace(TrainConfig().model, name="inception_v3", image_size=0))
    assert config.resolved().model.image_size == 299


@pytest.mark.parametrize(("name", "first"), [("mobilenet_v2", "block14"), ("inception_v3", "mixed_6e")])
def test_auto_unfreezes_the_last_third(name, first):
    model = ki.create_model(name, classes=3, weights=None)
    assert last_third(model, name) == first
