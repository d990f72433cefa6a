"""From a trained model to its deployable twin: float32, one output, no auxiliary head."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import keras

from keras_inception import embedding, preprocess_input

from ..errors import ExportError
from .flattening import flattened
from .folding import foldable, folded_weights
from .graph import copied, maker, recreated, scales_pixels

PREDICTIONS = "predictions"
EMBEDDING: Final = "embedding"
Output: TypeAlias = Literal["probabilities", "logits", "embedding"]


def deploy(
    model: keras.Model,
    *,
    preprocessing: str | None = None,
    output: Output = "probabilities",
    fold: bool = False,
) -> keras.Model:
    """Returns the float32 twin of a trained model, with the classifier as its only output.

    The twin is built from the layers' configurations with every dtype policy set to float32, and the weights are
    copied by layer name. Layers that the classifier does not need, such as auxiliary heads, are left out; models inside
    the model are laid out among its layers. The model itself is not changed.

    Args:
        model: Functional or Sequential Keras model, channels last, of any dtype policy.
        preprocessing: Name of a preprocessing (as in `keras_inception.preprocess_input`) to put in front, for a model
            that was built without `include_preprocessing`. The twin then takes pixels 0..255.
        output: `"logits"` leaves the final softmax out; `"embedding"` answers what the classifier reads, or a network
            without one its pooled features, as vectors of length 1 (see `keras_inception.embedding`).
        fold: Whether batch normalisations are folded into the convolutions before them, which changes the results by
            rounding alone.

    Returns:
        A model with one float32 input and one float32 output.

    Raises:
        ExportError: The model has no known classifier output, answers maps instead of classes, cannot be rebuilt
            (sub-classed, quantised or channels-first models), or is to be preprocessed twice.
    """
    check_deployable(model)
    flat = flattened(model)
    if preprocessing is not None and scales_pixels(flat):
        raise ExportError(
            "A model with preprocessing inside takes raw pixels: leave the name out. "
            f"Received: preprocessing={preprocessing!r} for {model.name}."
        )
    answer = flat.outputs[_place(model)]
    answer = _embedding(flat.inputs[0], answer) if output == EMBEDDING else _classifier(answer, output)
    trunk = keras.Model(flat.inputs[0], answer, name=model.name)
    if len(trunk.output_shape) != 2:
        raise ExportError(
            "The model must answer [n, classes] or [n, features]: without a top, build it with pooling. "
            f"Received: output shape {trunk.output_shape}."
        )
    folds = foldable(trunk) if fold else {}
    replaced = {batch_norm: weighted for weighted, batch_norm in folds.items()}
    weights = {name: folded_weights(trunk.get_layer(name), trunk.get_layer(folds[name])) for name in folds}

    def clone(layer: Any) -> Any:
        if layer.name in replaced:
            return keras.layers.Identity(name=layer.name, dtype="float32")
        return recreated(layer, use_bias=True) if layer.name in folds else recreated(layer)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        # An identity takes none of the options, such as a mask, that its batch normalisation was called with.
        return layer(*inputs) if layer.name in replaced else layer(*inputs, **options)

    twin = copied(trunk, clone=clone, call=call, weights=weights | {name: [] for name in replaced})
    if preprocessing is not None:
        pixels = keras.Input(model.inputs[0].shape[1:], dtype="float32", name="images")
        raw = preprocess_input(pixels, preprocessing)
        twin = flattened(keras.Model(pixels, twin(raw), name=model.name))
    return twin


def predictions(model: keras.Model, outputs: Any) -> Any:
    """Returns the classifier's part of what a model answers: of several outputs, the one named "predictions"."""
    return keras.tree.flatten(outputs)[_place(model)]


def _place(model: keras.Model) -> int:
    """Which of a model's outputs is kept."""
    if len(model.outputs) == 1:
        return 0
    named = model.output.get(PREDICTIONS) if isinstance(model.output, dict) else None
    for place, tensor in enumerate(model.outputs):
        if tensor is named or (named is None and maker(tensor)[0].name == PREDICTIONS):
            return place
    names = ", ".join(sorted(model.output_names))
    raise ExportError(f"One of several outputs must be named {PREDICTIONS!r}. Received: {names}.")


def without_unit_length(twin: keras.Model) -> keras.Model:
    """A twin that answers an embedding, up to the vectors that are brought to length 1."""
    return keras.Model(twin.inputs[0], maker(twin.outputs[0])[1], name=twin.name)


def _embedding(pixels: Any, tensor: Any) -> Any:
    """What the classifier that ends in a tensor reads, of length 1."""
    try:
        vectors = embedding(keras.Model(pixels, tensor)).outputs[0]
    except ValueError as error:
        raise ExportError(str(error)) from None
    is_unit = isinstance(maker(vectors)[0], keras.layers.UnitNormalization)
    return vectors if is_unit else keras.layers.UnitNormalization(name="unit_length", dtype="float32")(vectors)


def _classifier(tensor: Any, output: str) -> Any:
    """The symbolic output itself, or what its softmax is computed from."""
    if output == "probabilities":
        return tensor
    if output != "logits":
        raise ExportError(f"The output must be 'probabilities', 'logits' or 'embedding'. Received: {output!r}.")
    last, logits = maker(tensor)
    is_softmax = isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    )
    if not is_softmax:
        what = f"{type(last).__name__} {last.name!r}"
        raise ExportError(f"Logits need a softmax layer of its own at the end. Received: {what}.")
    return logits


def check_deployable(model: keras.Model) -> None:
    """Raises for what cannot be taken apart, what the runtime could not run or what would come out wrong."""
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ExportError(
            f"The model must be a functional or Sequential Keras model. Received: {type(model).__name__}."
        )
    if not getattr(model, "inputs", None):
        raise ExportError(f"The model must be built: give it an input shape. Received: {model.name} without one.")
    if len(model.inputs) != 1:
        raise ExportError(f"The model must have one input, the image. Received: {len(model.inputs)} inputs.")
    for layer in model._flatten_layers(include_self=False):  # those of inner models, too
        if getattr(layer, "data_format", None) == "channels_first":
            raise ExportError(f"The model must be channels last. Received: layer {layer.name!r} is channels first.")
        if getattr(layer, "quantization_mode", None):
            raise ExportError(
                f"The model must not be quantised by Keras; the export quantises it. Received: layer {layer.name!r} in "
                f"{layer.quantization_mode}."
            )


def folds_in_tensorflow(model: keras.Model) -> bool:
    """Whether TensorFlow may run a model with its batch norms folded.

    Where a convolution has a bias, its kernels for CPUs fuse a sum and a leaky ReLU that follow, and lose the ReLU's
    slope. What Keras computes with a batch norm in between has to stay so.
    """
    return not any(
        isinstance(layer, keras.layers.LeakyReLU) or getattr(layer, "activation", None) is keras.activations.leaky_relu
        for layer in model._flatten_layers(include_self=False)
    )


def image_shape(twin: keras.Model) -> tuple[int, int, int]:
    """Height, width and channels that a model takes; raises `ExportError` unless they are fixed."""
    shape = tuple(twin.inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ExportError(f"The model must take images of one size, input_shape=(h, w, c). Received: {shape}.")
    return shape
