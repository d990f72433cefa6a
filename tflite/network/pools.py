"""Average pools where they cost least, and as convolutions, which LiteRT's integer kernels know."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .graph import copied, maker, readers, recreated


def postpone_pools(twin: keras.Model) -> keras.Model:
    """Returns a model whose average pools come after the 1x1 convolution that reads them, which computes the same.

    What a 1x1 convolution answers to a mean is the mean of its answers, and those have fewer channels: 128 in place of
    1,024 in Inception v4. The pool takes the name of the convolution, whose values it answers now.

    Args:
        twin: A model that `deploy` returned; itself where it has no such pool.
    """
    reading = readers(twin)
    answering = {maker(tensor)[0].name for tensor in twin.outputs}
    pools = {
        reading[layer.name][0].name: layer
        for layer in twin.layers
        if _keeps_size(layer) and layer.name not in answering and len(reading[layer.name]) == 1
        if _reduces(reading[layer.name][0])
    }
    if not pools:
        return twin
    postponed = {layer.name for layer in pools.values()}

    def clone(layer: Any) -> Any:
        return recreated(layer, name=f"{layer.name}_unpooled") if layer.name in pools else recreated(layer)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name in postponed:
            return inputs[0]
        answer = layer(*inputs, **options)
        name = layer.name.removesuffix("_unpooled")
        return recreated(pools[name], name=name)(answer) if name in pools else answer

    copy = copied(twin, clone=clone, call=call, weights={name: [] for name in pools})
    for name in pools:
        copy.get_layer(f"{name}_unpooled").set_weights(twin.get_layer(name).get_weights())
    return copy


def _keeps_size(layer: Any) -> bool:
    """Whether a layer is an average pool whose answer is as large as what it reads."""
    return type(layer) is keras.layers.AveragePooling2D and layer.strides == (1, 1) and layer.padding == "same"


def _reduces(layer: Any) -> bool:
    """Whether a layer answers weighted sums of each pixel's channels, fewer than it reads."""
    return (
        type(layer) is keras.layers.Conv2D
        and len(layer._inbound_nodes) == 1  # what it is called on elsewhere has no pool
        and (layer.kernel_size, layer.strides, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.activation is keras.activations.linear
        and layer.filters < layer.input.shape[-1]
    )


def convolve_pools(twin: keras.Model, *, padded: bool = False) -> keras.Model:
    """Returns a model whose average pools are depthwise convolutions with equal weights, which compute the same.

    LiteRT's fast integer kernels (XNNPACK's) have depthwise convolutions and no average pool; an int8 file falls back
    for every pool otherwise. A pool leaves padding out of its averages: where it pads, the convolution's answer is
    scaled by the share of the window that lies inside.

    LiteRT's GPU backend takes the zeros of a padding layer for padding of the average pool that reads them, and leaves
    them out as well: its answer is another.

    Args:
        twin: A model that `deploy` returned.
        padded: Whether only those pools become convolutions that read a padding layer.
    """
    products: dict[int, tuple[Any, Any]] = {}  # by the identity of a tensor, what it is the product of

    def scaled(tensor: Any, factors: Any) -> Any:
        answer = tensor * factors
        products[id(answer)] = tensor, factors
        return answer

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if id(inputs[0]) in products and _passes_factors(layer):
            # A ReLU that comes first is fused with the convolution, whose integers then have no sign to keep.
            tensor, factors = products[id(inputs[0])]
            return scaled(layer(tensor, **options), factors)
        if type(layer) is not keras.layers.AveragePooling2D or None in inputs[0].shape[1:]:
            return layer(*inputs, **options)
        if padded and not isinstance(inputs[0]._keras_history.operation, keras.layers.ZeroPadding2D):
            return layer(*inputs, **options)
        equal = keras.initializers.Constant(1 / np.prod(layer.pool_size))
        arguments: dict[str, Any] = {"strides": layer.strides, "padding": layer.padding, "use_bias": False}
        convolution = keras.layers.DepthwiseConv2D(
            layer.pool_size, depthwise_initializer=equal, dtype="float32", name=layer.name, **arguments
        )
        answer = convolution(inputs[0])
        inside = keras.layers.DepthwiseConv2D(layer.pool_size, depthwise_initializer=equal, **arguments)
        share = np.asarray(inside(np.ones((1, *inputs[0].shape[1:3], 1), "float32")))
        return answer if share.min() > 1 - 1e-5 else scaled(answer, keras.ops.convert_to_tensor(1 / share))

    return copied(twin, call=call)


def _passes_factors(layer: Any) -> bool:
    """Whether positive factors of what a layer reads are those of what it answers."""
    if type(layer) is keras.layers.ReLU:
        return layer.max_value is None and not layer.threshold
    is_relu = type(layer) is keras.layers.Activation and layer.activation is keras.activations.relu
    return is_relu or type(layer) is keras.layers.Identity
