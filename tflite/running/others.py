"""Exported files of other formats, opened like the .tflite ones: functions of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExportError, first_line
from ..files.tracing import INPUT, OUTPUT, SIGNATURE
from .litert import cores


def open_onnx(path: str | Path, *, threads: int | None = None) -> Any:
    """Opens an exported ONNX file in ONNX Runtime.

    Returns:
        A function of a uint8 batch that returns a float32 array.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: ONNX Runtime is not installed, or it cannot read the file.
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

    def call(images: np.ndarray) -> np.ndarray:
        answer: np.ndarray = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images, np.uint8)})[0]
        return answer

    return call


def open_saved_model(folder: str | Path, signature: str = SIGNATURE) -> Any:
    """Loads an exported SavedModel.

    Args:
        folder: The folder that holds saved_model.pb.
        signature: Which of its functions.

    Returns:
        A function of a uint8 batch that returns a float32 array.

    Raises:
        FileNotFoundError: There is no such folder.
        ExportError: It cannot be loaded, or has no such signature.
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

    def call(images: Any) -> np.ndarray:
        return function(**{INPUT: tf.constant(images)})[OUTPUT].numpy()

    call.keep = loaded  # type: ignore[attr-defined]  # the variables live as long as the object does
    return call
