"""Separable convolutions as the two that they are, each of which can be equalised, rounded and given a range."""

from __future__ import annotations

from typing import Any

import keras

from .graph import copied


def split_separable(twin: keras.Model) -> keras.Model:
    """Returns a model whose separable convolutions are a depthwise one, named `NAME_depthwise`, and a 1x1 one.

    Args:
        twin: A model that `deploy` returned; itself where it has none.
    """
    found = {layer.name: layer for layer in twin.layers if type(layer) is keras.layers.SeparableConv2D}
    if not found:
        return twin

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name not in found:
            return layer(*inputs, **options)
        depthwise = keras.layers.DepthwiseConv2D(
            layer.kernel_size,
            strides=layer.strides,
            padding=layer.padding,
            depth_multiplier=layer.depth_multiplier,
            dilation_rate=layer.dilation_rate,
            use_bias=False,
            dtype="float32",
            name=f"{layer.name}_depthwise",
        )
        pointwise = keras.layers.Conv2D(
            layer.filters, 1, use_bias=layer.use_bias, activation=layer.activation, dtype="float32", name=layer.name
        )
        return pointwise(depthwise(inputs[0]))

    pointwise = {name: layer.get_weights()[1:] for name, layer in found.items()}
    split = copied(twin, call=call, weights=pointwise)
    for name, layer in found.items():
        split.get_layer(f"{name}_depthwise").set_weights(layer.get_weights()[:1])
    return split
