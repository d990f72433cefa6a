"""A network that computes what its int8 file will compute, and can be trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_inception.integers import (
    IntegerAdd,
    IntegerConv,
    IntegerMean,
    IntegerPixels,
    IntegerProduct,
    Integers,
    Quantized,
    is_simulation,
    range_of,
)

from ..errors import ExportError
from ..pictures.pixels import calibration_images
from .deploying import check_deployable, deploy, image_shape
from .equalization import equalize_channels
from .graph import compiled, recreated
from .planning import KINDS, Plan, activation_of, keeps, own_activation, planned
from .pools import convolve_pools, postpone_pools
from .rounding import compensate_rounding
from .separable import split_separable

_BATCH = 16


def simulate(
    model: keras.Model,
    calibration: Iterable[Any] | np.ndarray,
    *,
    preprocessing: str | None = None,
    rounding: Literal["compensated", "nearest"] = "compensated",
) -> keras.Model:
    """Returns a model that computes what an int8 file of a network will compute, to the bit, and can be trained.

    It begins as the network in the form that `export` quantises: batch norms folded, channels equalised, weights
    rounded and ranges taken on the calibration images. Training it (with a small learning rate, for an epoch or two,
    and best with the network's own answers as targets) is quantisation-aware training: Jacob et al., 2018,
    https://arxiv.org/abs/1712.05877. Weights and biases train, ranges stay. `export` writes its int8 file without
    further calibration; on LiteRT's default CPU kernels, XNNPACK's, logits of file and model are the same integers.

    What it leaves as floats, because it has no integer kernel, is what the file leaves as floats.

    Args:
        model: Functional or Sequential Keras model, channels last; it is not changed. Auxiliary heads are left out.
        calibration: Real images: batches [n, h, w, c] (or pairs of them and labels), or single ones, pixels 0..255.
        preprocessing: Name of the preprocessing for a model without one inside, as in `export`.
        rounding: How weights are rounded at first, as in `export`.

    Returns:
        A float32 Keras model of pixels 0..255, whose layers of integers are registered with Keras.

    Raises:
        ExportError: The model cannot be deployed (see `deploy`) or is such a model already, there are no calibration
            images, or Keras's backend is neither TensorFlow nor JAX.
    """
    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise ExportError(f"Ranges are taken on TensorFlow or JAX. Received: {keras.backend.backend()}.")
    if rounding not in ("compensated", "nearest"):
        raise ExportError(f"Weights are rounded 'compensated' or 'nearest'. Received: {rounding!r}.")
    check_deployable(model)
    if is_simulation(model):
        raise ExportError(f"A model is simulated once. Received: {model.name}, which computes in integers already.")
    raw = None if preprocessing == "none" else preprocessing
    twin = split_separable(deploy(model, preprocessing=raw, fold=True))
    images = calibration_images(calibration, image_shape(twin))
    twin = equalize_channels(twin, images)
    if rounding == "compensated":
        twin = compensate_rounding(twin, images)
    return simulated(twin, images)


def simulated(twin: keras.Model, images: np.ndarray) -> keras.Model:
    """Returns a trainable model that computes in integers what a twin computes in floats.

    Convolutions and dense layers with what follows them (a batch norm is folded, a ReLU or ReLU6 fused), sums, means,
    pools and concatenations become integers; a softmax or sigmoid at the end, and what has no integer kernel, compute
    in float, between values of an integer file. Ranges are those of the images, as a converter takes them.

    Args:
        twin: A model that `deploy` returned with folded batch norms, without separable convolutions.
        images: Calibration images, uint8 [n, h, w, c].
    """
    twin = postpone_pools(twin)
    fixed = {layer.name for layer in twin.layers if type(layer) is keras.layers.AveragePooling2D}
    twin = convolve_pools(twin)
    plan = planned(twin)
    ranges = _ranges(twin, plan, images)
    images_in = keras.Input(twin.inputs[0].shape[1:], name="images")
    made: dict[int, Any] = {id(twin.inputs[0]): images_in}
    weights: list[tuple[Any, list[np.ndarray]]] = []
    if plan.offset is not None:
        first = IntegerPixels(plan.offset, plan.unit, name="pixels")
        made[id(twin.inputs[0])] = first(images_in)
        weights.append((first, _arrays([1.0], ranges[plan.of(twin.inputs[0])])))
    for node in plan.calls:
        inputs = [made[id(tensor)] for tensor in plan.inputs(node)]
        result = plan.result(node)
        layer, arrays = _layer(plan, node, fixed)
        answer = layer(inputs if isinstance(node.arguments.args[0], list) else inputs[0])
        if isinstance(layer, Integers):
            weights.append((layer, [*arrays, *_described(plan, ranges, node)]))
        elif not keeps(node.operation) and id(result) not in map(id, plan.outputs):
            quantized = Quantized(name=f"{layer.name}_quantized")
            answer = quantized(answer)
            weights.append((quantized, _described(plan, ranges, node)))
        made[id(result)] = answer
    outputs = [made[id(tensor)] for tensor in plan.outputs]
    model = keras.Model(images_in, outputs[0] if len(outputs) == 1 else outputs, name=twin.name)
    for layer, arrays in weights:
        layer.set_weights(arrays)
    return model


def _layer(plan: Plan, node: Any, fixed: set[str]) -> tuple[Any, list[np.ndarray]]:
    """What a call becomes, and the weights that are its own."""
    operation, name = node.operation, node.operation.name
    answer = node.output_tensors[0]
    activation = plan.fused[id(answer)][0] if id(answer) in plan.fused else "linear"
    if type(operation) in KINDS and own_activation(operation) is not None:
        arrays = plan.kernels.get(name, operation.get_weights())
        kernel, bias = arrays[0], arrays[1] if len(arrays) > 1 else np.zeros(operation.output.shape[-1])
        options: dict[str, Any] = {}
        if type(operation) is not keras.layers.Dense:
            options = {key: getattr(operation, key) for key in ("strides", "padding", "dilation_rate")}
        own = activation if activation != "linear" else own_activation(operation)
        layer = IntegerConv(
            KINDS[type(operation)],
            kernel.shape,
            kernel_trainable=name not in fixed,
            activation=own,
            name=name,
            **options,
        )
        return layer, [kernel, bias]
    if type(operation) is keras.layers.Add and len(node.input_tensors) == 2:
        return IntegerAdd(activation, name=name), []
    if type(operation) is keras.layers.GlobalAveragePooling2D and not operation.keepdims:
        return IntegerMean(name=name), []
    if type(operation).__name__ == "Multiply" and len(node.arguments.args) == 2 and len(node.input_tensors) == 1:
        factors = np.asarray(node.arguments.args[1])
        return IntegerProduct(factors.shape, name=name), [factors]
    if (alone := activation_of(operation)) is not None:
        return Quantized(changes=True, activation=alone, name=name), []
    return recreated(operation), []


def _described(plan: Plan, ranges: dict[Hashable, tuple[float, int]], node: Any) -> list[Any]:
    """Scales of what a call reads, and the range of what it answers."""
    inputs = [ranges.get(plan.of(tensor), (1.0, 0))[0] for tensor in plan.inputs(node)]
    return _arrays(inputs, ranges[plan.of(plan.result(node))])


def _arrays(input_scales: list[float], found: tuple[float, int]) -> list[Any]:
    scale, zero_point = found
    return [np.asarray(input_scales, "float32"), np.float32(scale), np.float32(zero_point)]


def _ranges(twin: keras.Model, plan: Plan, images: np.ndarray) -> dict[Hashable, tuple[float, int]]:
    """Scale and zero point of each set of tensors, by the least and the greatest number of the images."""
    results = [plan.result(node) for node in plan.calls if not keeps(node.operation)]
    reading = keras.Model(twin.inputs[0], [plan.scaled.get(id(tensor), tensor) for tensor in results])
    ends = compiled(
        lambda batch: [ops.stack([ops.min(x), ops.max(x)]) for x in keras.tree.flatten(reading(batch, training=False))]
    )
    least: dict[Hashable, float] = defaultdict(float)
    most: dict[Hashable, float] = defaultdict(float)
    for start in range(0, len(images), _BATCH):
        found = ends(images[start : start + _BATCH])
        for tensor, (low, high) in zip(results, map(np.asarray, found), strict=True):
            key = plan.of(tensor)
            least[key], most[key] = min(least[key], float(low)), max(most[key], float(high))
    ranges = {key: range_of(least[key], most[key]) for key in least}
    if plan.offset is not None:
        ranges[plan.of(twin.inputs[0])] = plan.unit, plan.offset - 128
    return ranges
