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
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from keras_inception.tflite.atomic import check_target, whole_folder
from keras_inception.tflite.deployment import deploy
from keras_inception.tflite.errors import ExportError, quiet
from keras_inception.tflite.metadata import LABELS, About, with_metadata
from keras_inception.tflite.pictures import check_interpolation, decode
from keras_inception.tflite.quantize import MODES, calibration_images, check_modes, convert
from keras_inception.tflite.runtime import INPUT, OUTPUT, SIGNATURE, custom_operators, float_operators, operators

if TYPE_CHECKING:
    from keras_inception.tflite.verification import Limits

MANIFEST = "export.json"
SAVED_MODEL = "saved_model"
ENCODED_SIGNATURE = "serve_encoded"


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
    preprocessing: str | None = None,
    interpolation: str = "bilinear",
    batch: int | None = 1,
    output: Literal["probabilities", "logits"] = "probabilities",
    about: About | None = None,
    proof: Iterable[Any] | None = None,
    limits: Limits | None = None,
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
        preprocessing: Name of the preprocessing for a model without one inside (as in
            `keras_inception.preprocess_input`); `"none"` where the model truly takes raw pixels.
        interpolation: How `serve_encoded` and `Predictor` resize pictures: as in the training's pipeline.
        batch: Batch size of the TFLite files. GPU and NPU delegates want a fixed one; None accepts any.
        output: Whether the files answer probabilities or logits.
        about: What the .tflite files say of themselves: name, version, licence. Their metadata also holds the labels,
            so that Android Studio and mediapipe need no other file.
        proof: Batches of (images, labels). Where given, `verify` holds the files against the model before the folder
            appears, proof.json is written, and past a limit no folder appears.
        limits: Limits of that verification.
        overwrite: Whether an earlier export in `folder` may be replaced.

    Returns:
        The export.

    Raises:
        ExportError: An argument breaks a rule, something stands at `folder`, the network cannot be expressed in
            TFLite's builtin operators, or a limit was passed. Nothing was written then.
    """
    target = Path(folder)
    chosen = check_modes(modes)
    if not chosen and not saved_model:
        raise ExportError("An export needs at least one mode or the SavedModel. Received: neither.")
    check_target(target, marker=MANIFEST, overwrite=overwrite)
    check_interpolation(interpolation)
    _require_tensorflow()
    raw = None if preprocessing == "none" else preprocessing
    twin = deploy(model, preprocessing=raw, output=output, fold=True)
    merge = any(MODES[mode].merged for mode in chosen)
    merged = deploy(model, preprocessing=raw, output=output, fold=True, merge=True) if merge else twin
    if preprocessing is None:
        _check_preprocessing(twin)
    about = replace(about or About(), name=(about and about.name) or model.name)
    shape, classes = image_shape(twin), int(twin.output_shape[-1])
    names = check_class_names(class_names, classes)
    images = calibration_images(calibration, shape) if any(MODES[mode].calibrated for mode in chosen) else None

    with whole_folder(target, marker=MANIFEST, overwrite=overwrite) as partial:
        (partial / LABELS).write_text("".join(f"{name}\n" for name in names), "utf-8")
        rows = []
        if saved_model:
            with _one_sentence("SavedModel"), quiet():
                write_saved_model(twin, partial / SAVED_MODEL, interpolation)
            rows.append(_describe(partial, SAVED_MODEL, SAVED_MODEL))
        for mode in chosen:
            with _one_sentence(mode), quiet():
                content = convert(trace(merged if MODES[mode].merged else twin, mode, batch), mode, images)
            found = operators(content)
            if custom := custom_operators(found):
                raise ExportError(f"Files must hold TFLite's builtin operators only. Received: {', '.join(custom)}.")
            content = with_metadata(content, about, class_names=names, image_shape=shape, output=output)
            name = f"model_{mode}.tflite"
            (partial / name).write_bytes(content)
            rows.append(
                _describe(partial, name, mode) | {"operators": found, "float_operators": float_operators(content)}
            )
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
            "interpolation": interpolation,
            "calibration_images": 0 if images is None else len(images),
            "files": rows,
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
        if proof is not None:
            _prove(model, partial, proof, limits)
    return Export.open(target)


def trace(twin: keras.Model, mode: str, batch: int | None) -> Any:
    """Traces the twin with its weights as constants: the form that the converter folds best.

    Args:
        twin: A model that `deploy` returned.
        mode: The TFLite mode, which decides how the pixels enter.
        batch: Batch size; None: any.

    Returns:
        A concrete function from `images` to `predictions`.
    """
    import tensorflow as tf

    trainable = [np.asarray(variable) for variable in twin.trainable_variables]
    others = [np.asarray(variable) for variable in twin.non_trainable_variables]
    pixel_type = tf.float32 if MODES[mode].pixels_by_converter else tf.uint8

    def serve(images: Any) -> dict[str, Any]:
        constants = [tf.constant(value) for value in trainable], [tf.constant(value) for value in others]
        answer, _ = twin.stateless_call(*constants, tf.cast(images, tf.float32), training=False)
        return {OUTPUT: answer}

    spec = tf.TensorSpec((batch, *image_shape(twin)), pixel_type, name=INPUT)
    return tf.function(serve, input_signature=[spec], autograph=False).get_concrete_function()


def write_saved_model(twin: keras.Model, folder: Path, interpolation: str = "bilinear") -> None:
    """Writes a SavedModel with the signatures `serving_default` (pixels) and `serve_encoded` (JPEG or PNG files).

    Files are prepared as evaluation prepares them: see `keras_inception.tflite.pictures.fit`.

    Args:
        twin: A model that `deploy` returned.
        folder: Where to write.
        interpolation: How files are resized.
    """
    import tensorflow as tf

    height, width, channels = image_shape(twin)

    def from_pixels(images: Any) -> dict[str, Any]:
        return {OUTPUT: twin(tf.cast(images, tf.float32), training=False)}

    def decoded(content: Any) -> Any:
        return decode(content, (height, width, channels), interpolation)

    def from_files(encoded: Any) -> dict[str, Any]:
        return from_pixels(tf.map_fn(decoded, encoded, fn_output_signature=tf.uint8))

    # keras.export.ExportArchive would store every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in twin.variables]
    specs: dict[str, tuple[Any, Any]] = {
        SIGNATURE: (from_pixels, tf.TensorSpec((None, height, width, channels), tf.uint8, name=INPUT))
    }
    if channels in (1, 3, 4):
        specs[ENCODED_SIGNATURE] = from_files, tf.TensorSpec((None,), tf.string, name="encoded")
    signatures = {
        name: tf.function(function, input_signature=[spec], autograph=False).get_concrete_function()
        for name, (function, spec) in specs.items()
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)


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


def _prove(model: keras.Model, folder: Path, batches: Iterable[Any], limits: Limits | None) -> None:
    from keras_inception.tflite.verification import Limits, verify

    result = verify(model, folder, batches, limits=limits or Limits())
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


def image_shape(twin: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels that a model takes; raises `ExportError` unless they are fixed."""
    shape = tuple(twin.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ExportError(f"The model must take images of one size, input_shape=(h, w, c). Received: {shape}.")
    return shape


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
