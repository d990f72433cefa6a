"""Batch norms and updates of weights as single kernels: what Keras's own compute, of layers that stay Keras's."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import config, tiny_registered

from keras_inception.training.config import OptimizerConfig
from keras_inception.training.engine.batch_norm import can_be_fused, fused_batch_norms, normalise
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.optimizer import make_optimizer
from keras_inception.training.engine.trainer import make_trainer
from keras_inception.training.engine.updates import fused_updates

LIMITS = {"float32": 1e-5, "mixed_bfloat16": 1e-3, "mixed_float16": 1e-4}
STEPS = 5


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """The tiny network, while the tests of this file run."""
    with tiny_registered():
        yield


def batch_norm(shape=(None, 4, 4, 3), **options):
    layer = keras.layers.BatchNormalization(momentum=0.9, **options)
    layer.build(shape)
    return layer


def step_of(layer, inputs, weights):
    """Outputs, gradients of inputs and weights, and moving statistics after a step from the layer's beginning."""
    layer.moving_mean.assign(tf.zeros_like(layer.moving_mean))
    layer.moving_variance.assign(tf.ones_like(layer.moving_variance))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(tf.cast(outputs * weights, "float32"))
    gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
    assert outputs.dtype == layer.compute_dtype
    return [np.asarray(value, "float32") for value in (outputs, *gradients, layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (4, 5, 6, 7)], ids=str)
def test_a_fused_batch_norm_is_kerass(shape, precision, scale, center):
    rng = np.random.default_rng(0)
    layer = batch_norm(shape, scale=scale, center=center, dtype=precision)
    if scale:
        layer.gamma.assign(rng.uniform(0.5, 2, shape[-1]))
    inputs = tf.cast(rng.normal(1, 2, shape), layer.compute_dtype)
    weights = tf.cast(rng.normal(0, 1, shape), layer.compute_dtype)
    expected = step_of(layer, inputs, weights)
    with fused_batch_norms([layer]):
        fused = step_of(layer, inputs, weights)
    for value, keras_value in zip(fused, expected, strict=True):
        atol = LIMITS[precision] * max(1.0, np.abs(keras_value).max())
        np.testing.assert_allclose(value, keras_value, rtol=0, atol=atol)


@pytest.mark.parametrize("channels", [1, 15, 16, 17])
def test_channels_that_fill_the_registers_change_nothing(channels):
    rng = np.random.default_rng(0)
    inputs, upstream = (tf.constant(rng.normal(1, 2, (3, 4, 4, channels)), "float32") for _ in range(2))
    gamma, beta = (tf.constant(rng.uniform(0.5, 2, channels), "float32") for _ in range(2))
    found = []
    for whole_registers in (False, True):
        with tf.GradientTape() as tape:
            tape.watch([inputs, gamma, beta])
            results = normalise(inputs, gamma, beta, 1e-3, whole_registers=whole_registers)
        found.append([*results, *tape.gradient(results[0], [inputs, gamma, beta], upstream)])
    for value, other in zip(*found, strict=True):
        assert value.shape == other.shape
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("precision", "channels", "filled"), [("mixed_bfloat16", 24, 32), ("float32", 24, 24)])
def test_in_bfloat16_registers_are_filled(precision, channels, filled):
    layer = batch_norm((None, 4, 4, channels), dtype=precision)
    with fused_batch_norms([layer]):
        step = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
            tf.TensorSpec((None, 4, 4, channels), layer.compute_dtype)
        )
    (norm,) = [one for one in step.graph.get_operations() if one.type == "FusedBatchNormV3"]
    assert norm.inputs[0].shape[-1] == filled


def test_a_batch_of_unknown_size_has_the_biased_variance_too():
    layer = batch_norm()
    inputs = np.random.default_rng(0).normal(0, 3, (2, 4, 4, 3)).astype("float32")
    with fused_batch_norms([layer]):
        step = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, None, None, 3))])
        step(inputs)
    assert "FusedBatchNormV3" in {operation.type for operation in step.get_concrete_function().graph.get_operations()}
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * inputs.var((0, 1, 2)), rtol=1e-5)


class Own(keras.layers.BatchNormalization):
    """A user's own."""


def frozen():
    layer = batch_norm()
    layer.trainable = False
    return layer


LEFT_TO_KERAS = {
    "frozen": frozen,
    "synchronized": lambda: batch_norm(synchronized=True),
    "renormalised": lambda: batch_norm(renorm=True),
    "channels first": lambda: batch_norm(axis=1),
    "vectors": lambda: batch_norm((None, 3)),
    "float64": lambda: batch_norm(dtype="float64"),
    "weights in bfloat16": lambda: batch_norm(dtype="bfloat16"),
    "a subclass": lambda: Own(),
    "another layer": lambda: keras.layers.LayerNormalization(),
}


@pytest.mark.parametrize("case", LEFT_TO_KERAS)
def test_what_is_left_to_keras(case):
    layer = LEFT_TO_KERAS[case]()
    assert not can_be_fused(layer)
    with fused_batch_norms([layer]):
        assert "call" not in vars(layer)


