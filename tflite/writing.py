"""One TFLite file of an export: the twin in the form that its mode keeps most of, converted, joined and described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_inception.integers import is_simulation

from .errors import ExportError, quiet
from .files.converting import convert, convert_annotated, one_sentence
from .files.flatbuffer import custom_operators, float_operators, operators
from .files.joining import with_unfamiliar
from .files.metadata import About, with_metadata
from .files.modes import MODES
from .files.rewriting import DYNAMIC_WEIGHTS
from .files.tracing import OUTPUTS, trace
from .files.trust import Trust
from .files.unit_length import with_unit_length
from .folder import described
from .network.deploying import EMBEDDING, Output, image_shape
from .network.equalization import equalize_channels
from .network.familiarity import Familiarity
from .network.pools import convolve_pools, postpone_pools
from .network.rounding import compensate_rounding
from .network.strides import subsample_first
from .proving.cosines import AnyYardstick
from .proving.selective import quantize_selectively
from .running.litert import opened


@dataclass(frozen=True)
class Job:
    """What every file of an export is made from."""

    twin: keras.Model
    familiarity: Familiarity | None
    trust: Trust
    batch: int | None
    class_names: Sequence[str]
    thresholds: Sequence[float] | None
    about: About
    output: Output
    calibration: np.ndarray | None
    compensated: bool
    float_probabilities: bool


def write_mode(job: Job, folder: Path, mode: str, yardstick: AnyYardstick | None) -> dict[str, Any]:
    """Writes the TFLite file of a mode; with a yardstick, layers that cost too much stay float."""
    network = _for_mode(job, mode)
    details: dict[str, Any] = {}
    with one_sentence(mode), quiet():
        traced = trace(network, mode, job.batch, OUTPUTS[job.output])
        if is_simulation(network):
            content = convert_annotated(traced)
        else:
            content = convert(traced, mode, job.calibration, float_probabilities=job.float_probabilities)
    if yardstick is not None:
        content, details = _selected(job, network, content, yardstick)
    if job.familiarity is not None:
        with one_sentence(mode), quiet():
            content = with_unfamiliar(content, job.familiarity, mode, job.batch)
    return write_file(folder, mode, content, job) | details


def _for_mode(job: Job, mode: str) -> keras.Model:
    """The twin in a form that all backends compute alike, and of which an integer mode keeps most."""
    network, images = job.twin, job.calibration
    if is_simulation(network):
        return network
    network = convolve_pools(postpone_pools(network), padded=mode != "int8")
    if not MODES[mode].rounded:
        return network
    network = subsample_first(network)
    if job.compensated and images is not None:
        # Sixteen bits have steps enough for every channel.
        network = equalize_channels(network, images) if mode == "int8" else network
        network = compensate_rounding(network, images, least=DYNAMIC_WEIGHTS if mode == "dynamic" else 0)
    return network


def _selected(job: Job, rounded: keras.Model, content: bytes, yardstick: AnyYardstick) -> tuple[bytes, dict[str, Any]]:
    """The int8 file as it is where it keeps the limits, else one with float layers, and what export.json says of it."""

    def acceptable(file: Any) -> bool:
        return not yardstick.failures(yardstick.likeness(file), "int8")

    if job.calibration is None or acceptable(opened(content)):
        return content, {"float_layers": []}
    with one_sentence("int8"), quiet():
        float_file = convert(trace(rounded, "float32", job.batch, OUTPUTS[job.output]), "float32", None)
    names = [layer.name for layer in job.twin.layers]
    chosen = quantize_selectively(float_file, job.calibration, acceptable, layer_names=names)
    return chosen.content, {"float_layers": list(chosen.float_layers)}


def write_file(folder: Path, mode: str, content: bytes, job: Job | None = None) -> dict[str, Any]:
    """Writes a TFLite file, with metadata where it is of a job, and returns its row in the manifest."""
    if job is not None and job.output == EMBEDDING:
        content = with_unit_length(content)
    found = operators(content)
    if custom := custom_operators(found):
        raise ExportError(f"Files must hold TFLite's builtin operators only. Received: {', '.join(custom)}.")
    if job is not None:
        content = with_metadata(
            content,
            job.about,
            class_names=job.class_names,
            image_shape=image_shape(job.twin),
            output=job.output,
            thresholds=job.thresholds or job.trust.scores(len(job.class_names)),
            trust=job.trust,
        )
    name = f"model_{mode}.tflite"
    (folder / name).write_bytes(content)
    return described(folder, name, mode) | {"operators": found, "float_operators": float_operators(content)}
