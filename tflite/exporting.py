"""A trained model becomes a folder of files that an app can use."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_inception.tflite.atomic import check_target, whole_folder
from keras_inception.tflite.deployment import deploy
from keras_inception.tflite.equalization import equalize_channels
from keras_inception.tflite.errors import ExportError, quiet
from keras_inception.tflite.learning import TrunkMode, learning_file
from keras_inception.tflite.merge import convolve_pools
from keras_inception.tflite.metadata import LABELS, About, with_metadata
from keras_inception.tflite.pictures import Fitting
from keras_inception.tflite.proof import ONNX, SAVED_MODEL, Limits
from keras_inception.tflite.quantize import MODES, calibration_images, check_modes, convert
from keras_inception.tflite.rounding import compensate_rounding
from keras_inception.tflite.runtime import INPUT, OUTPUT, SIGNATURE, custom_operators, float_operators, operators
from keras_inception.tflite.saving import image_shape, trace, write_onnx, write_saved_model

MANIFEST = "export.json"
LEARNING = "learning"


@dataclass(frozen=True)
class Export:
    """A folder that `export` wrote.

    Attributes:
        folder: The folder.
        manifest: The content of export.json.
        class_names: The content of labels.txt.
    """

    folder: Path
    manifest: dict[str, Any]
    class_names: tuple[str, ...]

    @classmethod
    def open(cls, folder: str | Path) -> Export:
        """Reads the description of an export.

        Raises:
            FileNotFoundError: There is no export in the folder.
            ExportError: Its description is damaged.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError(f"An export is a folder with {MANIFEST}. Received: {folder} without one.")
        try:
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
            names = tuple((folder / LABELS).read_text("utf-8").splitlines())
            classes = manifest["output"]["classes"]
            _ = [(row["mode"], row["file"], row["sha256"], row["size"]) for row in manifest["files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExportError(f"{MANIFEST} and {LABELS} must be as export wrote them. Received: {folder}.") from error
        if len(names) != classes:
            raise ExportError(f"{LABELS} must name {classes} classes. Received: {len(names)} in {folder}.")
        return cls(folder, manifest, names)

    @property
    def files(self) -> dict[str, Path]:
        """Each exported file (for `"saved_model"`, a folder) by its mode."""
        return {row["mode"]: self.folder / row["file"] for row in self.manifest["files"]}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        height, width, channels = self.manifest["input"]["shape"][1:]
        return height, width, channels


def export(
    model: keras.Model,
    folder: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    calibration: Iterable[Any] | np.ndarray | None = None,
    modes: Iterable[str] = ("float32", "int8"),
    saved_model: bool = True,
    onnx: bool = False,
    learning: TrunkMode | None = None,
    preprocessing: str | None = None,
    interpolation: str = "bilinear",
    central_crop: float = 1.0,
    batch: int | None = 1,
    output: Literal["probabilities", "logits"] = "probabilities",
    about: About | None = None,
    proof: Iterable[Any] | None = None,
    limits: Limits | None = None,
    selective: bool = False,
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
        calibration: Real images for the integer modes: batches [n, h, w, c] (or pairs of them and labels), or single
            images, pixels 0..255. A hundred or more of the training images are a good choice.
        modes: TFLite files to write: names in `keras_inception.tflite.quantize.MODES`.
        saved_model: Whether to write the SavedModel; it takes any batch size, and has a second signature,
            `serve_encoded`, for `encoded` JPEG or PNG files.
        onnx: Whether to write model.onnx as well, for any batch size. Needs the `onnx` extra.
        learning: Whether to write model_learning.tflite, whose classifier an app can train, with its trunk stored as
            float32, float16 or dynamic; see `keras_inception.tflite.learning.learning_file`.
        preprocessing: Name of the preprocessing for a model without one inside (as in
            `keras_inception.preprocess_input`); `"none"` where the model truly takes raw pixels.
        interpolation: How `serve_encoded` and `Predictor` resize pictures: as in the training's pipeline.
        central_crop: Which share of the shorter side they keep.
        batch: Batch size of the TFLite files. GPU and NPU delegates want a fixed one; None accepts any.
        output: Whether the files answer probabilities or logits.
        about: What the .tflite files say of themselves: name, version, licence. Their metadata also holds the labels,
            so that Android Studio and mediapipe need no other file.
        proof: Batches of (images, labels). Where given, `verify` holds the files against the model before the folder
            appears, proof.json is written, and past a limit no folder appears.
        limits: Limits of that verification.
        selective: Where the int8 file passes a limit of the proof, leave the layers that cost most float, as few as
            the limits allow; export.json names them. Needs `proof`, and the `quantizer` extra.
        rounding: How the calibrated modes round weights: so that errors cancel on the calibration images (see
            `keras_inception.tflite.rounding`) and, for int8, with like ranges in all channels
            (`keras_inception.tflite.equalization`), or each to the nearest step, which is quicker and less exact.
        overwrite: Whether an earlier export in `folder` may be replaced.

    Returns:
        The export.

    Raises:
        ExportError: An argument breaks a rule, something stands at `folder`, the network cannot be expressed in
            TFLite's builtin operators, or a limit was passed. Nothing was written then.
    """
    target = Path(folder)
    chosen = check_modes(modes)
    if not (chosen or saved_model or onnx or learning):
        raise ExportError("An export needs at least one mode, the SavedModel or another file. Received: none.")
    check_target(target, marker=MANIFEST, overwrite=overwrite)
    fitting = Fitting(interpolation, central_crop)
    _require_tensorflow()
    raw = None if preprocessing == "none" else preprocessing
    twin = deploy(model, preprocessing=raw, output=output, fold=True)
    if preprocessing is None:
        _check_preprocessing(twin)
    about = replace(about or About(), name=(about and about.name) or model.name)
    shape, classes = image_shape(twin), int(twin.output_shape[-1])
    names = check_class_names(class_names, classes)
    if selective and (proof is None or "int8" not in chosen):
        raise ExportError("Selective quantisation needs a proof and the mode int8. Received: not both.")
    held = None if proof is None else _collected(proof, shape)
    calibrated = any(MODES[mode].calibrated for mode in chosen)
    images = calibration_images(calibration, shape) if calibrated else None
    if rounding not in ("compensated", "nearest"):
        raise ExportError(f"Weights are rounded 'compensated' or 'nearest'. Received: {rounding!r}.")
    compensated = calibrated and rounding == "compensated"

    with whole_folder(target, marker=MANIFEST, overwrite=overwrite) as partial:
        (partial / LABELS).write_text("".join(f"{name}\n" for name in names), "utf-8")
        rows = []
        if saved_model:
            with _one_sentence("SavedModel"), quiet():
                write_saved_model(twin, partial / SAVED_MODEL, fitting)
            rows.append(_describe(partial, SAVED_MODEL, SAVED_MODEL))
        if onnx:
            with _one_sentence("ONNX"), quiet():
                write_onnx(twin, partial / "model.onnx", names)
            rows.append(_describe(partial, "model.onnx", ONNX))
        contents: dict[str, tuple[bytes, dict[str, Any]]] = {}
        for mode in chosen:
            network = _shaped(model, twin, MODES[mode].shape, {"preprocessing": raw, "output": output})
            if MODES[mode].calibrated and compensated and images is not None:
                # Sixteen bits have steps enough for every channel.
                network = equalize_channels(network, images) if mode == "int8" else network
                network = compensate_rounding(network, images)
            with _one_sentence(mode), quiet():
                contents[mode] = convert(trace(network, mode, batch), mode, images), {}
            if mode == "int8" and selective:
                contents[mode] = _selected(contents[mode][0], twin, network, batch, images, held, limits)
        if learning is not None:
            with _one_sentence(LEARNING), quiet():
                content = learning_file(model, learning, preprocessing=raw)
            contents[LEARNING] = content, {"trunk": learning}
        for mode, (content, details) in contents.items():
            found = operators(content)
            if custom := custom_operators(found):
                raise ExportError(f"Files must hold TFLite's builtin operators only. Received: {', '.join(custom)}.")
            if mode != LEARNING:
                content = with_metadata(content, about, class_names=names, image_shape=shape, output=output)
            name = f"model_{mode}.tflite"
            (partial / name).write_bytes(content)
            details = {"operators": found, "float_operators": float_operators(content), **details}
            rows.append(_describe(partial, name, mode) | details)
        manifest = {
            "format": 1,
            "model": model.name,
            "about": asdict(about),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("keras-inception", "keras", "tensorflow", "ai-edge-litert")},
            "signature": SIGNATURE,
            "input": {
                "name": INPUT, "dtype": "uint8", "shape": [batch, *shape], "range": [0, 255],
                "channels": {1: "grey", 3: "rgb"}.get(shape[-1], str(shape[-1])),
            },
            "output": {"name": OUTPUT, "dtype": "float32", "classes": classes, "kind": output},
            "preprocessing": preprocessing,
            **asdict(fitting),
            "calibration_images": 0 if images is None else len(images),
            "rounding": rounding if calibrated else None,
            "files": rows,
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        if held is not None:
            _prove(model, partial, [held], limits)
    return Export.open(target)


def sha256(path: Path) -> str:
    """The SHA-256 of a file; of a folder, that of its files' names and sums in sorted order."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in sorted(path.rglob("*")) if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size(path: Path) -> int:
    """Size in bytes of a file, or of a folder's files together."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def _describe(folder: Path, name: str, mode: str) -> dict[str, Any]:
    return {"mode": mode, "file": name, "size": size(folder / name), "sha256": sha256(folder / name)}


def _shaped(model: keras.Model, twin: keras.Model, shape: str, options: dict[str, Any]) -> keras.Model:
    """The twin in the shape that a mode computes fastest."""
    if shape == "merged":
        return deploy(model, fold=True, merge=True, **options)
    return convolve_pools(twin) if shape == "convolved" else twin


def _collected(proof: Iterable[Any], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    from keras_inception.tflite.verification import collect

    return collect(proof, shape)


def _selected(
    content: bytes,
    twin: keras.Model,
    rounded: keras.Model,
    batch: int | None,
    images: Any,
    held: Any,
    limits: Limits | None,
) -> tuple[bytes, dict[str, Any]]:
    """The int8 file as it is where it keeps the limits, else one with float layers, and what export.json says of it."""
    from keras_inception.tflite.selective import opened, quantize_selectively
    from keras_inception.tflite.verification import Standard

    pictures, labels = held
    standard = Standard(twin, pictures, labels, limits or Limits())
    if standard.accepts(opened(content)):
        return content, {"float_layers": []}
    with _one_sentence("int8"), quiet():
        float_file = convert(trace(rounded, "float32", batch), "float32", None)
    names = [layer.name for layer in twin.layers]
    chosen = quantize_selectively(float_file, images, standard.accepts, layer_names=names)
    return chosen.content, {"float_layers": list(chosen.float_layers)}


def _prove(model: keras.Model, folder: Path, batches: Iterable[Any], limits: Limits | None) -> None:
    from keras_inception.tflite.verification import verify

    result = verify(model, folder, batches, limits=limits)
    if not result.passed:
        raise ExportError(f"Exported files must stay within the limits. Received: {' '.join(result.failures)}")


@contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Turns what the converter raises, pages long, into one sentence that names the cause."""
    try:
        yield
    except (ExportError, OSError):
        raise
    except Exception as error:
        text = str(error).strip() or type(error).__name__
        if "No space left" in text:  # TensorFlow's own file system code raises no OSError
            raise OSError(errno.ENOSPC, text) from error
        unsupported = sorted(set(re.findall(r"(?:Flex|Custom) ops?: ([\w, ]+)", text)))
        if unsupported:
            raise ExportError(
                "The network must be expressible in TFLite's builtin operators. "
                f"Received: {'; '.join(unsupported)} ({what})."
            ) from error
        raise ExportError(
            f"The network must be one that TensorFlow can convert to {what}. Received: {text.splitlines()[0]}"
        ) from error


def _require_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "Exports are made on the TensorFlow backend: save the model as .keras and export it with "
            f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}."
        )


def _check_preprocessing(twin: keras.Model) -> None:
    if not any(isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) for layer in twin.layers):
        raise ExportError(
            "Exported files take raw pixels: build the model with include_preprocessing=True, or name its "
            f"preprocessing ('none' where it takes 0..255 as it is). Received: {twin.name} with none inside."
        )


def check_class_names(class_names: Sequence[str] | None, classes: int) -> list[str]:
    """Returns the names of the classes, by default their indices; raises `ExportError` unless there are as many."""
    names = [str(index) for index in range(classes)] if class_names is None else [str(name) for name in class_names]
    if len(names) != classes:
        raise ExportError(f"There must be a name for each of the {classes} classes. Received: {len(names)} names.")
    for name in names:
        if len(name.splitlines()) != 1:
            raise ExportError(f"A class name is one line of text. Received: {name!r}.")
    return names
