"""A simulation computes what its int8 file computes, bit for bit, before and after training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import answer_steps, digits, fit_classifier, take_statistics, tiny

import keras_inception.tflite as kt
from keras_inception.custom_layers import ChannelShuffle

layers = keras.layers


def of_all_kinds() -> keras.Model:
    """Sums, concatenations, both pools with padding, depthwise, separable and grouped convolutions, a shuffle."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))

    def unit(x, filters: int, activation: str = "relu", **options):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, **options)(x)
        return layers.Activation(activation)(layers.BatchNormalization()(x))

    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    x = unit(x, 16, strides=2)
    residual = layers.DepthwiseConv2D(3, padding="same")(x)
    residual = layers.Rescaling(0.3)(layers.Conv2D(16, 1)(residual))
    x = layers.ReLU()(layers.Add()([x, residual]))
    both = layers.Add()([x, unit(x, 16, "linear")])
    x = layers.Concatenate()(
        [
            layers.ReLU()(both),
            layers.AveragePooling2D(3, 1, padding="same")(both),
            layers.MaxPooling2D(3, 1, padding="same")(both),
            layers.SeparableConv2D(16, 3, padding="same")(both),
        ]
    )
    x = unit(layers.ZeroPadding2D(1)(layers.MaxPooling2D(2)(x)), 32, "relu6", groups=4)
    x = ChannelShuffle(4)(x)
    x = layers.GlobalAveragePooling2D()(layers.Dropout(0.1)(unit(x, 32)))
    logits = layers.Dense(10, name="predictions_logits")(x)
    model = keras.Model(pixels, layers.Activation("softmax", name="predictions")(logits), name="all_kinds")
    take_statistics(model)
    first, norm = model.layers[2:4]  # a channel that training left dead, as released networks have them
    kernel, (gamma, beta, mean, variance) = first.get_weights()[0], norm.get_weights()
    kernel[..., 5], beta[5], mean[5], variance[5] = 0, 0.4, 0, 1
    first.set_weights([kernel])
    norm.set_weights([gamma, beta, mean, variance])
    fit_classifier(model)
    return model


@pytest.fixture(scope="module")
def simulation() -> keras.Model:
    return kt.simulate(of_all_kinds(), digits()[0][:64])


def test_a_thousand_images_are_answered_as_by_the_file(simulation: keras.Model, tmp_path: Path):
    images = digits()[0][:1000]
    found, expected = answer_steps(simulation, images, tmp_path / "out")
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 100
    (row,) = kt.Export.open(tmp_path / "out").manifest["files"]
    assert row["float_operators"] == {}
    assert {"ADD", "CONCATENATION", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "MEAN"} <= set(row["operators"])


def test_it_answers_nearly_as_the_network_does(simulation: keras.Model):
    images = digits()[0][200:400].astype("float32")
    network = np.asarray(of_all_kinds()(images))
    answer = np.asarray(simulation(images))
    assert np.corrcoef(network.ravel(), answer.ravel())[0, 1] > 0.99
    assert np.abs(answer - network).max() > 1e-3


def test_training_lowers_the_loss_and_keeps_to_the_file(simulation: keras.Model, tmp_path: Path):
    model = keras.models.clone_model(simulation)
    model.set_weights(simulation.get_weights())
    images, labels = digits()
    pixels, labels = images[:160].astype("float32"), labels[:160]
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(pixels, labels, batch_size=32, epochs=2, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy()
    assert float(loss(labels, model(pixels))) < 0.9 * float(loss(labels, simulation(pixels)))
    for layer in model.layers:
        if getattr(layer, "kernel_trainable", False):
            old = simulation.get_layer(layer.name)
            assert np.abs(np.asarray(layer.kernel) - np.asarray(old.kernel)).max() > 0, layer.name
    found, expected = answer_steps(model, images[:100], tmp_path / "out")
    np.testing.assert_array_equal(found, expected)


def test_the_file_of_a_simulation_is_proven_against_it(simulation: keras.Model, tmp_path: Path):
    images, labels = digits()
    limits = kt.Limits(agreement=1.0, accuracy_loss=0.0)
    export = kt.export(simulation, tmp_path / "out", proof=[(images[:50], labels[:50])], limits=limits)
    assert {entry["mode"] for entry in export.manifest["files"]} == {"saved_model", "int8"}
    assert export.manifest["calibration_images"] == 0
    assert list(export.manifest["files"][1]["float_operators"]) == ["SOFTMAX"]
    rows = {row["mode"]: row for row in json.loads((export.folder / "proof.json").read_text())["rows"]}
    assert rows["int8"]["difference"] < 1e-6
    assert rows["saved_model"]["difference"] < 1e-6


def test_it_is_saved_and_loaded(simulation: keras.Model, tmp_path: Path):
    simulation.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = digits()[0][:8].astype("float32")
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(simulation(images)))


