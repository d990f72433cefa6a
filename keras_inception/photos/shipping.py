"""A run's network as files, with its class names and its way of preparing pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.handles import OpenedModel
    from keras_inception.tflite import Export
    from keras_inception.training import Run

CALIBRATION_IMAGES, PROOF_IMAGES = 256, 512


def export_run(run: Run, folder: Path, **options: Any) -> Export:
    """Exports a run's network, calibrated on some of its training pictures.

    Args:
        run: The run.
        folder: Folder to write.
        **options: Arguments of `tflite.export` that are to be others.
    """
    from keras_inception import tflite

    defaults: dict[str, Any] = {
        "calibration": run.batches("train", count=CALIBRATION_IMAGES),
        "class_names": run.class_names,
        "thresholds": run.thresholds,
        "interpolation": run.config.pipeline.interpolation,
        "central_crop": run.config.pipeline.central_crop,
    }
    return tflite.export(run.model(), folder, **{**defaults, **options})


def export_model(model: OpenedModel, folder: Path, **options: Any) -> Export:
    """Exports a network that was opened, with its class names and its way of preparing pictures.

    Args:
        model: A model that has a network in Keras.
        folder: Folder to write.
        **options: Further arguments of `tflite.export`.
    """
    from keras_inception import tflite

    classes = {"class_names": model.class_names, "thresholds": model.thresholds}
    known: dict[str, Any] = {
        **({} if options.get("output") == "embedding" else classes),
        "preprocessing": model.preprocessing,
        "interpolation": model.fitting.interpolation,
        "central_crop": model.fitting.central_crop,
    }
    return tflite.export(model.keras_model("An export"), folder, **{**known, **options})
