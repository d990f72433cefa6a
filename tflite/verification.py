"""The proof that exported files are the trained network: every file is opened and held against Keras on real images."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_inception import preprocess_input
from keras_inception.tflite.deployment import deploy, predictions
from keras_inception.tflite.errors import ExportError, quiet
from keras_inception.tflite.exporting import LEARNING, Export, sha256, size
from keras_inception.tflite.proof import KERAS, ONNX, SAVED_MODEL, Limits, Proof, Row
from keras_inception.tflite.quantize import pixels
from keras_inception.tflite.runtime import (
    SIGNATURE,
    LiteRTModel,
    cores,
    custom_operators,
    float_operators,
    gpu_blockers,
    open_onnx,
    open_saved_model,
    operators,
)
from keras_inception.tflite.timing import compiled, interleaved

PROOF = "proof.json"
_BATCH = 64


def verify(
    model: keras.Model,
    folder: str | Path,
    batches: Iterable[Any],
    *,
    limits: Limits | None = None,
    threads: int | None = None,
    runs: int = 30,
) -> Proof:
    """Holds every file of an export against the Keras model on real images, and writes proof.json beside them.

    The reference is the model's float32 twin (see `deploy`). The model itself is a row too, so that what training in 16
    bits rounds away is on record. Images are rounded to whole pixel values, as files take them.

    Args:
        model: The model that was exported.
        folder: The export.
        batches: (images, labels) pairs, or images alone: [n, h, w, c], pixels 0..255; labels are class indices.
        limits: What the files may differ by; None: `Limits()`.
        threads: Threads of LiteRT; None: as many as there are cores.
        runs: Timed rounds for the latency.

    Returns:
        The proof. A missing or broken file and a passed limit are failures in it, not exceptions.

    Raises:
        FileNotFoundError: There is no export in the folder.
        ExportError: There are no images, they have another size, or the model has other classes than the export.
    """
    limits = limits or Limits()
    opened = Export.open(folder)
    manifest = opened.manifest
    twin = deploy(model, preprocessing=_none(manifest["preprocessing"]), output=manifest["output"]["kind"])
    if twin.output_shape[-1] != len(opened.class_names):
        raise ExportError(
            f"The model must have the export's {len(opened.class_names)} classes. Received: {twin.output_shape[-1]}."
        )
    images, labels = collect(batches, opened.input_shape)
    if labels is not None and not (labels.min() >= 0 and labels.max() < len(opened.class_names)):
        raise ExportError(
            f"Labels must be class indices below {len(opened.class_names)}. Received: {labels.min()} to {labels.max()}."
        )
    threads = threads or cores()
    reference_call = compiled(twin)
    reference = _answers(reference_call, images)

    given = keras_call(model, opened)
    calls: dict[str, Callable[[np.ndarray], Any]] = {KERAS: given}
    failures = []
    for entry in manifest["files"]:
        try:
            calls[entry["mode"]] = _open(opened, entry, threads)
        except (ExportError, FileNotFoundError) as error:
            failures.append(str(error))
    with quiet():
        answers = {mode: _answers(call, images) for mode, call in calls.items()}
        times = interleaved(calls, images[:1], runs=runs)

    rows = []
    for mode, answer in answers.items():
        row = _measure(mode, answer, reference, labels, times[mode], opened, calls[mode], threads, model)
        rows.append(row)
        failures += _judge(row, rows[0], limits)
    result = Proof(opened.folder, tuple(rows), tuple(failures), len(images), limits, _machine())
    _write(opened.folder / PROOF, result.to_json())
    return result


class Standard:
    """What a file is held against before the whole export is proven: the twin's answers on the same images.

    Args:
        twin: The float32 network.
        images: uint8 [n, h, w, c].
        labels: Class indices [n], or None.
        limits: What a quantised file may differ by.
    """

    def __init__(self, twin: keras.Model, images: np.ndarray, labels: np.ndarray | None, limits: Limits) -> None:
        self.images, self.labels, self.limits = images, labels, limits
        with quiet():
            self.reference = _answers(compiled(twin), images)

    def accepts(self, call: Callable[[np.ndarray], np.ndarray]) -> bool:
        """Whether a file stays within the limits for quantised files."""
        limits, answer = self.limits, _answers(call, self.images)
        first, expected = answer.argmax(1), self.reference.argmax(1)
        # Each written so that a NaN fails.
        kept = [
            limits.quantized_difference is None
            or float(np.abs(answer - self.reference).max()) <= limits.quantized_difference,
            limits.agreement is None or float((first == expected).mean()) >= limits.agreement,
        ]
        if limits.accuracy_loss is not None and self.labels is not None:
            loss = float((expected == self.labels).mean() - (first == self.labels).mean())
            kept.append(loss <= limits.accuracy_loss)
        return all(kept)


def keras_call(model: keras.Model, export: Export) -> Callable[[np.ndarray], np.ndarray]:
    """The given model, as it is, as one compiled function from pixels to what the export answers."""
    name, logits = _none(export.manifest["preprocessing"]), export.manifest["output"]["kind"] == "logits"
    if logits:  # the model as it is answers probabilities; there is no more to compare than its twin's logits
        return compiled(deploy(model, preprocessing=name, output="logits"))
    function = compiled(model)

    def call(images: np.ndarray) -> np.ndarray:
        raw = images if name is None else preprocess_input(images, name)
        return np.asarray(predictions(function(raw)), "float32")

    return call


def _open(export: Export, entry: dict[str, Any], threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """Opens one file of an export, after its checksum: native code should not meet a broken file."""
    path = export.folder / entry["file"]
    if not path.exists():
        raise FileNotFoundError(
            f"An exported file must be where {export.folder} lists it. Received: no {entry['file']}."
        )
    if size(path) != entry["size"] or sha256(path) != entry["sha256"]:
        raise ExportError(
            f"An exported file must be as it was written ({entry['size']} bytes). "
            f"Received: {entry['file']} changed, cut off or damaged ({size(path)} bytes)."
        )
    if entry["mode"] == SAVED_MODEL:
        return open_saved_model(path)
    if entry["mode"] == ONNX:
        return open_onnx(path, threads=threads)
    signature = "infer" if entry["mode"] == LEARNING else SIGNATURE
    return LiteRTModel(path, threads=threads, signature=signature)


def collect(batches: Iterable[Any], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Gathers images as uint8 [n, h, w, c] and their labels, or None where there are none."""
    images, labels = [], []
    for item in batches:
        batch, of_batch = item if isinstance(item, tuple) else (item, None)
        images.append(pixels(batch, shape))
        if of_batch is not None:
            labels.append(np.asarray(of_batch).reshape(-1))
    if not images:
        raise ExportError("A verification needs real images. Received: none.")
    together = np.concatenate(images)
    known = np.concatenate(labels) if labels else None
    if known is not None and len(known) != len(together):
        raise ExportError(f"Each image must have a label, or none. Received: {len(known)} for {len(together)} images.")
    return together, known


