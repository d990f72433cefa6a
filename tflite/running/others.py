"""Exported files of other formats, opened like the .tflite ones: functions of pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.processors import cores

from ..errors import ExportError, first_line
from ..files.onnx import CLASS_NAMES, TRUST
from ..files.tracing import ANSWERS, INPUT, OUTPUT, SIGNATURE, UNFAMILIAR, output_named
from ..files.trust import NOTHING_SAID, Trust


@dataclass(frozen=True)
class Opened:
    """A file as a function of a uint8 batch that returns its predictions, a float32 array.

    Attributes:
        answers: The function of all that the file answers, by name.
        image_shape: What it takes of an image, height, width and channels; None: any.
        keep: Whose weights the function needs: they live as long as the object does.
        class_names: Names of the classes, where the file holds them.
        classes: Length of the answer for one image; 0 where the file does not say.
        output: What the answer is called.
        trust: How far the answers can be trusted, where the file holds that.
    """

    answers: Callable[[Any], dict[str, np.ndarray]]
    image_shape: tuple[int | None, ...]
    keep: Any
    class_names: tuple[str, ...] | None = None
    classes: int = 0
    output: str = OUTPUT
    trust: Trust = NOTHING_SAID

    def __call__(self, images: Any) -> np.ndarray:
        """The predictions of a batch of pixels."""
        return self.answers(images)[self.output]


def open_onnx(path: str | Path, *, threads: int | None = None) -> Opened:
    """Opens an exported ONNX file in ONNX Runtime.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: ONNX Runtime is not installed, or it cannot read the file, or that is none of an export.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(
            "Running an ONNX file needs onnxruntime: pip install 'keras-inception[onnx]'. "
            f"Received: {path} in an environment without it."
        ) from None
    content = Path(path).read_bytes()  # FileNotFoundError names the file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ExportError(f"An ONNX file must be whole. Received: {path} ({first_line(error)}).") from error

    inputs = {value.name: value for value in session.get_inputs()}
    outputs = [value.name for value in session.get_outputs()]
    output = _check_names("An ONNX file", path, inputs, outputs)
    if inputs[INPUT].type != "tensor(uint8)":
        raise ExportError(f"An ONNX file must take uint8 pixels. Received: {path}, which takes {inputs[INPUT].type}.")

    wanted = [name for name in (output, UNFAMILIAR) if name in outputs]

    shape = tuple(size if isinstance(size, int) else None for size in inputs[INPUT].shape[1:])
    answered = next(value.shape for value in session.get_outputs() if value.name == output)
    if len(shape) != 3 or len(answered) != 2 or not isinstance(answered[1], int):
        raise ExportError(
            "An ONNX file must map [n, height, width, channels] to [n, classes]. "
            f"Received: {path} with {inputs[INPUT].shape} to {answered}."
        )
    told = session.get_modelmeta().custom_metadata_map
    names = told.get(CLASS_NAMES)

    def answers(images: np.ndarray) -> dict[str, np.ndarray]:
        found = session.run(wanted, {INPUT: np.ascontiguousarray(images, np.uint8)})
        return dict(zip(wanted, found, strict=True))

    class_names = None if names is None else tuple(names.split("\n"))
    return Opened(answers, shape, session, class_names, answered[1], output, _trust(told, path))


def open_saved_model(folder: str | Path, signature: str = SIGNATURE) -> Opened:
    """Loads an exported SavedModel.

    Args:
        folder: The folder that holds saved_model.pb.
        signature: Which of its functions.

    Raises:
        FileNotFoundError: There is no such folder.
        ExportError: It cannot be loaded, has no such signature, or one that is none of an export's.
    """
    import tensorflow as tf

    folder = Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise FileNotFoundError(f"A SavedModel is a folder with saved_model.pb. Received: {folder}.")
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures[signature]
    except Exception as error:  # protobuf, h5 and TensorFlow errors share no base class
        raise ExportError(f"A SavedModel must be whole. Received: {folder} ({first_line(error)}).") from error

    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    output = _check_names("A SavedModel", folder, inputs, outputs)
    if inputs[INPUT].dtype != tf.uint8:
        raise ExportError(
            f"A SavedModel must take uint8 pixels. Received: {folder}, which takes {inputs[INPUT].dtype.name}."
        )

    def answers(images: Any) -> dict[str, np.ndarray]:
        found = function(**{INPUT: tf.constant(images)})
        return {name: found[name].numpy() for name in (output, UNFAMILIAR) if name in found}

    shape = inputs[INPUT].shape
    return Opened(answers, tuple(shape[1:]) if shape.rank else (None, None, None), loaded, output=output)


def _trust(told: Mapping[str, str], path: str | Path) -> Trust:
    try:
        return Trust.from_json(json.loads(told[TRUST])) if TRUST in told else NOTHING_SAID
    except (ExportError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{TRUST!r} in an ONNX file must be as export writes it. Received: {path}.") from error


def _check_names(what: str, path: str | Path, inputs: Iterable[str], outputs: Collection[str]) -> str:
    output = output_named(outputs)
    if {*inputs} != {INPUT} or output is None:
        raise ExportError(
            f"{what} must map {INPUT!r} to {ANSWERS}, as export writes it. Received: {path} with "
            f"{', '.join(map(str, inputs))} to {', '.join(map(str, outputs))}."
        )
    return output
