"""Learning rates that fall from block to block: which block has which, and that an update is what it should be."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from killed_training import config, tiny_registered

import keras_inception as ki
from keras_inception.training.config import OptimizerConfig, ScheduleConfig, TrainConfig
from keras_inception.training.engine.checkpoints import CheckpointFolder, Place, values
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.optimizer import make_optimizer, rate_shares
from keras_inception.training.engine.trainer import make_trainer

RATE, DECAY, SHARES = 0.5, 0.01, (0.25, 0.25, 0.5, 1.0, 1.0)


def small_network():
    """Two blocks and a classifier: kernels of 6, 8 and 6 weights, a bias of the first block and one of the last."""
    layers = keras.layers
    image = keras.Input((2,))
    x = layers.Dense(3, name="block1")(image)
    x = layers.Dense(4, use_bias=False, name="block2")(layers.ReLU(name="relu")(x))
    logits = layers.Dense(2, name="predictions_logits")(x)
    return keras.Model(image, layers.Activation("softmax", name="predictions")(logits))


def updates_of(name, gradients, weights):
    """Changes of the weights as the papers' formulas give them, by hand: Nesterov, RMSprop with momentum, AdamW."""
    weights = [weight.astype(np.float64) for weight in weights]
    m, v = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    for step, of_step in enumerate(gradients, start=1):
        for i, (gradient, share) in enumerate(zip(of_step, SHARES, strict=True)):
            rate = RATE * share
            if weights[i].ndim > 1:
                weights[i] = weights[i] - rate * DECAY * weights[i]
            if name == "sgd":
                m[i] = 0.9 * m[i] - rate * gradient
                change = 0.9 * m[i] - rate * gradient
            elif name == "rmsprop":
                v[i] = 0.8 * v[i] + 0.2 * gradient**2
                m[i] = 0.9 * m[i] + rate * gradient / np.sqrt(v[i] + 1.0)
                change = -m[i]
            else:
                m[i] = 0.9 * m[i] + 0.1 * gradient
                v[i] = 0.999 * v[i] + 0.001 * gradient**2
                change = -rate * (m[i] / (1 - 0.9**step)) / (np.sqrt(v[i] / (1 - 0.999**step)) + 1e-7)
            weights[i] = weights[i] + change
    return weights


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_updates_are_those_computed_by_hand(name, accumulate):
    keras.utils.set_random_seed(0)
    model = small_network()
    settings = OptimizerConfig(
        name, learning_rate=RATE, rho=0.8, weight_decay=DECAY, layer_decay=0.5, accumulate_steps=accumulate
    )
    optimizer = make_optimizer(
        TrainConfig(optimizer=settings, schedule=ScheduleConfig(name="constant")), model, steps_per_epoch=3
    )
    optimizer.build(model.trainable_variables)
    start = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    rng = np.random.default_rng(0)
    gradients = [[rng.normal(size=weight.shape).astype(np.float32) for weight in start] for _ in range(3)]
    for of_step in gradients:
        for share in ((1.0,), (0.5, 1.5))[accumulate - 1]:  # batches average to the gradient
            optimizer.apply([keras.ops.convert_to_tensor(share * gradient) for gradient in of_step])
    for weight, expected in zip(model.trainable_variables, updates_of(name, gradients, start), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected, rtol=2e-4, atol=2e-6)


def test_clipping_sees_the_gradients_as_they_are():
    model = small_network()
    settings = OptimizerConfig("sgd", RATE, momentum=0.0, layer_decay=0.5, clip_norm=1.0)
    constant = TrainConfig(optimizer=settings, schedule=ScheduleConfig(name="constant"))
    optimizer = make_optimizer(constant, model, steps_per_epoch=1)
    optimizer.build(model.trainable_variables)
    start = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]
    optimizer.apply([keras.ops.ones(weight.shape) for weight in start])
    count = sum(weight.size for weight in start)
    for weight, before, share in zip(model.trainable_variables, start, SHARES, strict=True):
        change = keras.ops.convert_to_numpy(weight) - before
        np.testing.assert_allclose(change, -RATE * share / np.sqrt(count), rtol=1e-4)


def test_blocks_are_those_of_the_summary():
    model = ki.create_model("inception_v1", aux_heads=True, alpha=0.1, classes=3, input_shape=(80, 80, 3))
    shares = rate_shares(model, 0.5)
    by_layer = {layer.name: {shares[id(weight)] for weight in layer.weights} for layer in model.layers if layer.weights}
    assert len(shares) == len(model.weights)
    for name in ("predictions_logits", "aux1_logits", "aux2_logits"):
        assert by_layer[name] == {1.0}
    trunk = [row for row in ki.block_table(model) if row.parameters and row.name not in model.output]
    assert trunk[-1].name == "inception_5b"
    assert trunk[0].name.startswith("conv1")
    for distance, row in enumerate(reversed(trunk), start=1):
        for name in row.layers:
            assert by_layer.get(name, {0.5**distance}) == {0.5**distance}


def test_what_is_frozen_counts_in_the_distance_and_stays():
    model = small_network()
    before = rate_shares(model, 0.5)
    model.get_layer("block2").trainable = False
    assert rate_shares(model, 0.5) == before
    settings = OptimizerConfig("sgd", RATE, weight_decay=DECAY, layer_decay=0.5)
    optimizer = make_optimizer(TrainConfig(optimizer=settings), model, steps_per_epoch=1)
    optimizer.build(model.trainable_variables)
    frozen = keras.ops.convert_to_numpy(model.get_layer("block2").kernel)
    optimizer.apply([keras.ops.ones(weight.shape) for weight in model.trainable_variables])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.get_layer("block2").kernel), frozen)


def test_without_it_the_optimizer_is_keras_s_own():
    for name, kind in (("sgd", "SGD"), ("rmsprop", "RMSprop"), ("adamw", "AdamW")):
        optimizer = make_optimizer(TrainConfig(optimizer=OptimizerConfig(name)), small_network(), 1)
        assert type(optimizer) is getattr(keras.optimizers, kind)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_share_outside_0_to_1_is_refused(value):
    with pytest.raises(ValueError, match=rf"layer_decay must be more than 0 and at most 1. Received: {value}"):
        TrainConfig(optimizer=OptimizerConfig(layer_decay=value)).validate()


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    """With all that an optimizer can be asked for at once."""
    optimizer = OptimizerConfig(
        "adamw", 0.01, weight_decay=0.1, layer_decay=0.7, clip_norm=1.0, accumulate_steps=2, ema_momentum=0.9
    )
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (6, 8, 8, 8, 1)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, (6, 8))]

    def trainer():
        keras.utils.set_random_seed(0)
        settings = dataclasses.replace(config(precision="mixed_float16"), optimizer=optimizer)
        objective = make_objective(settings, 10)
        return make_trainer(settings, build_model(settings, 10), objective, steps_per_epoch=6)

    def train_on(model, steps):
        for step in steps:
            model.train_on_batch(pixels[step], dict.fromkeys(("aux1", "predictions"), targets[step]))

    with tiny_registered():
        whole, first, second = trainer(), trainer(), trainer()
    train_on(whole, range(6))
    train_on(first, range(3))
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.write(Place(0, 3), values(first.state), {})
    folder.newest().read(second.state)
    train_on(second, range(3, 6))
    states = ([*model.variables, *model.optimizer.variables] for model in (whole, second))
    for variable, other in zip(*states, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (variable, other)))


@pytest.mark.slow
def test_the_same_on_jax():
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "by_hand or clipping or frozen or bit_for_bit"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
