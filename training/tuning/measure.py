"""What a trial's network costs on a phone: its TFLite file, made and timed before a step is trained.

This is the one place where training looks into the room of exports, and it sees no more than that room's public API.
"""

import json
import tempfile
from pathlib import Path

from ..config import TrainConfig
from ..data.sources import open_splits
from ..engine.network import build_model
from ..files import write_text
from ..pipeline.preparing import evaluation_batches

MEASURES = "measures.json"
_CALIBRATION_IMAGES = 64
_RUNS = 50


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
    model = build_model(config, len(splits.class_names))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        export = mobile.export(
            model, Path(place) / "export", modes=(mode,), saved_model=False, calibration=calibration, rounding="nearest"
        )
        file = export.folder / f"model_{mode}.tflite"
        (timing,) = mobile.benchmark([file], threads=1, runs=_RUNS)
        return round(file.stat().st_size / 1e6, 4), round(timing.median_ms, 4)
