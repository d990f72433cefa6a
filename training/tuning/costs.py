"""What a network costs: counted without making a single weight; on a phone, measured before a step is trained.

For the latter this is the one place where training looks into the room of exports: at its public API, and no more.
"""

import dataclasses
import functools
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

import keras_inception as ki
from keras_inception import weights

from ..config import MAIN_HEAD, ModelConfig, TrainConfig
from ..data.sources import open_splits
from ..engine.network import build_model
from ..files import write_text
from ..pipeline.preparing import evaluation_batches

MEASURES = "measures.json"
_CALIBRATION_IMAGES = 64
_RUNS = 50


@dataclass(frozen=True)
class Costs:
    """What a deployed network costs: auxiliary heads not counted."""

    parameters: int
    """Trainable weights, biases and batch norms among them, as in the registry."""
    multiply_adds: int
    """Multiply-adds of its convolutions and dense layers for one image."""


def network_costs(config: TrainConfig, classes: int) -> Costs:
    """Counts the parameters and multiply-adds of the network that a configuration trains.

    The network, its auxiliary heads included, is put together symbolically: what this accepts `build_model` accepts,
    but no weight is made or read.

    Args:
        config: A training configuration; only its `model` counts.
        classes: Number of classes.

    Returns:
        The costs of the network for one image of `model.image_size`.

    Raises:
        ValueError: The network does not exist, or does not take its size or one of its options.
    """
    rows = _table(_plain(config), classes)
    return Costs(sum(row.parameters for row in rows), sum(row.multiply_adds or 0 for row in rows))


def block_names(config: TrainConfig) -> list[str]:
    """Names the blocks with weights of the network that a configuration trains, its classifier's last."""
    return [row.name for row in _table(_plain(config), 2) if row.parameters]


def _plain(config: TrainConfig) -> str:
    """The network alone, as JSON: what a cache can be asked for."""
    settings = config.model
    options = {**_released_options(settings), **settings.options}
    plain = dataclasses.replace(settings, weights="", unfreeze_from="", batch_norm="trainable", options=options)
    return TrainConfig(model=plain).to_json()


@functools.lru_cache(maxsize=4096)
def _table(config: str, classes: int) -> list[ki.BlockRow]:
    # Keras keeps its state by thread, the list of variables to make at a scope's end among it: with the thread goes all
    # that was noted of a network whose variables are never made, and the caller's own state stays as it was.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_read, TrainConfig.from_json(config), classes).result()


def _read(config: TrainConfig, classes: int) -> list[ki.BlockRow]:
    with keras.StatelessScope(initialize_variables=False):
        model = build_model(config, classes)
        if isinstance(model.output, dict):
            model = keras.Model(model.input, model.output[MAIN_HEAD])
    return ki.block_table(model)


def _released_options(settings: ModelConfig) -> dict[str, bool | int | float | str]:
    """The builder's keywords that a released weight set brings along; none for a file of weights."""
    found = {entry.tag: entry for entry in weights.list_weights(settings.name)} if settings.weights else {}
    return dict(found[settings.weights].arguments) if settings.weights in found else {}


def tflite_costs(folder: Path, config: TrainConfig, mode: str) -> tuple[float, float]:
    """Measures the TFLite file of a network; what its weights will be changes neither figure to speak of.

    The figures are kept in the trial's folder, so that a trial that goes on is not measured twice.

    Returns:
        The size in megabytes, and the median latency for one image on one thread of this machine, in milliseconds.
    """
    known = folder / MEASURES
    if not known.is_file():
        write_text(known, json.dumps(_measure(folder, config, mode)) + "\n")
    size, latency = json.loads(known.read_text(encoding="utf-8"))
    return size, latency


def _measure(folder: Path, config: TrainConfig, mode: str) -> tuple[float, float]:
    import keras_inception.tflite as mobile

    splits = open_splits(config)
    batches = evaluation_batches(splits.train, config, 1).take(_CALIBRATION_IMAGES)
    calibration = [pixels for pixels, _ in batches.as_numpy_iterator()]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = tflite_file(Path(place) / "export", config, len(splits.class_names), mode, calibration)
        (timing,) = mobile.benchmark([file], threads=1, runs=_RUNS)
        return round(file.stat().st_size / 1e6, 4), round(timing.median_ms, 4)


def tflite_file(folder: Path, config: TrainConfig, classes: int, mode: str, calibration: Any) -> Path:
    """Writes a network's TFLite file to be weighed and timed; for that the quickest way of rounding will do."""
    import keras_inception.tflite as mobile

    mobile.export(
        build_model(config, classes),
        folder,
        modes=(mode,),
        saved_model=False,
        calibration=calibration,
        rounding="nearest",
    )
    return folder / f"model_{mode}.tflite"
