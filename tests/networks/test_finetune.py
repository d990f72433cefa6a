"""Fine-tuning without the batch-norm trap: what trains, and what batch norms do in training mode."""

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception.finetune import unfreeze

IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32") * 3 + 1
LABELS = np.array([0, 1, 1, 0])


def _network(**kwargs):
    keras.utils.set_random_seed(0)
    arguments = {"alpha": 0.25, "input_shape": (32, 32, 3), "classes": 2, "dropout": 0.0}
    return ki.InceptionV1(**arguments | kwargs)


def _batch_norms(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _statistics(model):
    return [np.array(weight) for layer in _batch_norms(model) for weight in (layer.moving_mean, layer.moving_variance)]


def _fit(model):
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    before = {weight.path: np.array(weight) for weight in model.weights}
    model.fit(IMAGES, LABELS, verbose=0)
    return {
        path for path in before for weight in model.weights if weight.path == path and (before[path] != weight).any()
    }


def test_the_trap_is_there_and_frozen_batch_norms_avoid_it():
    model = _network()
    unfreeze(model, batch_norm="trainable")
    before = _statistics(model)
    plain = np.asarray(model(IMAGES, training=False))
    assert np.abs(np.asarray(model(IMAGES, training=True)) - plain).max() > 1e-3
    assert not any(np.array_equal(new, old) for new, old in zip(_statistics(model), before, strict=True))

    unfreeze(model)
    before = _statistics(model)
    plain = np.asarray(model(IMAGES, training=False))
    np.testing.assert_array_equal(np.asarray(model(IMAGES, training=True)), plain)
    for new, old in zip(_statistics(model), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_training_changes_what_was_unfrozen_and_nothing_else():
    model = _network()
    trained = unfreeze(model, from_layer="inception_5a")
    changed = _fit(model)
    assert changed
    assert changed <= {weight.path for layer in trained for weight in layer.weights}
    assert {path.split("_branch")[0] for path in changed if "branch" in path} == {"inception_5a", "inception_5b"}
    assert not any("_bn/" in path for path in changed)
    assert "predictions_logits/kernel" in changed


def test_batch_norms_train_with_their_block_when_asked():
    model = _network()
    unfreeze(model, from_layer="inception_5b", batch_norm="trainable")
    changed = {path for path in _fit(model) if "_bn/" in path}
    assert {path.split("_branch")[0] for path in changed} == {"inception_5b"}
    assert {path.split("/")[1] for path in changed} == {"beta", "moving_mean", "moving_variance"}


def test_from_layer_may_be_one_layer_and_takes_all_that_reads_it():
    model = _network()
    trained = [layer.name for layer in unfreeze(model, from_layer="inception_5b_branch2_b_3x3")]
    assert trained == ["inception_5b_branch2_b_3x3_conv", "predictions_logits"]


def test_a_head_on_a_frozen_block_stays_frozen():
    model = _network(aux_heads=True, input_shape=(96, 96, 3))
    names = {layer.name for layer in unfreeze(model, from_layer="inception_4d")}
    assert any(name.startswith("aux2") for name in names)
    assert not any(name.startswith("aux1") for name in names)


def test_it_starts_afresh_each_time():
    model = _network()
    everything = len(model.trainable_weights)
    unfreeze(model, from_layer="predictions")
    assert [weight.path for weight in model.trainable_weights] == [
        "predictions_logits/kernel",
        "predictions_logits/bias",
    ]
    model.trainable = False
    unfreeze(model, batch_norm="trainable")
    assert len(model.trainable_weights) == everything


def test_a_network_inside_a_model_is_reached_too():
    backbone = _network(include_top=False, pooling="avg")
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, keras.layers.Dense(2, activation="softmax")])
    unfreeze(model)
    assert not any(layer.trainable for layer in _batch_norms(backbone))
    before = _statistics(backbone)
    changed = _fit(model)
    assert any("conv1" in path for path in changed)
    for new, old in zip(_statistics(backbone), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_network_inside_a_model_follows_the_layer_before_it():
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(3, 1, name="colours")(inputs)
    x = _network(include_top=False, pooling="avg")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="predictions")(x))
    names = [layer.name for layer in unfreeze(model, from_layer="colours")]
    assert names[0] == "colours"
    assert names[-1] == "predictions"
    assert "conv1_conv" in names
    assert [layer.name for layer in unfreeze(model, from_layer="predictions")] == ["predictions"]


def test_a_block_of_a_network_inside_a_model_can_be_named():
    backbone = _network(include_top=False, pooling="avg")
    model = keras.Sequential([backbone, keras.layers.Dense(2, activation="softmax", name="own")])
    names = [layer.name for layer in unfreeze(model, from_layer="inception_5b")]
    assert names[0].startswith("inception_5b")
    assert names[-1] == "own"
    assert {name.partition("_branch")[0] for name in names[:-1]} == {"inception_5b"}
    changed = _fit(model)
    assert changed
    assert not [path for path in changed if "inception_5a" in path or "_bn/" in path]
    with pytest.raises(ValueError, match="Did you mean 'inception_5b'"):
        unfreeze(model, from_layer="inception_5bb")


def test_unknown_names_and_words_are_refused():
    model = _network()
    with pytest.raises(ValueError, match="Received: 'inception_5c'. Did you mean 'inception_5"):
        unfreeze(model, from_layer="inception_5c")
    with pytest.raises(ValueError, match="batch_norm must be one of 'frozen', 'trainable'. Received: batch_norm=True"):
        unfreeze(model, batch_norm=True)
