"""What the trunks cost on a device: the int8 file of each, made, weighed and timed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception import tflite
from keras_inception.photos.choosing import Costs
from keras_inception.training.config import TrainConfig
from keras_inception.training.files import read_json, write_text
from keras_inception.training.tuning.costs import tflite_file

COSTS = "costs.json"
_PICTURES, _RUNS = 4, 30  # what is in the pictures changes neither figure


def measure(
    folder: Path,
    configs: dict[str, TrainConfig],
    classes: int,
    threads: int | None,
    track: Callable[[Sequence[str]], Any] = iter,
) -> dict[str, Costs]:
    """Measures the int8 files of networks in turns; what is known from an earlier call is not measured again.

    Args:
        folder: Where the figures are kept.
        configs: The networks, by name.
        classes: How many classes they tell apart.
        threads: Threads of LiteRT; None: as many as there are cores.
        track: Given the names, yields them; a place for a progress bar.

    Returns:
        The costs by name.
    """
    path = folder / COSTS
    known = read_json(path) if path.is_file() else {}
    keys = {name: f"{name}, {classes} classes, {threads or 'all'} threads" for name in configs}
    lacking = [name for name in configs if keys[name] not in known]
    if lacking:
        with tempfile.TemporaryDirectory() as place:
            files = {name: _int8_file(Path(place) / name, configs[name], classes) for name in track(lacking)}
            for timing in tflite.benchmark(files, threads=threads, runs=_RUNS):
                size = files[timing.name].stat().st_size / 1e6
                known[keys[timing.name]] = {"latency_ms": round(timing.median_ms, 3), "size_mb": round(size, 3)}
        write_text(path, json.dumps(known, indent=2) + "\n")
    return {name: Costs(**known[keys[name]]) for name in configs}


def _int8_file(folder: Path, config: TrainConfig, classes: int) -> Path:
    size = config.model.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (_PICTURES, size, size, 3), dtype=np.uint8)
    return tflite_file(folder, config, classes, "int8", pixels)
