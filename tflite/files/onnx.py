"""A deployed network as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras

from ..errors import ExportError
from ..network.deploying import image_shape
from ..network.familiarity import Familiarity
from .tracing import INPUT, OUTPUT, answering, constant_weights
from .trust import NOTHING_SAID, Trust

CLASS_NAMES = "class_names"
"""What the names of the classes are called in the metadata, one a line."""
TRUST = "trust"
_OPSET = 17  # the newest that Android's and Windows' runtimes of the last years know


def write_onnx(
    twin: keras.Model,
    path: Path,
    class_names: Sequence[str],
    output: str = OUTPUT,
    familiarity: Familiarity | None = None,
    trust: Trust = NOTHING_SAID,
) -> None:
    """Writes an ONNX file that takes `images`, uint8 [n, h, w, c], and answers `predictions`, or what `output` says.

    The class names, where there are any, are in its metadata, under `class_names`, one a line, and how far answers can
    be trusted, where anything is said of that, under `trust`, as JSON.

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
    serve = answering(constant_weights(twin), familiarity, output)
    specs = [tf.TensorSpec((None, *image_shape(twin)), tf.uint8, name=INPUT)]
    function = tf.function(serve, input_signature=specs, autograph=False)
    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)  # Keras compiles grouped convolutions by XLA, as functions that ONNX has not
    try:
        proto, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=_OPSET)
    finally:
        tf.config.run_functions_eagerly(eagerly)
    said = {CLASS_NAMES: "\n".join(class_names)} if class_names else {}
    if trust != NOTHING_SAID:
        said[TRUST] = json.dumps(trust.to_json())
    if said:
        onnx.helper.set_model_props(proto, said)
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())
