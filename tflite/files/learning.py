"""A TFLite file that goes on learning on the device: its trunk is fixed, its classifier is trained by the app."""

from __future__ import annotations

import tempfile
from typing import Any, Literal

import keras
import numpy as np

from ..errors import ExportError
from ..network.deploying import deploy, image_shape
from .flatbuffer import read, write
from .rewriting import with_dynamic_range
from .tracing import INPUT, OUTPUT, constant_weights

TrunkMode = Literal["float32", "float16", "dynamic"]
TRUNK_MODES: tuple[str, ...] = ("float32", "float16", "dynamic")
KERNEL, BIAS = "kernel", "bias"


def learning_file(model: keras.Model, mode: TrunkMode = "dynamic", *, preprocessing: str | None = None) -> bytes:
    """Converts a network to a TFLite file whose classifier an app can train.

    Its signatures hold builtin operators only, so that any LiteRT runs it:

    - `infer`: `images`, uint8 [n, h, w, c] -> `predictions`, float32 [n, classes].
    - `train`: `images`, `labels`, int32 [n], and `learning_rate`, float32 [] -> `loss`, float32 []: one step of
      stochastic gradient descent on the mean cross-entropy, of the classifier alone.
    - `save`: nothing -> `kernel`, float32 [features, classes], and `bias`, float32 [classes], for the app to store.
    - `restore`: `kernel` and `bias` -> `restored`, int32 [], the number of weights taken.

    TensorFlow's own example writes checkpoint files from inside the graph, which takes the Flex runtime and its 20 MB.

    Args:
        model: A trained network that ends in a dense layer and a softmax.
        mode: How the trunk's weights are stored; the classifier's are float32.
        preprocessing: See `deploy`.

    Returns:
        The file's bytes.

    Raises:
        ExportError: Another mode, or a network with another end.
    """
    import tensorflow as tf

    if mode not in TRUNK_MODES:
        raise ExportError(f"The trunk of a learning file is {', '.join(TRUNK_MODES)}. Received: {mode!r}.")
    logits = deploy(model, output="logits", fold=True)
    classifier = logits.outputs[0]._keras_history.operation
    if not isinstance(classifier, keras.layers.Dense):
        raise ExportError(
            f"A learning file needs a dense classifier at the end. Received: {type(classifier).__name__}."
        )
    trunk = deploy(keras.Model(logits.inputs[0], classifier.input), preprocessing=preprocessing)
    kernel, *rest = classifier.get_weights()
    bias = rest[0] if rest else np.zeros(classifier.units, "float32")
    module, functions = _functions(trunk, kernel, bias)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        if mode == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
    # The trunk is in two of the signatures: what is written anew holds it once.
    return with_dynamic_range(content) if mode == "dynamic" else write(read(content))


def _functions(trunk: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The module that owns the classifier's variables, and its traced signatures."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel, module.bias = tf.Variable(kernel), tf.Variable(bias)
    trunk_weights = constant_weights(trunk)

    def features(images: Any) -> Any:
        return trunk_weights(tf.cast(images, tf.float32))

    def infer(images: Any) -> dict[str, Any]:
        return {OUTPUT: tf.nn.softmax(tf.matmul(features(images), module.kernel) + module.bias)}

    def train(images: Any, labels: Any, learning_rate: Any) -> dict[str, Any]:
        inputs = features(images)
        probabilities = tf.nn.softmax(tf.matmul(inputs, module.kernel) + module.bias)
        targets = tf.one_hot(labels, kernel.shape[1])
        # The gradient of softmax with cross-entropy, by hand: TensorFlow's own has operators that TFLite lacks.
        share = learning_rate / tf.cast(tf.shape(labels)[0], tf.float32)
        error = (probabilities - targets) * share
        module.kernel.assign(module.kernel - tf.matmul(tf.transpose(inputs), error))
        module.bias.assign(module.bias - tf.reduce_sum(error, axis=0))
        likelihood = tf.reduce_sum(probabilities * targets, axis=1)
        return {"loss": -tf.reduce_mean(tf.math.log(tf.maximum(likelihood, 1e-7)))}

    def save() -> dict[str, Any]:
        return {KERNEL: module.kernel.read_value(), BIAS: module.bias.read_value()}

    def restore(kernel: Any, bias: Any) -> dict[str, Any]:
        module.kernel.assign(kernel)
        module.bias.assign(bias)
        return {"restored": tf.size(kernel) + tf.size(bias)}

    pixels = tf.TensorSpec((None, *image_shape(trunk)), tf.uint8, name=INPUT)
    labels = tf.TensorSpec((None,), tf.int32, name="labels")
    rate = tf.TensorSpec((), tf.float32, name="learning_rate")
    arrays = [tf.TensorSpec(array.shape, tf.float32, name=name) for name, array in ((KERNEL, kernel), (BIAS, bias))]
    signatures = {"infer": (infer, [pixels]), "train": (train, [pixels, labels, rate]), "save": (save, []),
                  "restore": (restore, arrays)}  # fmt: skip
    return module, {
        name: tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
        for name, (function, specs) in signatures.items()
    }
