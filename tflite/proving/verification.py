"""The proof that exported files are the trained network: every file is opened and held against Keras on real images."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_inception.processors import cores

from ..errors import ExportError, quiet
from ..files.flatbuffer import custom_operators, float_operators, gpu_blockers, operators
from ..files.tracing import OUTPUT, SIGNATURE
from ..folder import LEARNING, ONNX, PROOF, PROOF_PAGE, SAVED_MODEL, Export, size
from ..pictures.pixels import collect
from ..running.litert import LiteRTModel
from ..running.others import Opened, open_onnx, open_saved_model
from ..running.timing import interleaved
from .cosines import yardstick_for
from .differing import Differing, Heard, differing
from .layers import Layers
from .limits import KERAS, Limits, Proof, Row
from .measuring import Yardstick, precision_of
from .page import page
from .rehearsal import LEARNING_SIGNATURE, rehearse
from .trusting import Answers, TrustTest
from .trusting import failures as broken_promises


def verify(
    model: keras.Model,
    folder: str | Path,
    batches: Iterable[Any],
    *,
    strangers: Iterable[Any] | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
    runs: int = 30,
    accelerators: bool = False,
    layers: Layers | None = None,
) -> Proof:
    """Holds every file of an export against the Keras model on real images.

    What was found is written beside the files, as proof.json and as a page, proof.html, which shows the pictures on
    which a file and the network differ.

    The reference is the model's float32 twin (see `deploy`). The model itself is a row too, so that what training in 16
    bits rounds away is on record. Images are rounded to whole pixel values, as files take them.

    Args:
        model: The model that was exported.
        folder: The export.
        batches: (images, labels) pairs, or images alone: [n, h, w, c], pixels 0..255; labels are class indices, of a
            single output 0 or 1, of several sigmoids also zeros and ones [n, classes].
        strangers: Images of nothing that the network knows, batches like those: how many of them each file takes for
            known goes on record.
        limits: What the files may differ by; None: `Limits()`.
        threads: Threads of LiteRT; None: as many as there are cores.
        runs: Timed rounds for the latency.
        accelerators: Whether to run the .tflite and .onnx files in all places that this machine has as well: on
            LiteRT's kernels one by one, on its GPU backend, in OpenVINO; see `keras_inception.tflite.running.places`.
        layers: What `layer_errors` found, for the page.

    Returns:
        The proof. A missing or broken file and a passed limit are failures in it, not exceptions.

    Raises:
        FileNotFoundError: There is no export in the folder.
        ExportError: There are no images, they have another size, the model has other classes or features than the
            export, or the folder cannot be written.
    """
    if runs < 1:
        raise ExportError(f"Latency is measured in at least one run. Received: {runs}.")
    limits, threads = limits or Limits(), threads or cores()
    opened = Export.open(folder)
    _check_writable(opened.folder)
    images, labels = collect(batches, opened.input_shape)
    others = None if strangers is None else collect(strangers, opened.input_shape)[0]
    yardstick = yardstick_for(
        model,
        images,
        labels,
        limits,
        answers=opened.answers,
        preprocessing=opened.outer_preprocessing,
        output=opened.output,
        thresholds=opened.thresholds,
    )
    trust_test = None
    if isinstance(yardstick, Yardstick):
        trust_test = TrustTest(opened.trust, opened.familiarity, yardstick.twin, images, labels, others)
    calls: dict[str, Any] = {KERAS: yardstick.given}
    failures = []
    for entry in opened.manifest["files"]:
        try:
            calls[entry["mode"]] = _open(opened, entry, threads)
        except (ExportError, FileNotFoundError) as error:
            failures.append(str(error))
    with quiet():
        times = interleaved({mode: partial(call, images[:1]) for mode, call in calls.items()}, runs=runs)

    rows = []
    differences: dict[str, tuple[int, list[Differing]]] = {}
    for mode, call in calls.items():
        heard = Heard(call)
        likeness = yardstick.own if mode == KERAS else yardstick.likeness(heard)
        trusted = None
        if trust_test is not None:
            trusted = trust_test.measure(_of_keras(call, trust_test) if mode == KERAS else call.answers)
        about = _network_facts(model) if mode == KERAS else _file_facts(opened.files[mode], call)
        low, median, high = (float(value) for value in np.percentile(times[mode], [10, 50, 90]) * 1e3)
        row = Row(
            mode=mode,
            threads=threads if isinstance(call, LiteRTModel) else cores(),
            latency_ms=median,
            latency_low_ms=low,
            latency_high_ms=high,
            **asdict(likeness),
            **about,
            trusted=trusted,
        )
        rows.append(row)
        if mode != KERAS and isinstance(yardstick, Yardstick):
            told = differing(yardstick.reference, heard.answers, images, labels, opened.thresholds)
            differences[row.file] = told
        who = row.file or "The Keras model"
        failures += yardstick.failures(likeness, mode, who=who, precision=row.precision)
        failures += broken_promises(trusted, limits, who=who)
        if row.custom_operators:
            failures.append(f"{who} must hold TFLite builtins only. Received: {', '.join(row.custom_operators)}.")
    rehearsal = None
    if accelerators:
        files = {mode: opened.files[mode] for mode in calls if mode not in (KERAS, SAVED_MODEL)}
        rehearsal, broken = rehearse(files, yardstick)
        failures += broken
    result = Proof(opened.folder, tuple(rows), tuple(failures), len(images), limits, _machine(), rehearsal)
    _write(opened.folder / PROOF, result.to_json())
    _write(opened.folder / PROOF_PAGE, page(result, opened, differences, layers))
    return result


def _of_keras(call: Callable[[np.ndarray], Any], trust_test: TrustTest) -> Answers:
    """All that a Keras model answers: its own predictions, whatever it was trained in, and its twin's distances."""
    return lambda images: {**trust_test.reference(images), OUTPUT: call(images)}


def _open(export: Export, entry: dict[str, Any], threads: int) -> Opened | LiteRTModel:
    path = export.whole(entry)
    if entry["mode"] == SAVED_MODEL:
        return open_saved_model(path)
    if entry["mode"] == ONNX:
        return open_onnx(path, threads=threads)
    signature = LEARNING_SIGNATURE if entry["mode"] == LEARNING else SIGNATURE
    return LiteRTModel(path, threads=threads, signature=signature, checked=True)


def _network_facts(model: keras.Model) -> dict[str, Any]:
    stored = sum(int(np.prod(weight.shape)) for weight in model.weights) * np.dtype("float32").itemsize
    return {"file": "", "precision": precision_of(model), "size": stored}


def _file_facts(path: Path, call: Any) -> dict[str, Any]:
    """What is read off a file instead of measured."""
    facts: dict[str, Any] = {"file": path.name, "precision": "", "size": size(path)}
    if isinstance(call, LiteRTModel):
        content = path.read_bytes()
        found = operators(content)
        facts |= {
            "operators": found,
            "custom_operators": tuple(custom_operators(found)),
            "static_shapes": call.input_shape[0] is not None,
            "gpu_blockers": gpu_blockers(found),
            "float_operators": float_operators(content),
        }
    return facts


def _machine() -> dict[str, str]:
    packages = ("keras-inception", "keras", "tensorflow", "ai-edge-litert")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(cores()),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _check_writable(folder: Path) -> None:
    """Raises before anything was measured what would else be raised after it."""
    with _writing(folder), tempfile.TemporaryFile(dir=folder):
        pass


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with _writing(path.parent):
        try:
            partial.write_text(text, "utf-8")
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{PROOF} is written into the export's folder. Received: {folder} ({error.strerror})."
        ) from error
