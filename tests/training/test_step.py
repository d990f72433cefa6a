"""What a training step does beside Keras's: moving average, accumulation, clipping, loss scale."""

import dataclasses

import keras
import numpy as np
import pytest
from killed_training import config, tiny_registered

from keras_inception.training.config import ScheduleConfig
from keras_inception.training.engine.checkpoints import CheckpointFolder, Place, values
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.trainer import make_trainer, steps_per_execution

BATCHES, SIZE = 6, 16


@pytest.fixture(autouse=True)
def tiny():
    """The tiny network, while a test of this file runs."""
    with tiny_registered():
        yield


def batches(seed: int = 0):
    """Random pictures and classes: (pixels [6, 16, 8, 8, 1], targets [6, 16, 10])."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, 255, (BATCHES, SIZE, 8, 8, 1)).astype("float32")
    return pixels, np.eye(10, dtype="float32")[rng.integers(0, 10, (BATCHES, SIZE))]


def trainer_for(optimizer=None, **changes):
    base = config(**changes)
    base = dataclasses.replace(base, optimizer=dataclasses.replace(base.optimizer, **(optimizer or {})))
    keras.utils.set_random_seed(0)
    objective = make_objective(base, 10)
    network = build_model(base, 10)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return network, make_trainer(base, network, objective, steps_per_epoch=BATCHES), objective


def train_on(trainer, objective, pixels, targets):
    return trainer.train_on_batch(pixels, objective.for_heads(targets))


def test_the_average_takes_in_every_weight_and_statistic_as_tensorflow_defines_it():
    network, trainer, objective = trainer_for({"ema_momentum": 0.5})
    expected = [weight.numpy() for weight in network.weights]
    assert any("moving_variance" in weight.path for weight in network.weights)
    for update, (pixels, targets) in enumerate(zip(*batches(), strict=True), start=1):
        train_on(trainer, objective, pixels, targets)
        momentum = min(0.5, (1 + update) / (10 + update))
        expected = [
            average + (1 - momentum) * (weight.numpy() - average)
            for average, weight in zip(expected, network.weights, strict=True)
        ]
    weights = network.get_weights()
    with trainer.average.in_place():
        for average, value in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_allclose(average, value, rtol=1e-5, atol=1e-7)
        assert not np.allclose(network.get_weights()[0], weights[0])
    for weight, before in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_accumulated_batches_make_one_update_and_one_step_of_the_average():
    pixels, targets = batches()
    changes = {"schedule": ScheduleConfig(name="constant")}
    network, trainer, objective = trainer_for({"accumulate_steps": 2}, **changes)
    whole, whole_trainer, _ = trainer_for(**changes)
    for layer in (*network.layers, *whole.layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # statistics of a half are not those of the whole
    start = network.get_weights()
    train_on(trainer, objective, pixels[0], targets[0])
    for weight, before in zip(network.get_weights(), start, strict=True):
        np.testing.assert_array_equal(weight, before)
    train_on(trainer, objective, pixels[1], targets[1])
    train_on(whole_trainer, objective, np.concatenate(pixels[:2]), np.concatenate(targets[:2]))
    assert not np.array_equal(network.get_weights()[0], start[0])
    for weight, other in zip(network.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-6)
    with trainer.average.in_place(), whole_trainer.average.in_place():
        for average, other in zip(network.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(average, other, rtol=1e-4, atol=1e-6)


def test_an_overflow_leaves_the_step_out_and_the_loss_scale_is_saved(tmp_path):
    network, trainer, objective = trainer_for(precision="mixed_float16")
    assert {weight.dtype for weight in network.weights} == {"float32"}
    pixels, targets = batches()
    assert np.isfinite(train_on(trainer, objective, pixels[0], targets[0])[0])
    optimizer = trainer.optimizer
    assert float(optimizer.dynamic_scale) == 2**15
    optimizer.dynamic_scale.assign(2.0**40)
    before, average = network.trainable_variables[0].numpy(), trainer.average.pairs[0][1].numpy()
    train_on(trainer, objective, pixels[1], targets[1])
    assert (float(optimizer.dynamic_scale), int(optimizer.iterations)) == (2.0**39, 1)
    np.testing.assert_array_equal(network.trainable_variables[0].numpy(), before)
    np.testing.assert_array_equal(trainer.average.pairs[0][1].numpy(), average)

    folder = CheckpointFolder(tmp_path, keep=1)
    folder.write(Place(0, 2), values(trainer.state), {})
    for variable in (variable for group in trainer.state.values() for variable in group):
        variable.assign(variable * 0)
    folder.newest().read(trainer.state)
    assert (float(optimizer.dynamic_scale), int(optimizer.iterations)) == (2.0**39, 1)
    np.testing.assert_array_equal(network.trainable_variables[0].numpy(), before)


def test_bfloat16_computes_in_it_and_keeps_weights_and_probabilities_in_float32():
    network, trainer, objective = trainer_for(precision="mixed_bfloat16")
    assert network.get_layer("predictions_logits").compute_dtype == "bfloat16"
    pixels, targets = batches()
    losses = [train_on(trainer, objective, pixels[0], targets[0])[0] for _ in range(8)]
    assert losses[-1] < losses[0]
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert network(pixels[0])["predictions"].dtype == "float32"


@pytest.mark.parametrize(("wanted", "epoch", "taken"), [(1, 10, 1), (4, 10, 2), (5, 10, 5), (16, 10, 10), (4, 13, 1)])
def test_steps_of_one_execution_divide_the_epoch(wanted, epoch, taken):
    assert steps_per_execution(config(steps_per_execution=wanted), epoch) == taken
