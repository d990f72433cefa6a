"""Networks whose answers are decisions of their own, one sigmoid or several: what a proof says of those."""

from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import answers, digits

import keras_inception.tflite as kt
from keras_inception.tflite.pictures.pixels import collect
from keras_inception.tflite.proving.measuring import Yardstick

IMAGES = digits()[0][:200]
layers = keras.layers


def deciding(classes: int, *, seed: int = 0, end: str = "sigmoid", rarely: float = 0.5) -> keras.Model:
    """A network of which each output lies above the threshold on half of the digits, or on fewer."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 1))
    x = layers.Flatten()(layers.AveragePooling2D(8)(layers.Rescaling(1 / 127.5, -1)(pixels)))
    logits = layers.Dense(classes, name="predictions_logits")
    model = keras.Model(pixels, layers.Activation(end, name="predictions")(logits(x)), name="deciding")
    kernel, _ = logits.get_weights()
    kernel = 3 * kernel
    logits.set_weights([kernel, np.zeros(classes)])
    values = answers(keras.Model(pixels, logits.output), IMAGES)
    logits.set_weights([kernel, -np.quantile(values, 1 - rarely, axis=0)])
    return model


def yardstick(model: keras.Model, labels: np.ndarray | None = None) -> Yardstick:
    classes = model.output_shape[-1]
    return Yardstick(model, IMAGES, labels, kt.Limits(), classes=classes, preprocessing=None, output="probabilities")


@pytest.mark.parametrize(("classes", "end"), [(1, "sigmoid"), (1, "linear"), (4, "sigmoid")])
def test_another_network_does_not_pass_and_the_own_one_does(classes: int, end: str, tmp_path: Path):
    model, other = deciding(classes, end=end), deciding(classes, end=end, seed=1)
    decided = answers(model, IMAGES) > (0.5 if end == "sigmoid" else 0)
    labels = decided.astype("int64") if classes > 1 else decided[:, 0].astype("float32")
    kt.export(model, tmp_path / "out", modes="int8", saved_model=False, calibration=IMAGES)
    limits = kt.Limits(agreement=0.95, accuracy_loss=0.05)  # half of the digits lie near the threshold
    proof = kt.verify(model, tmp_path / "out", [(IMAGES, labels)], limits=limits, runs=1)
    assert proof.passed, proof.failures
    keras_row, row = proof.rows
    assert keras_row.accuracy == keras_row.agreement == 1.0
    assert row.accuracy >= row.agreement > 0.95
    proof = kt.verify(other, tmp_path / "out", [(IMAGES, labels)], limits=limits, runs=1)
    assert any("model_int8.tflite must agree on 95.0% of the images" in failure for failure in proof.failures)
    assert proof.rows[0].accuracy < 0.8
    assert proof.rows[1].agreement < 0.8
    if classes == 1:
        assert proof.rows[1].top5_agreement == proof.rows[1].agreement


def test_one_class_of_many_that_changes_sides_is_a_disagreement():
    model = deciding(20)
    measure = yardstick(model)
    changed = answers(model, IMAGES).copy()
    changed[:50, 7] = 1 - changed[:50, 7]
    calls = iter(np.split(changed, [64, 128, 192]))
    found = measure.likeness(lambda batch: next(calls))
    assert found.agreement == 0.75


def test_where_nothing_is_found_the_first_class_counts():
    model = deciding(4, rarely=0.0)
    assert (answers(model, IMAGES) > 0.5).mean() < 0.01
    other = deciding(4, rarely=0.0, seed=1)
    assert yardstick(model).likeness(lambda batch: answers(other, batch)).agreement < 0.7
    assert yardstick(model).own.agreement == 1.0


def test_sigmoids_may_have_one_label_a_picture():
    model = deciding(4)
    labels = answers(model, IMAGES).argmax(1)
    assert yardstick(model, labels).own.accuracy == 1.0


def test_a_softmax_of_one_class_is_no_network_to_prove():
    with pytest.raises(kt.ExportError, match="must end in a sigmoid or a logit.*Received: deciding with 'predictions'"):
        yardstick(deciding(1, end="softmax"))


@pytest.mark.parametrize(
    ("classes", "end", "labels", "message"),
    [
        (1, "sigmoid", np.full(200, 2), "class indices below 2. Received: 2 to 2"),
        (4, "sigmoid", np.full((200, 4), 2), "zeros and ones for each of the 4 classes"),
        (4, "sigmoid", np.ones((200, 3)), r"zeros and ones for each of the 4 classes.*\(200, 3\)"),
        (4, "softmax", np.ones((200, 4)), "Labels must be class indices. Received: an array"),
    ],
)
def test_labels_of_another_kind_are_a_sentence(classes: int, end: str, labels: np.ndarray, message: str):
    with pytest.raises(kt.ExportError, match=message):
        yardstick(deciding(classes, end=end), labels)


def test_labels_of_several_kinds_are_a_sentence():
    for other in (np.ones((3, 4)), np.ones((3, 2))):
        batches = [(IMAGES[:3], np.ones((3, 4)) if other.shape[1] == 2 else np.ones(3)), (IMAGES[:3], other)]
        with pytest.raises(kt.ExportError, match=r"Labels must be of one kind.*Received: batches of shapes \(3,"):
            collect(batches, (32, 32, 1))
