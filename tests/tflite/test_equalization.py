"""Channels with like ranges: the same network, of which eight bits keep more."""

import keras
import numpy as np
from tflite_helpers import answers, digits

from keras_inception.tflite.files.converting import convert
from keras_inception.tflite.files.tracing import trace
from keras_inception.tflite.network.equalization import equalize_channels
from keras_inception.tflite.network.rounding import compensate_rounding
from keras_inception.tflite.running.litert import opened

IMAGES = digits()[0]


def uneven() -> keras.Model:
    """Residual blocks as MobileNetV2's; channels of a tensor differ in range, and all of them matter."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    pixels = keras.Input((32, 32, 1))
    x = layers.Rescaling(1 / 127.5, -1)(pixels)
    x = layers.Activation("relu6", name="first")(layers.Conv2D(16, 3, strides=4, name="first_conv")(x))
    x = layers.Identity(name="stream")(layers.Conv2D(8, 1, name="stream_conv")(x))
    for index in (1, 2):
        y = layers.Activation("relu", name=f"expand{index}")(layers.Conv2D(16, 1, name=f"expand{index}_conv")(x))
        y = layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{index}_conv")(y)
        y = layers.ReLU(name=f"depthwise{index}")(y)
        x = layers.Add(name=f"block{index}")([x, layers.Conv2D(8, 1, name=f"project{index}_conv")(y)])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D(2)(x))
    model = keras.Model(pixels, layers.Dense(10, name="logits")(x))
    order = np.random.default_rng(0)
    streams = [(["stream_conv", "project1_conv", "project2_conv"], ["expand1_conv", "expand2_conv", "logits"])]
    for index in (1, 2):
        streams.append(([f"expand{index}_conv"], [f"depthwise{index}_conv"]))
        streams.append(([f"depthwise{index}_conv"], [f"project{index}_conv"]))
    for writers, readers in streams:
        factors = 2.0 ** order.uniform(-1.5, 1.5, model.get_layer(writers[0]).output.shape[-1])
        for name in writers:
            kernel, bias = model.get_layer(name).get_weights()
            scale = factors.reshape(kernel.shape[2:]) if "depthwise" in name else factors
            model.get_layer(name).set_weights([kernel * scale, bias * factors])
        for name in readers:
            kernel, bias = model.get_layer(name).get_weights()
            model.get_layer(name).set_weights([kernel / factors[:, None], bias])
    return model


def widest(model: keras.Model, *names: str) -> np.ndarray:
    reading = keras.Model(model.inputs[0], [model.get_layer(name).output for name in names])
    tensors = reading(IMAGES[:64].astype("float32"), training=False)
    return np.max([np.abs(tensor).reshape(-1, tensor.shape[-1]).max(0) for tensor in tensors], axis=0)


def test_equalised_networks_answer_as_before_from_channels_of_one_range():
    model = uneven()
    even = equalize_channels(model, IMAGES[:64])
    np.testing.assert_allclose(answers(even, IMAGES[:200]), answers(model, IMAGES[:200]), rtol=1e-4, atol=1e-5)
    # What the residual stream stores: the branches that are added, and every sum.
    stream = ("stream", "project1_conv", "project2_conv", "block1", "block2")
    for names in (stream, ("expand1",), ("depthwise1",), ("expand2",), ("depthwise2",)):
        before, after = widest(model, *names), widest(even, *names)
        assert before.max() > 4 * before[before > 0].min()
        # All but silent channels grow 32-fold and no more.
        np.testing.assert_allclose(after, np.minimum(before.max(), 32 * before), rtol=1e-4)


def test_one_stream_of_one_tensor_is_equalised():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(4, 3, strides=4, name="stream")(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    model = keras.Model(pixels, keras.layers.Conv2D(2, 1)(x))
    even = equalize_channels(model, IMAGES[:9])
    np.testing.assert_allclose(answers(even, IMAGES[:20]), answers(model, IMAGES[:20]), rtol=1e-4, atol=1e-5)
    for twin, expected in ((model, False), (even, True)):
        reading = keras.Model(twin.inputs[0], twin.get_layer("stream").output)
        assert (np.ptp(np.abs(answers(reading, IMAGES[:9])).max((0, 1, 2))) < 1e-5) == expected


def test_what_a_factor_would_change_is_left_alone():
    """ReLU6, the end of a network, concatenations, shared layers and softmax: no layer beside them is scaled."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    pixels = keras.Input((32, 32, 1))
    x = layers.Activation("relu6")(layers.Conv2D(4, 3, strides=4, name="before_relu6")(pixels))
    x = layers.Conv2D(4, 1, name="after_relu6")(x)
    x = layers.Concatenate()([x, layers.Conv2D(4, 1, activation="softmax", name="softmax")(x)])
    x = layers.Conv2D(8, 1, name="joined")(x)
    shared = layers.Conv2D(8, 1, name="shared")
    x = layers.Flatten()(shared(shared(x)))
    model = keras.Model(pixels, layers.Dense(10, name="logits")(x))
    even = equalize_channels(model, IMAGES[:8])
    for old, new in zip(model.get_weights(), even.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_eight_bits_keep_more_of_an_equalised_network():
    model = uneven()
    expected, errors = answers(model, IMAGES[400:600]), []
    for twin in (model, equalize_channels(model, IMAGES[:60])):
        rounded = compensate_rounding(twin, IMAGES[:60])
        file = opened(convert(trace(rounded, "int8", 1), "int8", IMAGES[:60]))
        errors.append(np.square(file(IMAGES[400:600]) - expected).mean())
    assert errors[1] < 0.7 * errors[0]