def test_inference_and_masks_are_kerass_and_layers_are_as_before_afterwards():
    layer = batch_norm()
    inputs, mask = tf.random.stateless_normal((2, 4, 4, 3), (0, 0)), tf.constant([[[True] * 4] * 4, [[False] * 4] * 4])
    expected = layer(inputs), layer(inputs, training=True, mask=mask)
    with pytest.raises(RuntimeError, match="on the way"), fused_batch_norms([layer]):
        layer.moving_mean.assign([0.0] * 3)
        layer.moving_variance.assign([1.0] * 3)
        np.testing.assert_array_equal(layer(inputs), expected[0])
        np.testing.assert_array_equal(layer(inputs, training=True, mask=mask), expected[1])
        raise RuntimeError("on the way")
    assert "call" not in vars(layer)


OPTIMIZERS = {
    "sgd": OptimizerConfig(name="sgd", momentum=0.9, nesterov=True, weight_decay=0.01, clip_norm=0.1),
    "rmsprop": OptimizerConfig(name="rmsprop", momentum=0.9, weight_decay=0.01),
    "adamw": OptimizerConfig(name="adamw", learning_rate=0.01, weight_decay=0.1, accumulate_steps=2, clip_norm=0.1),
}
LEFT = {
    "without momentum": OptimizerConfig(name="sgd", momentum=0.0),
    "layer by layer": OptimizerConfig(name="sgd", momentum=0.9, layer_decay=0.5),
}
KERNELS = {"sgd": "KerasMomentum", "rmsprop": "RMSProp", "adamw": "Adam"}


def trained(plain, optimizer, precision="float32"):
    """Weights and state after some steps of a network, of `Trainer` or of Keras's own model."""
    settings = dataclasses.replace(config(precision=precision), optimizer=optimizer)
    keras.utils.set_random_seed(0)
    network, objective = build_model(settings, 10), make_objective(settings, 10)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    if plain:
        model = keras.Model(network.input, network.output)
        kerass = make_optimizer(settings, network, 3)
        model.compile(optimizer=kerass, auto_scale_loss=False, jit_compile=False, **objective.compile_arguments())
        kerass.build(model.trainable_variables)
    else:
        model = make_trainer(settings, network, objective, 3)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        targets = objective.for_heads(np.eye(10, dtype="float32")[rng.integers(0, 10, 16)])
        model.train_on_batch(rng.uniform(0, 255, (16, *network.input_shape[1:])).astype("float32"), targets)
    assert not {"_backend_update_step", "_apply_weight_decay"} & vars(model.optimizer).keys()
    return [np.asarray(variable) for variable in (*network.weights, *model.optimizer.variables)]


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_a_trainers_steps_are_those_of_keras(case):
    for value, expected in zip(*(trained(plain, OPTIMIZERS[case]) for plain in (False, True)), strict=True):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("case", [*KERNELS, *LEFT])
def test_updates_are_kernels_where_there_is_one_below_a_loss_scale_too(case, precision):
    settings = dataclasses.replace(config(precision=precision), optimizer=(OPTIMIZERS | LEFT)[case])
    network = build_model(settings, 10)
    optimizer = make_optimizer(settings, network, 3)
    optimizer.build(network.trainable_variables)

    @tf.function(autograph=False)
    def step():
        with fused_updates(optimizer):
            optimizer.apply([tf.ones(weight.shape) for weight in network.trainable_variables])

    graph = str(step.get_concrete_function().graph.as_graph_def())
    kernels = graph.count('"ResourceApply')
    if case in LEFT:
        assert kernels == 0
    else:
        assert kernels == graph.count(f'"ResourceApply{KERNELS[case]}"') == len(network.trainable_variables)


@pytest.mark.parametrize("changes", [{}, {"precision": "mixed_bfloat16"}], ids=["float32", "bfloat16"])
def test_a_step_is_traced_once(monkeypatch, changes):
    settings = config(**changes)
    network, objective = build_model(settings, 10), make_objective(settings, 10)
    trainer = make_trainer(settings, network, objective, 3)
    traced = []
    step = trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda data: traced.append(1) or step(data))
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (3, 8, *network.input_shape[1:])).astype("float32")
    labels = rng.integers(0, 10, (3, 8))
    batches = objective.batches(tf.data.Dataset.from_tensor_slices((pixels, labels))).repeat()
    trainer.fit(batches, steps_per_epoch=3, epochs=2, verbose=0, shuffle=False)
    assert traced == [1]


def test_a_network_is_saved_as_keras_knows_it(tmp_path):
    settings = config()
    network, objective = build_model(settings, 10), make_objective(settings, 10)
    trainer = make_trainer(settings, network, objective, 3)
    pixels = np.random.default_rng(0).uniform(0, 255, (8, *network.input_shape[1:])).astype("float32")
    trainer.train_on_batch(pixels, objective.for_heads(np.eye(10, dtype="float32")[:8]))
    network.save(tmp_path / "network.keras")
    assert "keras_inception" not in network.to_json()
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    for head, answers in loaded(pixels).items():
        np.testing.assert_array_equal(answers, network(pixels)[head])
