"""A trained model becomes a folder of files that an app can use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_inception.integers import is_simulation

from .atomic import check_target, whole_folder
from .errors import ExportError, quiet
from .files.converting import one_sentence, require_tensorflow
from .files.learning import TrunkMode, learning_file
from .files.metadata import LABELS, About
from .files.modes import MODES, check_modes
from .files.onnx import write_onnx
from .files.saved_model import write_saved_model
from .files.tracing import INPUT, OUTPUTS, SIGNATURE
from .files.trust import Trust
from .folder import (
    FAMILIARITY,
    FORMAT,
    LEARNING,
    MANIFEST,
    ONNX,
    SAVED_MODEL,
    Export,
    check_class_names,
    check_thresholds,
    described,
    strangers,
)
from .network.deploying import EMBEDDING, Output, deploy, folds_in_tensorflow, image_shape, without_unit_length
from .network.familiarity import Familiarity, with_features
from .network.graph import scales_pixels
from .pictures.fitting import Fitting
from .pictures.pixels import calibration_images, collect
from .proving.cosines import yardstick_for
from .proving.limits import Limits
from .proving.measuring import has_decisions
from .proving.trusting import trust_for
from .proving.verification import verify
from .writing import Job, write_file, write_mode


def export(
    model: keras.Model,
    folder: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    thresholds: Sequence[float] | None = None,
    trust: Trust | None = None,
    familiarity: Familiarity | None = None,
    calibration: Iterable[Any] | np.ndarray | None = None,
    modes: Iterable[str] | None = None,
    saved_model: bool = True,
    onnx: bool = False,
    learning: TrunkMode | None = None,
    preprocessing: str | None = None,
    interpolation: str = "bilinear",
    central_crop: float = 1.0,
    batch: int | None = 1,
    output: Output = "probabilities",
    int8_probabilities: bool = False,
    about: About | None = None,
    proof: Iterable[Any] | None = None,
    limits: Limits | None = None,
    selective: bool = False,
    accelerators: bool = False,
    rounding: Literal["compensated", "nearest"] = "compensated",
    overwrite: bool = False,
) -> Export:
    """Exports a trained model to SavedModel and TFLite.

    Every file takes raw RGB (or grey) uint8 pixels named `images` and answers float32 `predictions`, in the signature
    `serving_default`, the int8 file included: an app reads one kind of answer whatever file it ships. The folder is
    written whole or not at all, also when the process is killed.

    Args:
        model: The trained Keras model; it is not changed. See `deploy` for what happens to it.
        folder: Where the export shall be: saved_model/, model_MODE.tflite, labels.txt, export.json.
        class_names: Names of the classes in the order of the outputs; None: their indices.
        thresholds: Of a network that ends in sigmoids, what the probability of each class exceeds where it is found.
            The files tell them, `verify` compares decisions at them, and `Predictor` names what is found.
        trust: Of a network of one label an image: thresholds that keep its class among the candidates. The files tell
            them, `Predictor` names the candidates, and `verify` measures what is kept.
        familiarity: What `keras_inception.tflite.familiarity` made: every file then has a second output, `unfamiliar`,
            float32 [n, 1], above 1 for pictures unlike all that the network knows.
        calibration: Real images for the integer modes: batches [n, h, w, c] (or pairs of them and labels), or single
            images, pixels 0..255. A hundred or more of the training images are a good choice.
        modes: TFLite files to write: names in `keras_inception.tflite.files.modes.MODES`; None: float32 and int8, of a
            model that `simulate` made int8, which it is written as alone.
        saved_model: Whether to write the SavedModel; it takes any batch size, and has a second signature,
            `serve_encoded`, for `encoded` JPEG or PNG files.
        onnx: Whether to write model.onnx as well, for any batch size. Needs the `onnx` extra.
        learning: Whether to write model_learning.tflite, whose classifier an app can train, with its trunk stored as
            float32, float16 or dynamic; see `keras_inception.tflite.files.learning.learning_file`.
        preprocessing: Name of the preprocessing for a model without one inside (as in
            `keras_inception.preprocess_input`); `"none"` where the model truly takes raw pixels.
        interpolation: How `serve_encoded` and `Predictor` resize pictures: as in the training's pipeline.
        central_crop: Which share of the shorter side they keep.
        batch: Batch size of the TFLite files. GPU and NPU delegates want a fixed one; None accepts any.
        output: What the files answer: probabilities, logits, or an embedding. That is named `embedding` in place of
            `predictions`, float32 vectors of length 1 of what the classifier reads (see `keras_inception.embedding`),
            and has neither labels nor thresholds; integer files bring them to that length in float.
        int8_probabilities: Whether the int8 file computes its last softmax or sigmoid in integers, in steps of 1/256,
            as it must for an NPU that knows no floats; else in float, which costs nothing on a CPU.
        about: What the .tflite files say of themselves: name, version, licence. Their metadata also holds the labels,
            so that Android Studio and mediapipe need no other file.
        proof: Batches of (images, labels). Where given, `verify` holds the files against the model before the folder
            appears, proof.json is written, and past a limit no folder appears.
        limits: Limits of that verification.
        selective: Where the int8 file passes a limit of the proof, leave the layers that cost most float, as few as
            the limits allow; export.json names them. Needs `proof`, and the `quantizer` extra.
        accelerators: With `proof`, run the files in all places that this machine has as well; see `verify`.
        rounding: How the calibrated modes, and dynamic range where there is calibration, round weights: so that errors
            cancel on the calibration images (see `keras_inception.tflite.network.rounding`) and, for int8, with like
            ranges in all channels (`keras_inception.tflite.network.equalization`), or each to the nearest step: quicker
            and less exact.
        overwrite: Whether an earlier export in `folder` may be replaced; never one whose folder holds other files.

    Returns:
        The export.

    Raises:
        ExportError: An argument breaks a rule, something stands at `folder`, the network cannot be expressed in
            TFLite's builtin operators, or a limit was passed. Nothing was written then.
    """
    simulation = is_simulation(model)
    target, chosen = Path(folder), check_modes(default_modes(model) if modes is None else modes)
    if simulation:
        _check_simulation(chosen, onnx, learning, int8_probabilities)
    if not (chosen or saved_model or onnx or learning):
        raise ExportError("An export needs at least one mode, the SavedModel or another file. Received: none.")
    if selective and (proof is None or "int8" not in chosen):
        raise ExportError("Selective quantisation needs a proof and the mode int8. Received: not both.")
    if accelerators and proof is None:
        raise ExportError("Files are run on accelerators with the proof's images. Received: accelerators, no proof.")
    if rounding not in ("compensated", "nearest"):
        raise ExportError(f"Weights are rounded 'compensated' or 'nearest'. Received: {rounding!r}.")
    if output == EMBEDDING:
        _refuse_classes({"class names": class_names, "thresholds": thresholds, "a learning file": learning})
    if batch is not None and batch < 1:
        raise ExportError(f"The batch is at least one image, or None for any number. Received: {batch}.")
    check_place(target, overwrite)
    require_tensorflow()
    fitting = Fitting(interpolation, central_crop)
    raw = None if preprocessing == "none" else preprocessing
    twin = deploy(model, preprocessing=raw, output=output, fold=True)
    if preprocessing is None:
        _check_preprocessing(twin)
    shape, classes = image_shape(twin), int(twin.output_shape[-1])
    calibrated = not simulation and any(
        MODES[mode].calibrated or (MODES[mode].rounded and calibration is not None) for mode in chosen
    )
    if thresholds is not None and not has_decisions(twin):
        raise ExportError(f"Thresholds are for a network that ends in sigmoids. Received: {model.name} without.")
    trust = trust_for(twin, output, trust, familiarity)
    if familiarity is not None:
        twin = with_features(twin)
    job = Job(
        twin=without_unit_length(twin) if output == EMBEDDING else twin,
        familiarity=familiarity,
        trust=trust,
        batch=batch,
        class_names=[] if output == EMBEDDING else check_class_names(class_names, classes),
        thresholds=None if thresholds is None else check_thresholds(thresholds, classes),
        about=replace(about or About(), name=(about and about.name) or model.name),
        output=output,
        calibration=calibration_images(calibration, shape) if calibrated else None,
        compensated=rounding == "compensated",
        float_probabilities=not int8_probabilities,
    )
    held = None if proof is None else collect(proof, shape)
    yardstick = None
    if selective and held is not None:
        yardstick = yardstick_for(
            model,
            *held,
            limits or Limits(),
            answers=classes,
            preprocessing=raw,
            output=output,
            thresholds=job.thresholds,
        )

    with whole_folder(target, marker=MANIFEST, overwrite=overwrite, strangers=strangers) as partial:
        if output != EMBEDDING:
            (partial / LABELS).write_text("".join(f"{name}\n" for name in job.class_names), "utf-8")
        rows = []
        if saved_model:
            with one_sentence("SavedModel"), quiet():
                served = twin
                if not folds_in_tensorflow(model):
                    served = deploy(model, preprocessing=raw, output=output)
                    served = served if familiarity is None else with_features(served)
                write_saved_model(served, partial / SAVED_MODEL, fitting, OUTPUTS[output], familiarity)
            rows.append(described(partial, SAVED_MODEL, SAVED_MODEL))
        if onnx:
            with one_sentence("ONNX"), quiet():
                write_onnx(twin, partial / "model.onnx", job.class_names, OUTPUTS[output], familiarity, trust)
            rows.append(described(partial, "model.onnx", ONNX))
        rows += [write_mode(job, partial, mode, yardstick if mode == "int8" else None) for mode in chosen]
        if learning is not None:
            with one_sentence(LEARNING), quiet():
                content = learning_file(model, learning, preprocessing=raw)
            rows.append(write_file(partial, LEARNING, content) | {"trunk": learning})
        manifest = {
            "format": FORMAT,
            "model": model.name,
            **_manifest_of(job),
            "preprocessing": preprocessing,
            **asdict(fitting),
            "rounding": rounding if calibrated else None,
            "files": rows,
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        if familiarity is not None:
            familiarity.save(partial / FAMILIARITY)
        if held is not None:
            result = verify(model, partial, [held], limits=limits, accelerators=accelerators)
            if not result.passed:
                failures = " ".join(result.failures)
                raise ExportError(f"Exported files must stay within the limits. Received: {failures}")
    return Export.open(target)


def check_place(folder: Path, overwrite: bool) -> None:
    """Raises `ExportError` where `export` may not put its folder; asked first, that costs a user no minute."""
    check_target(folder, marker=MANIFEST, overwrite=overwrite, strangers=strangers)


def _manifest_of(job: Job) -> dict[str, Any]:
    shape = image_shape(job.twin)
    packages = ("keras-inception", "keras", "tensorflow", "ai-edge-litert")
    return {
        "about": asdict(job.about),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in packages},
        "signature": SIGNATURE,
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "shape": [job.batch, *shape],
            "range": [0, 255],
            "channels": {1: "grey", 3: "rgb"}.get(shape[-1], str(shape[-1])),
        },
        "output": {
            "name": OUTPUTS[job.output],
            "dtype": "float32",
            "features" if job.output == EMBEDDING else "classes": int(job.twin.outputs[0].shape[-1]),
            "kind": job.output,
            **({} if job.thresholds is None else {"thresholds": job.thresholds}),
        },
        **({} if job.familiarity is None else {"unfamiliar": job.familiarity.described()}),
        "trust": job.trust.to_json(),
        "calibration_images": 0 if job.calibration is None else len(job.calibration),
    }


def default_modes(model: keras.Model) -> tuple[str, ...]:
    """The TFLite files of a model of which none are named."""
    return ("int8",) if is_simulation(model) else ("float32", "int8")


def _check_simulation(modes: Sequence[str], onnx: bool, learning: str | None, int8_probabilities: bool) -> None:
    others = [mode for mode in modes if mode != "int8"]
    others += [
        what
        for what, asked in (("ONNX", onnx), (LEARNING, learning), ("probabilities in integers", int8_probabilities))
        if asked
    ]
    if others:
        raise ExportError(
            f"A model that simulates its int8 file is exported as that, with float probabilities, and as a SavedModel. "
            f"Received: {', '.join(others)}."
        )


def _refuse_classes(given: dict[str, Any]) -> None:
    if wrong := [what for what, value in given.items() if value is not None]:
        raise ExportError(f"An embedding tells no classes, and none can be named for it. Received: {', '.join(wrong)}.")


def _check_preprocessing(twin: keras.Model) -> None:
    if not scales_pixels(twin):
        raise ExportError(
            "Exported files take raw pixels: build the model with include_preprocessing=True, or name its "
            f"preprocessing ('none' where it takes 0..255 as it is). Received: {twin.name} with none inside."
        )
