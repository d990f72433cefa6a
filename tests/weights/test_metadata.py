"""What files of ours say of themselves: kept by every conversion, and believed only as far as it can be."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from foreign import write_safetensors
from safetensors.numpy import save_file

import keras_inception as ki
from keras_inception import numerics as n
from keras_inception import weights
from keras_inception.weights import WeightsError

SMALL = {"alpha": 0.25, "input_shape": (32, 32, 3)}


@pytest.fixture(scope="module")
def silent(tmp_path_factory) -> Path:
    """A file of five classes that says nothing of its network."""
    path = tmp_path_factory.mktemp("silent") / "silent.h5"
    weights.save_weights(ki.MobileNetV1(**SMALL, classes=5), path)
    return path


@pytest.mark.parametrize("to", ["safetensors", "h5"])
@pytest.mark.parametrize("numerics", [None, n.TORCH])
def test_a_converted_file_says_what_its_caller_knew(silent: Path, tmp_path: Path, to: str, numerics):
    first, second = tmp_path / f"first.{to}", tmp_path / f"second.{to}"
    labels = ["ant", "bee", "cat", "dog", "elk"]
    arguments = SMALL | {"classes": 5, "numerics": numerics}
    weights.convert(silent, first, network="mobilenet_v1", labels=labels, **arguments)
    weights.convert(first, second)
    model, found = weights.build(second)
    known = found.weight_set
    assert (known.network, known.arguments, known.classes) == ("mobilenet_v1", {"alpha": 0.25}, 5)
    assert known.labels == tuple(labels)
    assert known.numerics == numerics
    assert known.preprocessing.size == 32
    assert model.output_shape == (None, 5)
    assert model.input_shape == (None, 32, 32, 3)
    expected = ki.MobileNetV1(**SMALL, classes=5, numerics=numerics, weights=silent)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(expected(images)))
    with pytest.raises(ValueError, match=r"need alpha=0.25. Received: alpha=1.0"):
        ki.MobileNetV1(weights=second)
    with pytest.raises(ValueError, match="are for 5 classes"):
        ki.MobileNetV1(weights=second, **SMALL)


def test_labels_name_every_class(silent: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="5 of them. Received: 2"):
        weights.convert(silent, tmp_path / "x.h5", network="mobilenet_v1", labels=["a", "b"], classes=5, **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_file_without_a_network_asks_for_it(silent: Path):
    with pytest.raises(ValueError, match="network=, or --model of the command"):
        weights.build(silent)


def test_weights_of_another_network_do_not_get_its_name(tmp_path: Path):
    model = ki.MobileNetV1(**SMALL)
    with pytest.raises(ValueError, match="is for InceptionV1. Received: a model with the layer 'block1_"):
        weights.save_weights(model, tmp_path / "lie.h5", source=weights.get_weights("slim/inception_v1"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["w.txt", "w", "w.keras"])
def test_the_name_of_a_file_tells_its_format(silent: Path, tmp_path: Path, name: str):
    model = ki.MobileNetV1(**SMALL, classes=5)
    with pytest.raises(ValueError, match=r"ends in \.safetensors, \.h5, \.hdf5"):
        weights.save_weights(model, tmp_path / name)
    weights.save_weights(model, tmp_path / name, "h5")
    assert h5py.is_hdf5(tmp_path / name)


def told(**changes) -> dict[str, str]:
    """The metadata of a file of ours, with some of it changed."""
    good = {
        "format": "keras-inception",
        "network": "inception_v1",
        "arguments": "{}",
        "numerics": "null",
        "preprocessing": "{}",
        "licence": "",
        "url": "",
    }
    return good | {name: value if isinstance(value, str) else json.dumps(value) for name, value in changes.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"bogus": 1}},
        {"arguments": {"alpha": "wide"}},
        {"arguments": {"alpha": True}},
        {"arguments": {"variant": 3}},
        {"arguments": [1]},
        {"arguments": "[" * 100_000},
        {"network": "no_network"},
        {"numerics": {"epsilon": "small"}},
        {"numerics": {"padding": "other"}},
        {"numerics": {"surprise": 1}},
        {"preprocessing": {"size": "big"}},
        {"preprocessing": {"size": 10**6}},
        {"preprocessing": {"crop": 0}},
        {"preprocessing": {"mean": [1, 2]}},
        {"labels": ["one"]},
        {"labels": {"a": 1}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_metadata_that_cannot_be_is_refused_with_a_sentence(changes: dict, tmp_path: Path):
    save_file({"conv1_conv/kernel": np.zeros((7, 7, 3, 64), "float32")}, tmp_path / "own.safetensors", told(**changes))
    with pytest.raises(WeightsError, match="which does not: ") as caught:
        weights.build(tmp_path / "own.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [{"alpha": 12.0}, {"alpha": 100.0}])
def test_a_small_file_does_not_get_a_large_network(arguments: dict, tmp_path: Path, monkeypatch):
    path = tmp_path / "own.safetensors"
    save_file({"conv1_conv/kernel": np.zeros((1,), "float32")}, path, told(arguments=arguments))
    made = []
    monkeypatch.setattr("keras.Variable._initialize", lambda self, value: made.append(self.path))
    with pytest.raises(WeightsError, match="has the shape|Every weight of the model needs"):
        weights.build(path)
    assert not made


def test_a_form_that_was_never_released_is_built_all_the_same(tmp_path: Path):
    foreign = tmp_path / "foreign.safetensors"
    model = ki.MobileNetV1(alpha=0.1, input_shape=(32, 32, 3), classes=3)
    write_safetensors(foreign, {v.path: np.asarray(v) for v in model.weights})
    weights.convert(foreign, tmp_path / "own.h5", network="mobilenet_v1", alpha=0.1, input_shape=(32, 32, 3), classes=3)
    again, _ = weights.build(tmp_path / "own.h5")
    np.testing.assert_array_equal(again.get_layer("conv1_conv").kernel, model.get_layer("conv1_conv").kernel)