def _answers(call: Callable[[np.ndarray], Any], images: np.ndarray) -> np.ndarray:
    return np.concatenate([call(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)])


def _measure(
    mode: str,
    answer: np.ndarray,
    reference: np.ndarray,
    labels: np.ndarray | None,
    times: np.ndarray,
    export: Export,
    call: Any,
    threads: int,
    model: keras.Model,
) -> Row:
    first = reference.argmax(1)
    five = np.argsort(-answer, axis=1, kind="stable")[:, :5]
    low, median, high = (float(value) for value in np.percentile(times, [10, 50, 90]) * 1e3)
    path = export.files.get(mode)
    is_tflite = isinstance(call, LiteRTModel)
    content = path.read_bytes() if path is not None and is_tflite else None
    found = operators(content) if content else {}
    return Row(
        mode=mode,
        file=path.name if path else "",
        precision=_precision(model) if mode == KERAS else "",
        size=size(path) if path else sum(int(np.prod(v.shape)) * np.dtype("float32").itemsize for v in model.weights),
        difference=float(np.abs(answer - reference).max()),
        agreement=float((answer.argmax(1) == first).mean()),
        top5_agreement=float((five == first[:, None]).any(1).mean()),
        accuracy=None if labels is None else float((answer.argmax(1) == labels).mean()),
        latency_ms=median,
        latency_low_ms=low,
        latency_high_ms=high,
        threads=threads if is_tflite else cores(),
        operators=found,
        custom_operators=tuple(custom_operators(found)),
        static_shapes=call.input_shape[0] is not None if is_tflite else None,
        gpu_blockers=gpu_blockers(found),
        float_operators=float_operators(content) if content else {},
    )


def _judge(row: Row, keras_row: Row, limits: Limits) -> list[str]:
    """A sentence for every limit that the row passes."""
    who, found = row.file or "The Keras model", []
    limit = limits.difference_of(row)
    # Written so that a NaN fails.
    if limit is not None and not row.difference <= limit:
        found.append(f"{who} must differ by {limit:g} at most. Received: {row.difference:.3g}.")
    if limits.agreement is not None and not row.agreement >= limits.agreement:
        found.append(f"{who} must agree on {limits.agreement:.1%} of the images. Received: {row.agreement:.2%}.")
    if limits.accuracy_loss is not None and row.accuracy is not None and keras_row.accuracy is not None:
        loss = keras_row.accuracy - row.accuracy
        if loss > limits.accuracy_loss:
            found.append(f"{who} must lose {limits.accuracy_loss:.1%} accuracy at most. Received: {loss:.2%}.")
    if row.custom_operators:
        found.append(f"{who} must hold TFLite builtins only. Received: {', '.join(row.custom_operators)}.")
    return found


def _precision(model: keras.Model) -> str:
    """The dtype that the model's layers compute in: a 16-bit one where any layer does."""
    kinds = {str(getattr(layer, "compute_dtype", "float32")) for layer in model.layers}
    return next((kind for kind in ("float16", "bfloat16") if kind in kinds), "float32")


def _machine() -> dict[str, str]:
    packages = ("keras-inception", "keras", "tensorflow", "ai-edge-litert")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(cores()),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _none(preprocessing: str | None) -> str | None:
    return None if preprocessing == "none" else preprocessing