ON_JAX = """
import sys
import keras
import numpy as np
import keras_inception.tflite as kt

folder, images = sys.argv[1], np.load(sys.argv[1] + "/images.npy")
simulation = keras.saving.load_model(folder + "/simulation.keras")
inside = keras.Model(simulation.inputs, [layer.output for layer in simulation.layers[1:-1]])
again = kt.simulate(keras.saving.load_model(folder + "/network.keras"), images[:64])
np.savez(folder + "/answers.npz", *inside.predict(images, verbose=0), again=again.predict(images, verbose=0))
again.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
losses = again.fit(images, np.load(folder + "/labels.npy"), epochs=3, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
"""


@pytest.mark.slow
def test_on_jax_it_is_made_and_trained_and_computes_the_same_integers(simulation: keras.Model, tmp_path: Path):
    pytest.importorskip("jax")
    images, labels = (array[:512] for array in digits())
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    simulation.save(tmp_path / "simulation.keras")
    of_all_kinds().save(tmp_path / "network.keras")
    environment = os.environ | {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", ON_JAX, str(tmp_path)], env=environment, check=True)
    found = np.load(tmp_path / "answers.npz")
    inside = keras.Model(simulation.inputs, [layer.output for layer in simulation.layers[1:-1]])
    for place, expected in enumerate(inside.predict(images, verbose=0)):
        np.testing.assert_array_equal(found[f"arr_{place}"], expected, err_msg=inside.layers[place + 1].name)
    same = found["again"].argmax(axis=1) == simulation.predict(images, verbose=0).argmax(axis=1)
    assert same.mean() > 0.97


def test_pixels_that_padding_does_not_suit_become_floats_first(tmp_path: Path):
    keras.utils.set_random_seed(0)
    colours = keras.Input((32, 32, 3))

    def ending(x) -> keras.Model:
        logits = layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3, strides=2, padding="same")(x)))
        return keras.Model(colours, layers.Softmax(name="predictions")(logits))

    black = ending(layers.Rescaling(1 / 255)(colours))  # what is padded is black: pixel 0, exactly
    means = ending(layers.Rescaling([1 / 60] * 3, [-100 / 60, -110 / 60, -120 / 60])(colours))
    images = digits()[0][:32].repeat(3, -1) // np.array([1, 2, 3], "uint8")
    for name, model, floats in (("black", black, []), ("means", means, ["MUL", "ADD"])):
        made = kt.simulate(model, images, rounding="nearest")
        found, expected = answer_steps(made, images[:20], tmp_path / name)
        np.testing.assert_array_equal(found, expected)
        rows = kt.Export.open(tmp_path / name).manifest["files"]
        assert list(rows[0]["float_operators"]) == floats, name


def test_wrong_use_is_told_in_a_sentence(simulation: keras.Model, tmp_path: Path):
    images = digits()[0][:8]
    with pytest.raises(kt.ExportError, match="simulated once. Received: all_kinds"):
        kt.simulate(simulation, images)
    with pytest.raises(kt.ExportError, match="Received: float32, ONNX"):
        kt.export(simulation, tmp_path / "out", modes=("float32", "int8"), onnx=True)
    with pytest.raises(kt.ExportError, match="'compensated' or 'nearest'. Received: 'up'"):
        kt.simulate(tiny(), images, rounding="up")
    with pytest.raises(kt.ExportError, match="Received"):
        kt.simulate(tiny(), images[:, :16])
    assert not (tmp_path / "out").exists()
