"""Layers that compute what LiteRT's int8 kernels for CPUs compute, to the bit, and that gradients pass.

Tensors between them are float32 and hold an integer file's values: `scale * (q - zero_point)`. Sums of products of
eight-bit integers are exact in float32 up to 2**24; a sum is multiplied by one float32 factor and rounded to the
nearest integer, ties to even, as XNNPACK's kernels do. Scales have twelve significant bits, so that products of two of
them, and of one with an eight-bit number, are exact as well, and a converter finds the same scales in the file's
ranges.

Rounding counts as the identity in the backward pass, and what is cut off at the ends of a range passes no gradient:
Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(https://arxiv.org/abs/1712.05877).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

LEAST, MOST = -128, 127
WEIGHTS = 127  # symmetric, so that the kernels need no zero point of weights
_DROPPED = 12  # of the 24 bits of a float32
_MOST_OF_BIAS = 2.0**22  # steps: sums stay exact, and far from the ends of an integer file's 32 bits
_PACKAGE = "keras_inception"


def is_simulation(model: keras.Model) -> bool:
    """Whether a model computes in integers."""
    return any(isinstance(layer, Integers) for layer in model.layers)


def to_twelve_bits(values: Any) -> Any:
    """The nearest numbers of twelve significant bits, ties to even, of float32 numbers or tensors.

    In integers: a compiler may give products and sums of floats one rounding for both, which XLA's does.
    """
    bits = ops.view(ops.convert_to_tensor(values, "float32"), "int32")
    odd = ops.bitwise_and(ops.right_shift(bits, _DROPPED), 1)
    return ops.view(ops.bitwise_and(bits + (2 ** (_DROPPED - 1) - 1) + odd, -(2**_DROPPED)), "float32")


def rounded(values: Any) -> Any:
    """The nearest integers, ties to even; the identity in the backward pass.

    The sum below is exact: of a number and its nearest integer, the difference has no more bits than the number.
    """
    return values + ops.stop_gradient(ops.round(values) - values)


def range_of(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of the 256 steps that hold a range and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(to_twelve_bits(np.float32(max(high - low, 1e-6) / (MOST - LEAST))))
    return scale, int(np.clip(np.rint(LEAST - low / scale), LEAST, MOST))


class Integers(keras.layers.Layer):
    """What the layers share: the range that they answer in, and those of what they read.

    Args:
        activation: `"linear"`, `"relu"` or `"relu6"`, fused with the layer.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    READS = 1
    """How many tensors it reads."""

    def __init__(self, activation: str = "linear", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation

    def build(self, _: Any) -> None:
        """Creates scale and zero point of the answer, and a scale for each input."""
        self.input_scales = self._fixed("input_scales", (self.READS,), "ones")
        self.scale = self._fixed("scale", (), "ones")
        self.zero_point = self._fixed("zero_point", (), "zeros")

    def _fixed(self, name: str, shape: tuple[int, ...], first: str) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=first, trainable=False, dtype="float32")

    def _steps(self, values: Any, input_index: int = 0) -> Any:
        """What a tensor of values counts in steps, zero point off: integers."""
        return rounded(values / self.input_scales[input_index])

    def _answer(self, steps: Any) -> Any:
        """Values of an answer in steps, rounded and cut off where the range or the activation ends."""
        low, high = LEAST - self.zero_point, MOST - self.zero_point
        if self.activation != "linear":
            low = ops.maximum(low, 0.0)
        if self.activation == "relu6":
            high = ops.minimum(high, ops.round(6.0 / self.scale))
        return ops.clip(rounded(steps), low, high) * self.scale

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable(_PACKAGE)
class IntegerPixels(Integers):
    """Pixels 0..255, a step each.

    Args:
        offset: The pixel that becomes 0, which padding is then equal to.
        unit: What a step is worth: `UNIT`, with which numbers have a size to learn from, or 1.
        **kwargs: Arguments of `Integers`.
    """

    UNIT = 2.0**-7

    def __init__(self, offset: int = 128, unit: float = UNIT, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offset, self.unit = offset, unit

    def call(self, inputs: Any) -> Any:
        """Rounds pixels, which augmentation may have left between two levels."""
        return self._answer(ops.cast(inputs, "float32") - self.offset)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "offset": self.offset, "unit": self.unit}


@keras.saving.register_keras_serializable(_PACKAGE)
class Quantized(Integers):
    """Any values in the steps of a range; values of another range change into this one, as a ReLU by itself does."""

    def __init__(self, changes: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def call(self, inputs: Any) -> Any:
        """Rounds to the nearest step."""
        if not self.changes:
            return self._answer(inputs / self.scale)
        # XNNPACK's change of range: a factor of eight bits behind the point, halves rounded up.
        factor = ops.round(self.input_scales[0] / self.scale * 256.0)
        steps = self._steps(inputs) * factor / 256.0
        return self._answer(steps + ops.stop_gradient(ops.floor(steps + 0.5) - steps))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "changes": self.changes}


