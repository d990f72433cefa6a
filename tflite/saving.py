"""Graphs of a deployed network: traced for the converter, saved as SavedModel or as ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_inception.tflite.errors import ExportError
from keras_inception.tflite.pictures import Fitting, decode
from keras_inception.tflite.quantize import MODES
from keras_inception.tflite.runtime import INPUT, OUTPUT, SIGNATURE

ENCODED_SIGNATURE = "serve_encoded"
_ONNX_OPSET = 17  # the newest that Android's and Windows' runtimes of the last years know


def constant_weights(twin: keras.Model) -> Callable[[Any], Any]:
    """The network as a function that, when traced, holds its weights as constants."""
    import tensorflow as tf

    trainable = [np.asarray(variable) for variable in twin.trainable_variables]
    others = [np.asarray(variable) for variable in twin.non_trainable_variables]

    def call(images: Any) -> Any:
        constants = [tf.constant(value) for value in trainable], [tf.constant(value) for value in others]
        answer, _ = twin.stateless_call(*constants, images, training=False)
        return answer

    return call


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

    network = constant_weights(twin)
    pixel_type = tf.float32 if MODES[mode].pixels_by_converter else tf.uint8

    def serve(images: Any) -> dict[str, Any]:
        return {OUTPUT: network(tf.cast(images, tf.float32))}

    spec = tf.TensorSpec((batch, *image_shape(twin)), pixel_type, name=INPUT)
    return tf.function(serve, input_signature=[spec], autograph=False).get_concrete_function()


def write_saved_model(twin: keras.Model, folder: Path, fitting: Fitting) -> None:
    """Writes a SavedModel with the signatures `serving_default` (pixels) and `serve_encoded` (JPEG or PNG files).

    Files are prepared as evaluation prepares them: see `keras_inception.tflite.pictures.fit`.

    Args:
        twin: A model that `deploy` returned.
        folder: Where to write.
        fitting: How files are made to fit.
    """
    import tensorflow as tf

    height, width, channels = image_shape(twin)

    def from_pixels(images: Any) -> dict[str, Any]:
        return {OUTPUT: twin(tf.cast(images, tf.float32), training=False)}

    def decoded(content: Any) -> Any:
        return decode(content, (height, width, channels), fitting)

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


def write_onnx(twin: keras.Model, path: Path, class_names: Sequence[str]) -> None:
    """Writes an ONNX file that takes `images`, uint8 [n, h, w, c], and answers `predictions`.

    The class names are in its metadata, under `class_names`, one a line.

    Raises:
        ExportError: tf2onnx is not installed.
    """
    import tensorflow as tf

    try:
        import onnx
        import tf2onnx
    except ImportError:
        raise ExportError(
            "ONNX files need tf2onnx and onnx: pip install 'keras-inception[onnx]'. "
            "Received: an environment without them."
        ) from None
    network = constant_weights(twin)
    specs = [tf.TensorSpec((None, *image_shape(twin)), tf.uint8, name=INPUT)]
    function = tf.function(
        lambda images: {OUTPUT: network(tf.cast(images, tf.float32))}, input_signature=specs, autograph=False
    )
    proto, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=_ONNX_OPSET)
    onnx.helper.set_model_props(proto, {"class_names": "\n".join(class_names)})
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def image_shape(twin: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels that a model takes; raises `ExportError` unless they are fixed."""
    shape = tuple(twin.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ExportError(f"The model must take images of one size, input_shape=(h, w, c). Received: {shape}.")
    return shape
