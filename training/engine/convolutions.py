"""Convolutions as quick as TensorFlow has them, where networks are trained on a CPU.

oneDNN's gradients of kernels take up to four times as long in bfloat16 as products of the same matrices, and somewhat
longer in float32 where the kernel is 1x1; `benchmarks/operators.py` measures both. So do, in bfloat16, the
gradients of the inputs of depthwise convolutions with strides: ten times and more. Grouped convolutions Keras
3.15 compiles with XLA, since TensorFlow has no gradients of them without oneDNN; with it, a step of ResNeXt-50 takes a
thirtieth of the time (`benchmarks/convolutions.py`). As with batch norms, layers stay Keras's: only while a step is
traced do they say what to compute.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

FASTER_DTYPES = ("float32", "bfloat16")
CHANGED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
# A larger kernel wants its input laid out once for each of its places: that pays where products are quick, maps small.
_LEAST_FILTERS, _LARGEST_MAP, _MOST_GROUPS = 128, 100, 8


@contextmanager
def quick_convolutions(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Convolutions among the layers are computed in the quickest of the ways meanwhile."""
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    changed = [] if on_gpu else [(layer, *change) for layer in layers if (change := _change_of(layer)) is not None]
    for layer, name, function in changed:
        setattr(layer, name, function)
    try:
        yield
    finally:
        for layer, name, _ in changed:
            delattr(layer, name)


def _change_of(layer: Any) -> tuple[str, Callable[..., Any]] | None:
    """Which method of a layer is to compute what instead; None where it stays as it is."""
    kind = type(layer)  # subclasses may compute something else
    if kind not in CHANGED or not layer.trainable:
        return None
    if layer.data_format != "channels_last" or set(layer.dilation_rate) != {1} or layer.dtype_policy.quantization_mode:
        return None
    if layer.compute_dtype not in FASTER_DTYPES:
        return None
    if kind is keras.layers.SeparableConv2D:
        return "call", _separable_call(layer)
    if kind is keras.layers.DepthwiseConv2D:
        return ("call", _depthwise_call(layer)) if is_slow_depthwise(layer.compute_dtype, layer.strides) else None
    if layer.lora_enabled:
        return None
    if layer.groups > 1:
        return ("convolution_op", _grouped(layer)) if has_gradients_of_groups() else None
    if set(layer.strides) != {1}:
        return None
    kerass = layer.convolution_op

    def convolution_op(inputs: Any, kernel: Any) -> Any:
        paying = pays(layer.compute_dtype, kernel.shape, inputs.shape)
        return convolve(inputs, kernel, layer.padding) if paying else kerass(inputs, kernel)

    return "convolution_op", convolution_op


def pays(dtype: str, kernel: Sequence[int], inputs: Sequence[int | None]) -> bool:
    """Whether a kernel's gradient is quicker as products, by the shapes of the kernel and of what is convolved."""
    groups = (inputs[3] or kernel[2]) // kernel[2]
    if tuple(kernel[:2]) == (1, 1):
        return groups == 1 or (dtype == "bfloat16" and groups <= _MOST_GROUPS)
    if groups > 1 or dtype != "bfloat16" or kernel[3] < _LEAST_FILTERS or inputs[1] is None or inputs[2] is None:
        return False
    return inputs[1] * inputs[2] <= _LARGEST_MAP


def _grouped(layer: Any) -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    def convolution_op(inputs: Any, kernel: Any) -> Any:
        if set(layer.strides) == {1} and pays(layer.compute_dtype, kernel.shape, inputs.shape):
            return convolve(inputs, kernel, layer.padding)
        inputs, kernel = ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernel)
        return tf.nn.conv2d(inputs, kernel, layer.strides, layer.padding.upper())

    return convolution_op


@functools.cache
def has_gradients_of_groups() -> bool:
    """Whether TensorFlow, as it is here, has gradients of grouped convolutions of its own."""
    import tensorflow as tf

    with tf.init_scope(), tf.device("CPU"), tf.GradientTape() as tape:  # a step that is traced calls this
        inputs, kernel = tf.ones((1, 2, 2, 4)), tf.ones((1, 1, 2, 4))
        tape.watch([inputs, kernel])
        outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
        try:
            tape.gradient(outputs, [inputs, kernel])
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