@keras.saving.register_keras_serializable(_PACKAGE)
class IntegerConv(Integers):
    """A convolution with bias: plain or in groups, depthwise, or a dense layer; a scale an output channel.

    Args:
        kind: `"plain"`, `"depthwise"` or `"dense"`.
        kernel_shape: Of the kernel: [height, width, inputs, outputs], depthwise [height, width, channels, multiplier],
            dense [inputs, outputs].
        strides: Of a convolution.
        padding: `"valid"` or `"same"`.
        dilation_rate: Of a convolution.
        kernel_trainable: Whether training may change the kernel: not that of an average.
        **kwargs: Arguments of `Integers`.
    """

    def __init__(
        self,
        kind: str,
        kernel_shape: tuple[int, ...],
        strides: tuple[int, int] = (1, 1),
        padding: str = "valid",
        dilation_rate: tuple[int, int] = (1, 1),
        kernel_trainable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind, self.kernel_shape = kind, tuple(kernel_shape)
        self.strides, self.padding, self.dilation_rate = tuple(strides), padding, tuple(dilation_rate)
        self.kernel_trainable = kernel_trainable

    @property
    def filters(self) -> int:
        """How many channels it answers."""
        return int(np.prod(self.kernel_shape[2:] if self.kind == "depthwise" else self.kernel_shape[-1:]))

    def build(self, input_shape: Any) -> None:
        """Creates kernel and bias, then what the layers share."""
        trainable = self.kernel_trainable
        self.kernel = self.add_weight(name="kernel", shape=self.kernel_shape, trainable=trainable, dtype="float32")
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer="zeros", trainable=trainable, dtype="float32"
        )
        super().build(input_shape)

    def channels_last(self, kernel: Any) -> Any:
        """The kernel with its output channels as the last axis."""
        return ops.reshape(kernel, (*self.kernel_shape[:2], self.filters)) if self.kind == "depthwise" else kernel

    def kernel_scales(self, kernel: Any) -> Any:
        """The scale of each output channel of a kernel that has them last.

        Where weights are next to nothing beside their bias, as in channels that training has left dead, the bias sets
        it, which counts in steps of this scale times the input's.
        """
        largest = ops.max(ops.abs(kernel), axis=tuple(range(len(kernel.shape) - 1)))
        scales = ops.maximum(largest, 1e-7) / WEIGHTS
        of_bias = ops.abs(self.bias) / _MOST_OF_BIAS / self.input_scales[0]
        return ops.stop_gradient(to_twelve_bits(ops.maximum(scales, of_bias)))

    def call(self, inputs: Any) -> Any:
        """Convolves integers."""
        kernel = self.channels_last(self.kernel)
        scales = self.kernel_scales(kernel)
        steps = ops.reshape(ops.clip(rounded(kernel / scales), -WEIGHTS, WEIGHTS), self.kernel_shape)
        scales = scales * self.input_scales[0]
        return self._answer(
            (self.convolved(self._steps(inputs), steps) + rounded(self.bias / scales)) * (scales / self.scale)
        )

    def convolved(self, inputs: Any, kernel: Any) -> Any:
        """The convolution of any numbers with a kernel of any, without its bias."""
        if self.kind == "dense":
            return ops.matmul(inputs, kernel)
        convolve = ops.depthwise_conv if self.kind == "depthwise" else ops.conv
        return convolve(
            inputs, kernel, self.strides, self.padding, data_format="channels_last", dilation_rate=self.dilation_rate
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {
            **super().get_config(),
            "kind": self.kind,
            "kernel_shape": self.kernel_shape,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "kernel_trainable": self.kernel_trainable,
        }


@keras.saving.register_keras_serializable(_PACKAGE)
class IntegerAdd(Integers):
    """A sum of two tensors, by XNNPACK's factors of 21 bits."""

    READS = 2

    def call(self, inputs: Any) -> Any:
        """Adds in integers."""
        factors = [self.input_scales[index] / self.scale for index in (0, 1)]
        first, second = (self._steps(values, index) for index, values in enumerate(inputs))
        smooth = first * factors[0] + second * factors[1]
        # How far the larger factor can be shifted to the left and stay below 2**21.
        shift = 20 - ops.cast(ops.floor(ops.log2(ops.maximum(factors[0], factors[1]))), "int32")
        power = ops.left_shift(ops.ones_like(shift), shift)
        wholes = [ops.cast(ops.round(factor * ops.cast(power, "float32")), "int32") for factor in factors]
        total = ops.cast(first, "int32") * wholes[0] + ops.cast(second, "int32") * wholes[1] + power // 2
        exact = ops.cast(ops.right_shift(total, shift), "float32")
        return self._answer(smooth + ops.stop_gradient(exact - smooth))


@keras.saving.register_keras_serializable(_PACKAGE)
class IntegerMean(Integers):
    """The mean over a map's places."""

    def call(self, inputs: Any) -> Any:
        """Averages integers."""
        places = inputs.shape[1] * inputs.shape[2]
        return self._answer(ops.sum(self._steps(inputs), axis=(1, 2)) * (self.input_scales[0] / (self.scale * places)))


@keras.saving.register_keras_serializable(_PACKAGE)
class IntegerProduct(Integers):
    """A product with constant factors that are not negative, in 256 steps of their own.

    Args:
        factors_shape: Of the factors, which broadcasts against what the layer reads.
        **kwargs: Arguments of `Integers`.
    """

    def __init__(self, factors_shape: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factors_shape = tuple(factors_shape)

    def build(self, input_shape: Any) -> None:
        """Creates the factors, then what the layers share."""
        self.factors = self._fixed("factors", self.factors_shape, "ones")
        super().build(input_shape)

    def factor_scale(self) -> Any:
        """The scale of the factors."""
        return to_twelve_bits(ops.max(self.factors) / (MOST - LEAST))

    def call(self, inputs: Any) -> Any:
        """Multiplies integers."""
        unit = self.factor_scale()
        steps = ops.clip(ops.round(self.factors / unit), 0, MOST - LEAST)
        return self._answer(self._steps(inputs) * steps * (self.input_scales[0] * unit / self.scale))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "factors_shape": self.factors_shape}
