"""A run's network as files, with its class names and its way of preparing pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from keras_inception.handles import OpenedModel
    from keras_inception.tflite import Export, Familiarity
    from keras_inception.training import Run

CALIBRATION_IMAGES, PROOF_IMAGES = 256, 512
LEAST_HELD_OUT = 50
"""Fewer validation images set no limit for strangers that is worth its name."""
_FAMILIAR_IMAGES, _PER_CLASS, _HELD_OUT = 2048, 8, 1024


def export_run(
    run: Run, folder: Path, *, unfamiliar: bool = True, score_threshold: float | None = None, **options: Any
) -> Export:
    """Exports a run's network, calibrated on some of its training pictures.

    Args:
        run: The run.
        folder: Folder to write.
        unfamiliar: Whether the files tell strangers, where the run has pictures enough.
        score_threshold: Level of coverage whose threshold mediapipe applies.
        **options: Arguments of `tflite.export` that are to be others.
    """
    from keras_inception import tflite
    from keras_inception.tflite.exporting import check_place

    check_place(folder, options.get("overwrite", False))
    defaults: dict[str, Any] = {
        "calibration": run.batches("train", count=CALIBRATION_IMAGES),
        "class_names": run.class_names,
        "thresholds": run.thresholds,
        "interpolation": run.config.pipeline.interpolation,
        "central_crop": run.config.pipeline.central_crop,
    }
    network = run.model()
    defaults |= _trusting(run, network, unfamiliar, score_threshold)
    return tflite.export(network, folder, **{**defaults, **options})


def export_model(
    model: OpenedModel,
    folder: Path,
    *,
    known: str | None = None,
    unfamiliar: bool = True,
    score_threshold: float | None = None,
    **options: Any,
) -> Export:
    """Exports a network that was opened, with its class names and its way of preparing pictures.

    Args:
        model: A model that has a network in Keras.
        folder: Folder to write.
        known: Labelled pictures of the model's classes that it was not trained on, such as `folder:PATH`: they tell
            what a network that is no run's can be trusted with. A training part, where there is one, may be its own.
        unfamiliar: Whether the files tell strangers, where there are pictures enough.
        score_threshold: Level of coverage whose threshold mediapipe applies.
        **options: Further arguments of `tflite.export`.
    """
    from keras_inception import tflite
    from keras_inception.tflite.exporting import check_place

    check_place(folder, options.get("overwrite", False))
    classes = {"class_names": model.class_names, "thresholds": model.thresholds}
    network = model.keras_model("An export")
    told: dict[str, Any] = {
        **({} if options.get("output") == "embedding" else classes),
        "preprocessing": model.preprocessing,
        "interpolation": model.fitting.interpolation,
        "central_crop": model.fitting.central_crop,
    }
    if known is not None:
        if (
            model.run is not None
            or model.thresholds is not None
            or options.get("output", "probabilities") != "probabilities"
        ):
            raise ValueError(
                "What a model knows is told of probabilities of one label, and of no run, which tells it itself. "
                f"Received: {known} beside {model.handle}"
            )
        told |= _trusting_by(model, network, known, unfamiliar, score_threshold)
    elif model.run is not None and options.get("output") != "embedding":
        told |= _trusting(model.run, network, unfamiliar, score_threshold)
    elif score_threshold is not None:
        raise ValueError(
            "A level of coverage is told by pictures that the network was not trained on: those of a run, or --known. "
            f"Received: {model.handle} without any"
        )
    return tflite.export(network, folder, **{**told, **options})


def _trusting_by(
    model: OpenedModel, network: keras.Model, data: str, unfamiliar: bool, score_threshold: float | None
) -> dict[str, Any]:
    """The same for any network, by labelled pictures."""
    import numpy as np

    from keras_inception import tflite, training
    from keras_inception.handles.images import known_images
    from keras_inception.tflite.network.familiarity import ends_dense

    count = max(_FAMILIAR_IMAGES, _PER_CLASS * len(model.class_names))
    images, others = known_images(model, data, count, _HELD_OUT)
    held_out = list(others)
    answers = np.concatenate([model(pixels.astype(np.uint8)) for pixels, _ in held_out])
    labels = np.concatenate([classes for _, classes in held_out])
    told: dict[str, Any] = {
        "trust": tflite.Trust(training.coverage_thresholds(answers, labels), score_threshold),
        "familiarity": None,
    }
    if unfamiliar and len(labels) >= LEAST_HELD_OUT and ends_dense(network):
        told["familiarity"] = tflite.familiarity(network, images, held_out, preprocessing=model.preprocessing)
    return told


def _trusting(run: Run, network: keras.Model, unfamiliar: bool, score_threshold: float | None) -> dict[str, Any]:
    """What lets an export say how far its answers can be trusted: arguments of `tflite.export`."""
    from keras_inception import tflite

    if run.several:
        if score_threshold is not None:
            raise ValueError(f"A level of coverage is of one label an image. Received: several in {run.folder}")
        return {}
    trust = tflite.Trust(run.coverage, score_threshold, run.temperature)
    return {"trust": trust, "familiarity": familiarity_of(run, network) if unfamiliar else None}


def familiarity_of(run: Run, model: keras.Model) -> Familiarity | None:
    """What lets a run's network tell strangers.

    None where pictures have several labels, where fewer than `LEAST_HELD_OUT` validation pictures could set the limit,
    and where no dense layer ends the network.
    """
    from keras_inception import tflite
    from keras_inception.tflite.network.familiarity import ends_dense

    if run.several or len(run.splits.validation.labels) < LEAST_HELD_OUT or not ends_dense(model):
        return None
    count = max(_FAMILIAR_IMAGES, _PER_CLASS * len(run.class_names))
    return tflite.familiarity(model, run.batches("train", count=count), run.batches("validation", count=_HELD_OUT))
