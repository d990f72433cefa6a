"""The two layers that Keras does not have, registered so that models with them load without `custom_objects`."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("keras_inception")
class ChannelShuffle(layers.Layer):
    """The channel shuffle of ShuffleNet (Zhang et al., 2017) on feature maps of any size.

    Args:
        groups: Number of groups; divides the number of channels.
        data_format: `"channels_last"` or `"channels_first"`; None: Keras's setting, which is then kept.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, groups: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.data_format = data_format or keras.config.image_data_format()

    def call(self, inputs: Any) -> Any:
        """Shuffles the channels of a batch of feature maps."""
        shape = ops.shape(inputs)
        if self.data_format == "channels_first":
            channels = inputs.shape[1]
            x = ops.reshape(inputs, (shape[0], self.groups, channels // self.groups, -1))
            return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), shape)
        x = ops.reshape(inputs, (-1, self.groups, inputs.shape[-1] // self.groups))
        return ops.reshape(ops.transpose(x, (0, 2, 1)), shape)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "groups": self.groups, "data_format": self.data_format}


@keras.saving.register_keras_serializable("keras_inception")
class LocalResponseNormalization(layers.Layer):
    """Local response normalisation across channels (Krizhevsky et al., 2012), which Keras does not have.

    `y = x / (bias + alpha * s) ** beta`, where `s` is the sum of the squares of the `2 * depth_radius + 1` channels
    around each one. `alpha` multiplies the sum, as in TensorFlow; Caffe and PyTorch divide theirs by the number of
    channels first, so that BVLC GoogLeNet's 1e-4 over 5 channels is 2e-5 here.

    Computes in float32 under mixed precision: squares of activations overflow float16.

    Args:
        depth_radius: Channels on each side.
        bias: The constant.
        alpha: Scale of the sum of squares.
        beta: Exponent.
        data_format: `"channels_last"` or `"channels_first"`; None: Keras's setting, which is then kept.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        depth_radius: int = 2,
        bias: float = 1.0,
        alpha: float = 2e-5,
        beta: float = 0.75,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.depth_radius = depth_radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta
        self.data_format = data_format or keras.config.image_data_format()

    def call(self, inputs: Any) -> Any:
        """Normalises a batch of feature maps of any shape with channels."""
        x = ops.cast(inputs, "float32") if self.compute_dtype in ("float16", "bfloat16") else inputs
        rank, width = len(x.shape), 2 * self.depth_radius + 1
        axis = 1 if self.data_format == "channels_first" else rank - 1
        channels = x.shape[axis]
        padding = [(self.depth_radius, self.depth_radius) if i == axis else (0, 0) for i in range(rank)]
        squares = ops.pad(ops.square(x), padding)
        windows = [
            squares[tuple(slice(start, start + channels) if i == axis else slice(None) for i in range(rank))]
            for start in range(width)
        ]
        total = sum(windows[1:], windows[0])
        return ops.cast(x * (self.bias + self.alpha * total) ** -self.beta, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        own = {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own, "data_format": self.data_format}
