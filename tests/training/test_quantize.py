"""Quantisation-aware runs: a trained network trains on as what its int8 file computes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from killed_training import config
from repeats import REPEATS
from resumed_runs import assert_same, train_and_kill
from tflite_helpers import answer_steps
from training_helpers import tiny_config, write_digits

from keras_inception.integers import is_simulation
from keras_inception.tflite import export
from keras_inception.training import Run, TrainConfig, load_recipe, resume, train
from keras_inception.training.engine.quantization import build_simulation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One module, trained on twenty-four digits of three classes."""
    folder = tmp_path_factory.mktemp("quantize")
    to_train = tiny_config(f"folder:{write_digits(folder / 'digits')}")
    model = dataclasses.replace(
        to_train.model,
        name="inception_cell",
        alpha=1.0,
        aux_heads=False,
        options={"stem": "low_resolution", "modules": 1, "width": 16},
    )
    return train(dataclasses.replace(to_train, model=model), folder / "trained", stop_after=1)


def quantizing(run: Run, **changes: object) -> TrainConfig:
    recipe = load_recipe("quantize")
    pipeline = dataclasses.replace(recipe.pipeline, batch_size=8)
    model = dataclasses.replace(recipe.model, weights=str(run.folder))
    return dataclasses.replace(recipe, **{"data": run.config.data, "model": model, "pipeline": pipeline, **changes})


@pytest.fixture(scope="module")
def quantized(trained: Run) -> Run:
    to_train = quantizing(trained)
    return train(to_train, trained.folder.parent / "quantized", stop_after=to_train.epochs)


def test_a_run_is_the_simulation_of_the_one_that_it_started_from(trained: Run, quantized: Run, tmp_path: Path):
    model = quantized.model()
    assert is_simulation(model)
    assert quantized.config.model.name == "inception_cell"
    assert quantized.config.objective.teacher == str(trained.folder)
    pixels = np.concatenate([pixels for pixels, _ in trained.batches("train")])
    expected, answer = (np.asarray(network(pixels)) for network in (trained.model(), model))
    assert np.abs(answer - expected).max() < 0.1
    found, steps = answer_steps(model, pixels.astype("uint8"), tmp_path / "out")
    np.testing.assert_array_equal(found, steps)


@pytest.mark.slow
def test_a_run_that_paused_ends_in_the_same_bits(trained: Run, quantized: Run, tmp_path: Path):
    train(quantizing(trained), tmp_path / "paused", stop_after=1)
    run = resume(tmp_path / "paused")
    for found, expected in zip(run.model().get_weights(), quantized.model().get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.proof
def test_runs_killed_ten_times_each_end_in_the_same_integers(tiny: None, tmp_path: Path):
    to_train = config(epochs=12)
    to_train = dataclasses.replace(to_train, model=dataclasses.replace(to_train.model, aux_heads=False))
    trained = train(to_train, tmp_path / "trained")
    changes = {
        "quantize": "int8",
        "epochs": 3,
        "model": {"aux_heads": False, "weights": str(trained.folder), "image_size": 0},
        "objective": {"teacher_weight": 0.5, "temperature": 1.0},
        "optimizer": {"name": "adamw", "learning_rate": 1e-3, "ema_momentum": None},
    }
    runs = max(1, REPEATS // 3)
    train_and_kill(tmp_path, runs=runs, kills=10, changes=json.dumps(changes))
    files = []
    for name in ("undisturbed", *map(str, range(runs))):
        assert_same(tmp_path / "undisturbed", tmp_path / name)
        exported = export(
            Run.open(tmp_path / name).model(), tmp_path / f"{name}-export", modes=["int8"], saved_model=False
        )
        files.append(exported.files["int8"].read_bytes())
    assert set(files) == {files[0]}


def test_the_weights_have_moved_and_the_ranges_have_not(quantized: Run):
    before = build_simulation(quantized.config, quantized.splits)
    for layer in quantized.model().layers:
        old = {variable.name: np.asarray(variable) for variable in before.get_layer(layer.name).weights}
        for variable in layer.weights:
            moved = not np.array_equal(np.asarray(variable), old[variable.name])
            assert moved == (variable.name in ("kernel", "bias")), variable.path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"precision": "mixed_bfloat16"}, "With quantize, precision is float32.*'mixed_bfloat16'"),
        ({"calibrate": True}, "With quantize, calibrate is false.*True"),
    ],
)
def test_what_excludes_quantising(trained: Run, tmp_path: Path, changes: dict[str, object], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        train(quantizing(trained, **changes), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_what_is_quantised_must_be_a_trained_network_of_these_classes(trained: Run, tmp_path: Path):
    model = dataclasses.replace(load_recipe("quantize").model, weights="")
    with pytest.raises(ValueError, match=r"model.weights names the network that is quantised. Received: ''"):
        train(quantizing(trained, model=model), tmp_path / "run")
    with pytest.raises(ValueError, match="model.weights must be a run folder.*Received: 'nowhere'"):
        train(quantizing(trained, model=dataclasses.replace(model, weights="nowhere")), tmp_path / "run")
    with pytest.raises(ValueError, match="must know the run's 2 classes"):
        train(quantizing(trained, data=f"folder:{write_digits(tmp_path / 'two', classes=2)}"), tmp_path / "run")