def _separable_call(layer: Any) -> Callable[[Any], Any]:
    def call(inputs: Any) -> Any:
        values = depthwise(inputs, layer.depthwise_kernel, layer.strides, layer.padding)
        return _finished(convolve(values, layer.pointwise_kernel, "valid"), layer)

    return call


def _depthwise_call(layer: Any) -> Callable[[Any], Any]:
    return lambda inputs: _finished(depthwise(inputs, layer.kernel, layer.strides, layer.padding), layer)


def _finished(values: Any, layer: Any) -> Any:
    if layer.use_bias:
        values = ops.add(values, ops.reshape(layer.bias, (1, 1, 1, -1)))
    return values if layer.activation is None else layer.activation(values)


def is_slow_depthwise(dtype: str, strides: Sequence[int]) -> bool:
    """Whether TensorFlow's gradient of a depthwise convolution's inputs takes ten times as long as in float32."""
    return dtype == "bfloat16" and set(strides) != {1}


def depthwise(inputs: Any, kernel: Any, strides: Sequence[int], padding: str) -> Any:
    """A depthwise convolution, channels last; where bfloat16 is slow, the gradient of its inputs is taken in float32.

    Args:
        inputs: [batch, height, width, channels].
        kernel: [height, width, channels, multiplier].
        strides: down and across.
        padding: `"same"` or `"valid"`.
    """
    import tensorflow as tf

    inputs, kernel = ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernel)
    if not is_slow_depthwise(inputs.dtype.name, strides):
        return ops.depthwise_conv(inputs, kernel, strides=strides, padding=padding, data_format="channels_last")
    how = {"strides": [1, *strides, 1], "padding": padding.upper()}

    @tf.custom_gradient
    def convolved(inputs: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_inputs = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=tf.cast(kernel, "float32"),
                out_backprop=tf.cast(upstream, "float32"),
                **how,
            )
            of_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=inputs, filter_sizes=tf.shape(kernel), out_backprop=upstream, **how
            )
            return tf.cast(of_inputs, inputs.dtype), of_kernel

        return tf.nn.depthwise_conv2d(inputs, kernel, **how), gradients

    return convolved(inputs, kernel)


def convolve(inputs: Any, kernel: Any, padding: str) -> Any:
    """A convolution of stride 1, channels last, whose kernel has its gradient from products of matrices.

    Args:
        inputs: [batch, height, width, channels].
        kernel: [height, width, channels of a group, filters].
        padding: `"same"` or `"valid"`.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def convolved(inputs: Any, kernel: Any) -> Any:
        how = {"strides": [1, 1, 1, 1], "padding": padding.upper()}

        def gradients(upstream: Any) -> tuple[Any, Any]:
            of_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, **how
            )
            return of_inputs, kernel_gradient(inputs, upstream, kernel.shape, padding)

        return tf.nn.conv2d(inputs, kernel, **how), gradients

    return convolved(ops.convert_to_tensor(inputs), ops.convert_to_tensor(kernel))


def kernel_gradient(inputs: Any, upstream: Any, shape: Any, padding: str) -> Any:
    """The gradient of a kernel: for each of its places, the inputs that it meets, transposed, times what comes in.

    Args:
        inputs: what was convolved, [batch, height, width, channels].
        upstream: gradient of the outputs, [batch, height, width, filters].
        shape: of the kernel.
        padding: `"same"` or `"valid"`.
    """
    import tensorflow as tf

    height, width, channels, filters = shape
    groups = inputs.shape[-1] // channels
    if groups > 1:
        parts = zip(tf.split(inputs, groups, -1), tf.split(upstream, groups, -1), strict=True)
        of_group = [height, width, channels, filters // groups]
        return tf.concat([kernel_gradient(*part, of_group, padding) for part in parts], -1)
    if padding == "same":
        around = [[(size - 1) // 2, size // 2] for size in (height, width)]
        inputs = tf.pad(inputs, [[0, 0], *around, [0, 0]])
    rows, columns = tf.unstack(tf.shape(upstream)[1:3])
    incoming = tf.reshape(upstream, [-1, filters])
    places = [
        tf.reshape(inputs[:, top : top + rows, left : left + columns], [-1, channels])
        for top in range(height)
        for left in range(width)
    ]
    products = [tf.matmul(place, incoming, transpose_a=True) for place in places]
    return tf.reshape(tf.stack(products), shape)
