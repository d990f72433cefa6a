"""Average pools as convolutions, which LiteRT's integer kernels know."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from .graph import copied


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

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
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
        return answer if share.min() > 1 - 1e-5 else answer * keras.ops.convert_to_tensor(1 / share)

    return copied(twin, call=call)
