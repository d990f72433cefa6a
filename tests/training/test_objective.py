"""Losses and their weights, optimizers, schedules, and the dtype policy of a run."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_helpers import tiny_config

import keras_inception as ki
from keras_inception.training.config import ObjectiveConfig, OptimizerConfig, ScheduleConfig
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.optimizer import make_optimizer, make_schedule


def compiled(config, classes=10, steps_per_epoch=4):
    model = build_model(config, classes)
    objective = make_objective(config, classes)
    # Tracing takes longer than the one step of a test.
    model.compile(make_optimizer(config, model, steps_per_epoch), **objective.compile_arguments(), run_eagerly=True)
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
    outputs = {head: np.asarray(output) for head, output in model(images, training=False).items()}
    expected = sum(
        weight * cross_entropy(outputs[head].astype(np.float64), labels, 0.1)
        for head, weight in objective.weights.items()
    )
    logs = model.evaluate(images, objective.targets(labels), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)
    assert {"predictions_accuracy", "aux1_accuracy", "aux2_accuracy"} <= set(logs)


def test_the_cross_entropy_of_the_predictions_weighs_images_alike_where_the_last_batch_is_smaller():
    config = tiny_config(objective=ObjectiveConfig(label_smoothing=0.1))
    model, objective = compiled(config)
    images, labels = random_batch(config, count=5)
    expected = cross_entropy(np.asarray(model(images)["predictions"]).astype(np.float64), labels, 0.1)
    data = tf.data.Dataset.from_tensor_slices((images, objective.targets(labels))).batch(4)
    logs = model.evaluate(data, verbose=0, return_dict=True)
    assert logs["predictions_cross_entropy"] == pytest.approx(expected, rel=1e-5)


def test_without_auxiliary_heads_logs_keep_their_names():
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, aux_heads=False))
    model, objective = compiled(config)
    images, labels = random_batch(config)
    logs = model.evaluate(images, objective.targets(labels), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "predictions_accuracy", "predictions_cross_entropy"}


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


def trained_a_step(optimizer_config, network="inception_v1"):
    """A network's kernels, biases and depthwise kernels before and after a step whose data give no gradient."""
    config = tiny_config(optimizer=optimizer_config, schedule=ScheduleConfig(name="constant"))
    config = dataclasses.replace(
        config, model=dataclasses.replace(config.model, name=network, aux_heads=False, image_size=16)
    )
    model, _ = compiled(config)
    model.compile(model.optimizer, lambda targets, outputs: 0.0 * keras.ops.sum(outputs, axis=-1), run_eagerly=True)
    before = {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}
    images, _ = random_batch(config)
    model.train_on_batch(images, np.zeros((4, 10), np.float32))
    return before, {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}


@pytest.mark.parametrize("spares", ["vectors", "depthwise", "nothing"])
def test_l2_shrinks_what_is_not_spared_by_its_gradient(spares):
    """Plain SGD: w - rate * decay * w."""
    settings = OptimizerConfig(
        "sgd", learning_rate=0.5, momentum=0.0, weight_decay=0.1, decay="l2", decay_spares=spares
    )
    before, after = trained_a_step(settings, "mobilenet_v1")
    kinds = set()
    for path, old in before.items():
        kind = "vector" if old.ndim == 1 else "depthwise" if "depthwise" in path else "kernel"
        decays = {"vectors": kind != "vector", "depthwise": kind == "kernel", "nothing": True}[spares]
        np.testing.assert_allclose(after[path], old * 0.95 if decays else old, rtol=1e-5, atol=1e-8, err_msg=path)
        kinds.add(kind)
    assert kinds == {"vector", "depthwise", "kernel"}


def test_the_penalty_is_not_saved_with_the_network(tmp_path):
    config = tiny_config(optimizer=OptimizerConfig(weight_decay=0.1, decay="l2"))
    model = build_model(config, 10)
    kernels = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables if len(v.shape) > 1]
    total = sum(float(loss) for loss in model.losses)
    assert total == pytest.approx(0.05 * sum(float((kernel**2).sum()) for kernel in kernels), rel=1e-4)
    model.save(tmp_path / "model.keras")
    assert not keras.saving.load_model(tmp_path / "model.keras").losses


def test_linear_falls_evenly_to_the_end():
    rate = make_schedule(ScheduleConfig("linear", warmup_epochs=1), 0.5, steps_per_epoch=4, epochs=11)
    assert [float(rate(step)) for step in (3, 4, 24, 44)] == pytest.approx([0.5, 0.5, 0.25, 0.0], abs=1e-7)


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
    model, objective = compiled(config)
    assert keras.config.dtype_policy().name == "float32"
    assert model.get_layer("inception_4a").compute_dtype == precision.removeprefix("mixed_")
    assert {output.dtype for output in model.output.values()} == {"float32"}
    scaled = type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert scaled == (precision == "mixed_float16")
    images, labels = random_batch(config, 8)
    logs = model.train_on_batch(images, objective.targets(labels), return_dict=True)
    assert np.isfinite(logs["loss"])
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
