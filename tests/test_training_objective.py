"""Losses and their weights, optimizers, schedules, and the dtype policy of a run."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from training_helpers import tiny_config

import keras_inception as ki
from keras_inception.training.config import ObjectiveConfig, OptimizerConfig, ScheduleConfig
from keras_inception.training.objective import build_model, make_objective
from keras_inception.training.schedules import make_optimizer, make_schedule


def compiled(config, classes=10, steps_per_epoch=4, **how):
    model = build_model(config, classes)
    objective = make_objective(config, classes)
    model.compile(make_optimizer(config, model, steps_per_epoch), **objective.compile_arguments(), **how)
    return model, objective


def random_batch(config, count=4):
    generator = np.random.default_rng(0)
    size = config.model.image_size
    return generator.integers(0, 256, (count, size, size, 1)).astype(np.float32), np.arange(count)


def cross_entropy(probabilities, labels, smoothing):
    classes = probabilities.shape[1]
    targets = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    return float(-(targets * np.log(probabilities)).sum(axis=1).mean())


def test_the_loss_is_the_weighted_sum_over_the_named_heads():
    config = tiny_config(objective=ObjectiveConfig(label_smoothing=0.1))
    model, objective = compiled(config)
    weights = ki.get_entry("inception_v1").aux_heads
    assert objective.weights == {"predictions": 1.0, **weights}
    images, labels = random_batch(config)
    outputs = model.predict(images, verbose=0)
    expected = sum(
        weight * cross_entropy(outputs[head].astype(np.float64), labels, 0.1)
        for head, weight in objective.weights.items()
    )
    logs = model.evaluate(images, objective.targets(labels), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    assert {"predictions_accuracy", "aux1_accuracy", "aux2_accuracy"} <= set(logs)


def test_without_auxiliary_heads_logs_keep_their_names():
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, aux_heads=False))
    model, objective = compiled(config)
    images, labels = random_batch(config)
    logs = model.evaluate(images, objective.targets(labels), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "predictions_accuracy"}


def test_the_model_takes_the_configured_shape_and_momentum():
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, batch_norm_momentum=0.8))
    model = build_model(config, 7)
    assert model.input_shape == (None, 12, 12, 1)
    assert model.output["predictions"].shape == (None, 7)
    momenta = {layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert momenta == {0.8}


def test_an_option_that_the_network_does_not_take_is_refused_in_one_sentence():
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, options={"groups": 3}))
    with pytest.raises(ValueError, match="must take the options it is given. Received: .*groups"):
        build_model(config, 10)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_weight_decay_shrinks_kernels_alone(name):
    config = tiny_config(
        optimizer=OptimizerConfig(name=name, learning_rate=0.5, momentum=0.0, weight_decay=0.1),
        schedule=ScheduleConfig(name="constant"),
    )
    model = build_model(config, 10)
    optimizer = make_optimizer(config, model, 4)
    variables = model.trainable_variables
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    optimizer.apply([keras.ops.zeros_like(variable) for variable in variables], variables)
    spared = decayed = 0
    for variable, old in zip(variables, before, strict=True):
        new = keras.ops.convert_to_numpy(variable)
        if len(variable.shape) > 1:
            np.testing.assert_allclose(new, old * 0.95, rtol=1e-5, atol=1e-8)
            decayed += 1
        else:
            np.testing.assert_array_equal(new, old)
            spared += 1
    assert spared
    assert decayed


def test_cosine_rises_to_its_peak_and_falls_to_the_end():
    rate = make_schedule(ScheduleConfig("cosine", warmup_epochs=2, final_share=0.1), 0.5, steps_per_epoch=5, epochs=12)
    values = [float(rate(step)) for step in range(61)]
    assert values[0] == pytest.approx(0.05)
    assert values[9] == values[10] == pytest.approx(0.5)
    assert values[35] == pytest.approx(0.5 * (0.9 * 0.5 * (1 + math.cos(math.pi / 2)) + 0.1))
    assert values[60] == pytest.approx(0.05)


def test_exponential_falls_in_stairs():
    rate = make_schedule(
        ScheduleConfig("exponential", decay_rate=0.9, decay_epochs=2), 1.0, steps_per_epoch=3, epochs=9
    )
    assert [float(rate(step)) for step in (0, 5, 6, 11, 12)] == pytest.approx([1, 1, 0.9, 0.9, 0.81])


def test_a_warm_up_survives_saving():
    rate = make_schedule(ScheduleConfig("cosine", warmup_epochs=1), 0.3, steps_per_epoch=4, epochs=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert [float(again(step)) for step in range(13)] == [float(rate(step)) for step in range(13)]


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_one_step_in_each_precision(precision):
    config = tiny_config(precision=precision)
    model, objective = compiled(config, run_eagerly=True)  # tracing would take the most of a minute
    assert keras.config.dtype_policy().name == "float32"
    assert model.get_layer("inception_4a").compute_dtype == precision.removeprefix("mixed_")
    assert {output.dtype for output in model.output.values()} == {"float32"}
    scaled = type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert scaled == (precision == "mixed_float16")
    images, labels = random_batch(config, 8)
    logs = model.train_on_batch(images, objective.targets(labels), return_dict=True)
    assert np.isfinite(logs["loss"])
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
