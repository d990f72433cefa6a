"""Exported files of other formats, opened like the .tflite ones: functions of pixels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError, first_line
from ..files.onnx import CLASS_NAMES
from ..files.tracing import ANSWERS, INPUT, OUTPUT, SIGNATURE, output_named
from .litert import cores


@dataclass(frozen=True)
class Opened:
    """A file as a function of a uint8 batch that returns a float32 array.

    Attributes:
        run: The function.
        image_shape: What it takes of an image, height, width and channels; None: any.
        keep: Whose weights the function needs: they live as long as the object does.
        class_names: Names of the classes, where the file holds them.
        classes: Length of the answer for one image; 0 where the file does not say.
        output: What the answer is called.
    """

    run: Callable[[Any], np.ndarray]
    image_shape: tuple[int | None, ...]
    keep: Any
    class_names: tuple[str, ...] | None = None
    classes: int = 0
    output: str = OUTPUT

    def __call__(self, images: Any) -> np.ndarray:
        """What the file answers to a batch of pixels."""
        return self.run(images)


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
    output = _check_names("An ONNX file", path, inputs, [value.name for value in session.get_outputs()])
    if inputs[INPUT].type != "tensor(uint8)":
        raise ExportError(f"An ONNX file must take uint8 pixels. Received: {path}, which takes {inputs[INPUT].type}.")

    def run(images: np.ndarray) -> np.ndarray:
        answer: np.ndarray = session.run([output], {INPUT: np.ascontiguousarray(images, np.uint8)})[0]
        return answer

    shape = tuple(size if isinstance(size, int) else None for size in inputs[INPUT].shape[1:])
    answers = next(value.shape for value in session.get_outputs() if value.name == output)
    if len(shape) != 3 or len(answers) != 2 or not isinstance(answers[1], int):
        raise ExportError(
            "An ONNX file must map [n, height, width, channels] to [n, classes]. "
            f"Received: {path} with {inputs[INPUT].shape} to {answers}."
        )
    names = session.get_modelmeta().custom_metadata_map.get(CLASS_NAMES)
    return Opened(run, shape, session, None if names is None else tuple(names.split("\n")), answers[1], output)


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

    def run(images: Any) -> np.ndarray:
        return function(**{INPUT: tf.constant(images)})[output].numpy()

    shape = inputs[INPUT].shape
    return Opened(run, tuple(shape[1:]) if shape.rank else (None, None, None), loaded, output=output)


def _check_names(what: str, path: str | Path, inputs: Iterable[str], outputs: Collection[str]) -> str:
    output = output_named(outputs)
    if {*inputs} != {INPUT} or output is None:
        raise ExportError(
            f"{what} must map {INPUT!r} to {ANSWERS}, as export writes it. Received: {path} with "
            f"{', '.join(map(str, inputs))} to {', '.join(map(str, outputs))}."
        )
    return output
