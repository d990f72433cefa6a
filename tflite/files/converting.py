"""The converter: a traced network becomes a TFLite file."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_inception.integers import IntegerPixels

from ..errors import ExportError
from .modes import MODES
from .rewriting import with_dynamic_range, with_float_probabilities, with_integer_pixels, with_quick_relus


def require_tensorflow() -> None:
    """Raises `ExportError` on another backend."""
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "Exports are made on the TensorFlow backend: save the model as .keras and export it with "
            f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}."
        )


def convert_annotated(function: Any) -> bytes:
    """Converts a traced simulation to an int8 file, by the ranges that it holds."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with warnings.catch_warnings():  # the converter misses statistics of pixels, which `with_integer_pixels` brings
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        content = converter.convert()
    return with_float_probabilities(with_integer_pixels(with_quick_relus(content), IntegerPixels.UNIT))


def convert(function: Any, mode: str, calibration: np.ndarray | None, *, float_probabilities: bool = True) -> bytes:
    """Converts a traced function to a TFLite file of TFLite's builtin operators.

    Args:
        function: Concrete function without variables, with the signature that `export` traces.
        mode: Name of one of `MODES`.
        calibration: uint8 [n, h, w, c]; for calibrated modes.
        float_probabilities: Whether an int8 file computes its last softmax or sigmoid in float.

    Returns:
        The file's bytes.

    Raises:
        ExportError: The network holds something that TFLite's builtin operators cannot compute.
    """
    import tensorflow as tf

    # Variables would become resource operators; the module only names where there are none.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if mode not in ("float32", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if MODES[mode].calibrated:
        assert calibration is not None
        converter.representative_dataset = _representative(calibration, MODES[mode].pixels_by_converter)
    if mode == "int8":
        # Float builtins stay allowed for what has no integer kernel, such as local response normalisation;
        # export.json names what stayed.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.inference_input_type = tf.uint8
    if mode == "int16x8":
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    content: bytes = converter.convert()
    if mode == "dynamic":
        return with_dynamic_range(content)
    if mode == "int8":
        content = with_quick_relus(content)
        return with_float_probabilities(content) if float_probabilities else content
    return content


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
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


def _representative(images: np.ndarray, as_float: bool) -> Callable[[], Iterable[list[np.ndarray]]]:
    def samples() -> Iterable[list[np.ndarray]]:
        for index, image in enumerate(images):
            sample = image[None].astype(np.float32 if as_float else np.uint8)
            if index == 0:
                # The input's range becomes 0..255 exactly, so that its scale is 1 and no pixel value is rounded.
                sample[0, 0, 0, 0], sample[0, -1, -1, -1] = 0, 255
            yield [sample]

    return samples
