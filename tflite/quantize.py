"""The modes of a TFLite file, and the real images that calibrate the integer ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_inception.tflite.errors import ExportError


@dataclass(frozen=True)
class Mode:
    """How a TFLite file stores weights and computes.

    Attributes:
        calibrated: Whether representative images are needed.
        pixels_by_converter: Whether the file takes uint8 because the converter quantises its float input, with scale
            1 and zero point 0; otherwise a cast inside the graph reads the pixels.
        shape: What is done to the folded network because it measures faster in this mode: `"merged"` branches (see
            `keras_inception.tflite.merge.merge_branches`), `"convolved"` pools (`convolve_pools`), or nothing.
        summary: One line for tables and documentation.
    """

    calibrated: bool
    pixels_by_converter: bool
    shape: Literal["", "merged", "convolved"]
    summary: str


MODES = {
    "float32": Mode(False, False, "", "float32 weights and arithmetic: the reference"),
    "float16": Mode(False, False, "", "float16 weights, half the size; GPUs compute in float16, CPUs in float32"),
    "dynamic": Mode(False, False, "merged", "int8 weights, a quarter of the size; activations quantised on the fly"),
    "int8": Mode(True, True, "convolved", "int8 weights and activations: CPUs, DSPs and NPUs"),
    "int16x8": Mode(True, False, "", "int8 weights, int16 activations: where int8 loses too much"),
}


def check_modes(modes: Iterable[str]) -> tuple[str, ...]:
    """Returns the modes as a tuple without repetitions.

    Raises:
        ExportError: One of them is unknown.
    """
    chosen = tuple(dict.fromkeys([modes] if isinstance(modes, str) else modes))
    for mode in chosen:
        if mode not in MODES:
            raise ExportError(f"A mode must be one of {', '.join(MODES)}. Received: {mode!r}.")
    return chosen


def calibration_images(source: Iterable[Any] | np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Collects the images that calibrate integer files.

    Args:
        source: Batches [n, h, w, c], (images, labels) pairs of them, or single images [h, w, c]; pixels 0..255.
        shape: Height, width and channels that the network takes.

    Returns:
        uint8 [n, h, w, c].

    Raises:
        ExportError: There are no images, or they have another size, or values that are not pixels in 0..255.
    """
    batches = [pixels(_images_of(item), shape) for item in (() if source is None else source)]
    if not batches or not sum(map(len, batches)):
        raise ExportError("Integer modes are calibrated on real images. Received: an empty calibration set.")
    images = np.concatenate(batches)
    if images.max() <= 1:
        raise ExportError("Calibration images must have pixel values in 0..255. Received: no value above 1.")
    return images


def pixels(images: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a batch of images (or a single one) as uint8 pixels.

    Args:
        images: [n, h, w, c] or [h, w, c], values in 0..255 of any number type.
        shape: Height, width and channels that are wanted.

    Raises:
        ExportError: Another size, or values outside 0..255.
    """
    array = np.asarray(images)
    array = array[None] if array.ndim == 3 else array
    if array.shape[1:] != shape:
        wanted = "x".join(map(str, shape))
        raise ExportError(f"Images must be {wanted}, as the network takes them. Received: shape {np.shape(images)}.")
    if array.dtype == np.uint8:
        return array
    if not (np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 255):
        raise ExportError(
            f"Images must have pixel values in 0..255. Received: values from {array.min():g} to {array.max():g}."
        )
    return np.rint(array).astype(np.uint8)


def convert(function: Any, mode: str, calibration: np.ndarray | None) -> bytes:
    """Converts a traced function to a TFLite file of TFLite's builtin operators.

    Args:
        function: Concrete function without variables, with the signature that `export` traces.
        mode: Name of one of `MODES`.
        calibration: uint8 [n, h, w, c]; for calibrated modes.

    Returns:
        The file's bytes.

    Raises:
        ExportError: The network holds something that TFLite's builtin operators cannot compute.
    """
    import tensorflow as tf

    # Variables would become resource operators; the module only names where there are none.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if mode != "float32":
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
    return converter.convert()


def _representative(images: np.ndarray, as_float: bool) -> Callable[[], Iterable[list[np.ndarray]]]:
    def samples() -> Iterable[list[np.ndarray]]:
        for index, image in enumerate(images):
            sample = image[None].astype(np.float32 if as_float else np.uint8)
            if index == 0:
                # The input's range becomes 0..255 exactly, so that its scale is 1 and no pixel value is rounded.
                sample[0, 0, 0, 0], sample[0, -1, -1, -1] = 0, 255
            yield [sample]

    return samples


def _images_of(item: Any) -> Any:
    return item[0] if isinstance(item, tuple) else item
