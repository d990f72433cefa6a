"""Rewritten files: which weights and operators they have, and that they answer as what they were written from."""

import keras
import numpy as np
import pytest

import keras_inception.tflite as kt
from keras_inception.tflite.files import rewriting
from keras_inception.tflite.files.converting import convert
from keras_inception.tflite.files.flatbuffer import float_operators, operators, read, write
from keras_inception.tflite.files.tracing import trace
from keras_inception.tflite.network.rounding import compensate_rounding
from keras_inception.tflite.running.litert import opened

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3)).astype("uint8")


def network() -> keras.Model:
    """Every kind of weight: a small convolution, a large one, a grouped one, a depthwise one, a dense one."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="small")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.Conv2D(64, 3, padding="same", name="large")(x)
    y = keras.layers.Conv2D(64, 3, padding="same", groups=2, name="grouped")(keras.layers.Activation("relu")(x))
    x = keras.layers.Activation("relu", name="alone")(keras.layers.Add()([x, y]))
    x = keras.layers.Add()([x, keras.layers.Conv2D(64, 1, name="reader")(x)])  # a second reader: no fused activation
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="predictions")(x))


@pytest.fixture(scope="module")
def float_file() -> bytes:
    return convert(trace(kt.deploy(network(), fold=True), "float32", None), "float32", None)


def test_weights_behind_the_flatbuffer_are_kept(float_file: bytes):
    import flatbuffers

    model = read(float_file)
    outside = [
        (buffer, bytes(buffer.data)) for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 512
    ]

    def packed(start: int) -> bytes:
        for buffer, data in outside:
            buffer.data, buffer.offset, buffer.size = None, start, len(data)
            start += len(data)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    content = packed(len(packed(2))) + b"".join(data for _, data in outside)
    assert len(outside) > 2
    rewritten = write(read(content))
    for file in (content, rewritten):
        np.testing.assert_array_equal(opened(file)(PIXELS[:2]), opened(float_file)(PIXELS[:2]))


def kinds_of_weights(content: bytes) -> dict[str, set[str]]:
    """By operator, the types of its weights, or of what they are unpacked from."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    operators_of = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model, found = read(content), {}
    (graph,) = model.subgraphs
    unpacked = {}
    for operator in graph.operators:
        kind = operators_of[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if kind == "DEQUANTIZE":
            unpacked[operator.outputs[0]] = operator.inputs[0]
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            index = unpacked.get(operator.inputs[1], operator.inputs[1])
            found.setdefault(kind, set()).add(names[graph.tensors[index].type])
    return found


def test_each_kind_of_weight_gets_the_form_that_is_quick(float_file: bytes):
    content = rewriting.with_dynamic_range(float_file)
    assert kinds_of_weights(content) == {
        "CONV_2D": {"FLOAT16", "INT8"},
        "DEPTHWISE_CONV_2D": {"FLOAT16"},
        "FULLY_CONNECTED": {"INT8"},
    }
    assert len(content) < 0.4 * len(float_file)


@pytest.mark.parametrize("count", [1, 5])
def test_dynamic_range_answers_as_float_does(float_file: bytes, count: int):
    expected = opened(float_file)(PIXELS[:count])
    answer = opened(rewriting.with_dynamic_range(float_file))(PIXELS[:count])
    assert 0 < np.abs(answer - expected).max() < 0.02


def test_layers_that_are_called_twice_share_their_weights():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 32))
    depthwise, large = keras.layers.DepthwiseConv2D(3, padding="same"), keras.layers.Conv2D(32, 3, padding="same")
    x = large(depthwise(large(depthwise(inputs))))
    dense = keras.layers.Dense(32)
    x = keras.layers.Dense(3, activation="softmax")(dense(dense(keras.layers.GlobalAveragePooling2D()(x))))
    model = keras.Model(inputs, x)
    images = np.random.default_rng(0).integers(0, 4, (2, 8, 8, 32)).astype("uint8")
    content = convert(trace(model, "float32", 2), "float32", None)
    rewritten = rewriting.with_dynamic_range(content)
    assert operators(rewritten) == {**operators(content), "DEQUANTIZE": 1}
    assert 0 < np.abs(opened(rewritten)(images) - opened(content)(images)).max() < 0.02


def test_weights_on_the_grid_are_stored_without_loss():
    """What `compensate_rounding` returns is found again: the steps are those of the largest weight."""
    twin = kt.deploy(network(), fold=True)
    twin.get_layer("large").set_weights(
        [np.round(np.random.default_rng(1).normal(size=(3, 3, 16, 64)), 1), np.zeros(64)]
    )
    rounded = compensate_rounding(twin, PIXELS, least=rewriting.DYNAMIC_WEIGHTS)
    for name in ("small", "depthwise", "grouped"):
        np.testing.assert_array_equal(rounded.get_layer(name).kernel, twin.get_layer(name).kernel)
    assert not np.array_equal(rounded.get_layer("large").kernel, twin.get_layer("large").kernel)
    model = read(convert(trace(rounded, "dynamic", 1), "dynamic", None))
    (graph,) = model.subgraphs
    (tensor,) = (tensor for tensor in graph.tensors if list(tensor.shape) == [64, 3, 3, 16])
    steps = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int8).reshape(tensor.shape)
    stored = steps * tensor.quantization.scale[:, None, None, None]
    kernel = np.asarray(rounded.get_layer("large").kernel)
    np.testing.assert_allclose(stored.transpose(1, 2, 3, 0), kernel, atol=1e-6)


def test_relus_of_int8_files_are_changes_of_scale(monkeypatch):
    twin = kt.deploy(network(), fold=True)
    written = convert(trace(twin, "int8", 1), "int8", PIXELS)
    monkeypatch.setattr("keras_inception.tflite.files.converting.with_quick_relus", lambda content: content)
    counts = operators(convert(trace(twin, "int8", 1), "int8", PIXELS))
    counts["QUANTIZE"] += counts.pop("RELU")
    assert operators(written) == counts
    expected, answer = opened(convert(trace(twin, "float32", 1), "float32", None)), opened(written)
    difference = max(np.abs(expected(image[None]) - answer(image[None])).max() for image in PIXELS)
    assert difference < 0.02


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_probabilities_of_an_int8_file_are_computed_in_float(last: str):
    model = network()
    model.get_layer("predictions").activation = keras.activations.get(last)
    twin = kt.deploy(model, fold=True)
    whole, fine = (convert(trace(twin, "int8", 1), "int8", PIXELS, float_probabilities=fine) for fine in (False, True))
    coarse, exact = opened(whole)(PIXELS), opened(fine)(PIXELS)
    assert np.abs(coarse * 256 - np.rint(coarse * 256)).max() < 1e-4  # steps of 1/256
    assert np.abs(exact * 256 - np.rint(exact * 256)).max() > 0.1
    np.testing.assert_allclose(exact, coarse, atol=1.01 / 256)
    kind = {"softmax": "SOFTMAX", "sigmoid": "LOGISTIC"}[last]
    assert operators(whole) == operators(fine)
    assert (float_operators(whole), float_operators(fine)) == ({}, {kind: 1})
