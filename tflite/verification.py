"""The proof that exported files are the trained network: every file is opened and held against Keras on real images."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_inception import preprocess_input
from keras_inception.tflite.deployment import deploy, predictions
from keras_inception.tflite.errors import ExportError, quiet
from keras_inception.tflite.exporting import LEARNING, ONNX, SAVED_MODEL, Export, sha256, size
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

if TYPE_CHECKING:
    from rich.table import Table

PROOF = "proof.json"
KERAS = "keras"
_EXACT = ("float32", SAVED_MODEL, ONNX)
_BATCH = 64


@dataclass(frozen=True)
class Limits:
    """What an exported file may differ from the float32 network by; None: no limit.

    Attributes:
        difference: Largest absolute difference of a probability in float32 files and the SavedModel.
        float16_difference: Likewise in float16 files (and of a network trained in 16 bits from its float32 twin).
        quantized_difference: Likewise in dynamic, int8 and int16x8 files.
        agreement: Smallest share of the images on which a file's first class is the network's.
        accuracy_loss: Largest accuracy that a file may lose, as a share of the labelled images.
    """

    difference: float | None = 1e-4
    float16_difference: float | None = 2e-2
    quantized_difference: float | None = None
    agreement: float | None = 0.98
    accuracy_loss: float | None = 0.02

    def __post_init__(self) -> None:
        if self.agreement is not None and not 0 <= self.agreement <= 1:
            raise ExportError(f"The agreement is a share of the images, 0 to 1. Received: {self.agreement}.")
        if self.accuracy_loss is not None and not -1 <= self.accuracy_loss <= 1:
            raise ExportError(f"The accuracy loss is a share of the images, 1 at most. Received: {self.accuracy_loss}.")

    def difference_of(self, row: Row) -> float | None:
        """The limit on the largest difference that holds for a row."""
        if row.mode in _EXACT or (row.mode == KERAS and row.precision == "float32"):
            return self.difference
        return self.float16_difference if row.mode in ("float16", KERAS) else self.quantized_difference


@dataclass(frozen=True)
class Row:
    """What was measured of one file, or of the Keras model itself (mode `"keras"`).

    Attributes:
        mode: `"keras"`, `"saved_model"` or the TFLite mode.
        file: Name inside the export; empty for the Keras model.
        precision: The Keras model's compute dtype; empty for files.
        size: In bytes; for the Keras model, of its weights.
        difference: Largest absolute difference of an output from the float32 twin in Keras.
        agreement: Share of the images on which its first class is the twin's.
        top5_agreement: Share of the images on which the twin's first class is among its first five.
        accuracy: Share of the labelled images that it gets right; None where labels are unknown.
        latency_ms: Median milliseconds for one image, interleaved with the other rows.
        latency_low_ms: Tenth percentile.
        latency_high_ms: Ninetieth percentile.
        threads: Threads that it was allowed.
        operators: TFLite operators and how often each occurs.
        custom_operators: Those that are not TFLite builtins.
        static_shapes: Whether the batch size is fixed, as GPU and NPU delegates want it; None where it does not apply.
        gpu_blockers: TFLite operators that the GPU delegate would leave to the CPU.
        float_operators: TFLite operators that compute in float and how often each occurs.
    """

    mode: str
    file: str
    precision: str
    size: int
    difference: float
    agreement: float
    top5_agreement: float
    accuracy: float | None
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    threads: int
    operators: dict[str, int] = field(default_factory=dict)
    custom_operators: tuple[str, ...] = ()
    static_shapes: bool | None = None
    gpu_blockers: tuple[str, ...] = ()
    float_operators: dict[str, int] = field(default_factory=dict)

    @property
    def delegates(self) -> tuple[str, ...]:
        """Which delegates can take the whole file: `"GPU"` needs known operators, `"NPU"` integers only."""
        if not self.static_shapes:
            return ()
        ready = {"GPU": not self.gpu_blockers, "NPU": not self.float_operators}
        return tuple(name for name, is_ready in ready.items() if is_ready)


@dataclass(frozen=True)
class Proof:
    """The result of `verify`.

    Attributes:
        folder: The export.
        rows: One for the Keras model and one for each file that could be opened.
        failures: One sentence for each limit passed and each file that is missing or broken.
        images: Number of images compared.
        limits: The limits that were held.
        machine: Processor and versions.
    """

    folder: Path
    rows: tuple[Row, ...]
    failures: tuple[str, ...]
    images: int
    limits: Limits
    machine: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every file is there, whole and within the limits."""
        return not self.failures

    def to_json(self) -> str:
        """The proof as JSON, as it stands in proof.json."""
        content = {"passed": self.passed, **asdict(self), "folder": self.folder.name}
        return json.dumps(content, indent=2) + "\n"

    def table(self) -> Table:
        """The proof as a table for a terminal."""
        from rich.table import Table

        threads = max((row.threads for row in self.rows), default=cores())
        table = Table(title=f"{self.images} images, {threads} thread{'s' if threads > 1 else ''}, one image a call")
        for heading in ("file", "size", "accuracy", "agreement", "difference", "latency", "whole on"):
            table.add_column(heading, justify="left" if heading == "file" else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(
                row.file or f"Keras ({row.precision})",
                f"{row.size / 1e6:.2f} MB",
                "–" if row.accuracy is None else f"{row.accuracy:.2%}",
                f"{row.agreement:.2%}",
                f"{row.difference:.1e}",
                f"{row.latency_ms:.2f} ms",
                " ".join(row.delegates),
            )
        return table


def verify(
    model: keras.Model,
    folder: str | Path,
    batches: Iterable[Any],
    *,
    limits: Limits = Limits(),
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
        limits: What the files may differ by.
        threads: Threads of LiteRT; None: as many as there are cores.
        runs: Timed rounds for the latency.

    Returns:
        The proof. A missing or broken file and a passed limit are failures in it, not exceptions.

    Raises:
        FileNotFoundError: There is no export in the folder.
        ExportError: There are no images, they have another size, or the model has other classes than the export.
    """
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
