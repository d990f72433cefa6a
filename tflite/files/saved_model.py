"""A deployed network as a SavedModel, for pixels and for encoded pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from ..network.deploying import image_shape
from ..network.familiarity import Familiarity
from ..pictures.fitting import Fitting, decode
from .tracing import INPUT, OUTPUT, SIGNATURE, answering

ENCODED_SIGNATURE = "serve_encoded"


def write_saved_model(
    twin: keras.Model, folder: Path, fitting: Fitting, output: str = OUTPUT, familiarity: Familiarity | None = None
) -> None:
    """Writes a SavedModel with the signatures `serving_default` (pixels) and `serve_encoded` (JPEG or PNG files).

    Files are prepared as evaluation prepares them: see `keras_inception.tflite.pictures.fitting.fit`.

    Args:
        twin: A model that `deploy` returned.
        folder: Where to write.
        fitting: How files are made to fit.
        output: What the answer is called.
        familiarity: What tells strangers by the features that the twin answers beside its predictions.
    """
    import tensorflow as tf

    height, width, channels = image_shape(twin)
    from_pixels = answering(lambda pixels: twin(pixels, training=False), familiarity, output)

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
