"""Convolutions of one pixel that skip pixels, as GPUs compute them."""

from __future__ import annotations

from typing import Any

import keras

from .graph import copied, recreated


def subsample_first(twin: keras.Model) -> keras.Model:
    """Returns a model whose 1x1 convolutions with strides read every second pixel of a map, which computes the same.

    LiteRT's GPU backend answers something else to such convolutions with 8-bit weights: in ai-edge-litert 2.3 as if
    they had no strides. A pool of one pixel skips pixels as well, and what reads it has no strides.

    Args:
        twin: A model that `deploy` returned.
    """

    def skips(layer: Any) -> bool:
        return type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1) and max(layer.strides) > 1

    strides = {layer.name: layer.strides for layer in twin.layers if skips(layer)}

    def clone(layer: Any) -> Any:
        return recreated(layer, strides=(1, 1)) if layer.name in strides else recreated(layer)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name not in strides:
            return layer(*inputs, **options)
        skip = keras.layers.MaxPooling2D(1, strides[layer.name], dtype="float32", name=f"{layer.name}_pixels")
        return layer(skip(*inputs), **options)

    return copied(twin, clone=clone, call=call)
