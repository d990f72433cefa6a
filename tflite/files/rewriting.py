"""Files whose weights and operators are exchanged for forms that LiteRT's default CPU kernels, XNNPACK's, run quickly.

The converter knows of no kernels. What it writes is right, and slow where XNNPACK has none for it: such operators run
one by one in LiteRT's own kernels, on one thread, and cut the graph in parts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .flatbuffer import read, write

DYNAMIC_WEIGHTS = 4096
"""Convolutions of fewer weights run in float in dynamic range: quantising their input costs more than it gains."""
_STEPS = 127  # symmetric int8


def with_dynamic_range(content: bytes) -> bytes:
    """Gives a float32 file int8 weights, a scale for each output channel; activations are quantised as it runs.

    Weights of depthwise convolutions are stored as float16 and unpacked once when the file is loaded: XNNPACK has no
    kernel for int8 depthwise weights with float activations, and is quick in float there. So are those of small
    convolutions.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Kind

    model = read(content)
    kinds = [code.builtinCode for code in model.operatorCodes]
    for graph in model.subgraphs:
        unpacking: list[Any] = []
        rewritten: dict[int, int] = {}  # where a layer's weights, which several operators may read, are to be found
        for operator in graph.operators:
            kind = kinds[operator.opcodeIndex]
            if kind not in (Kind.CONV_2D, Kind.FULLY_CONNECTED, Kind.DEPTHWISE_CONV_2D):
                continue
            index = operator.inputs[1]
            weights = _constant(model, graph.tensors[index])
            if weights is not None:
                quantized = kind == Kind.FULLY_CONNECTED or (kind == Kind.CONV_2D and weights.size >= DYNAMIC_WEIGHTS)
                rewritten[index] = (
                    _quantize(model, graph, index, weights)
                    if quantized
                    else _halve(model, graph, index, weights, unpacking)
                )
            if index in rewritten:
                operator.inputs = [operator.inputs[0], rewritten[index], *operator.inputs[2:]]
                if kind == Kind.FULLY_CONNECTED:
                    operator.builtinOptions.asymmetricQuantizeInputs = True
        graph.operators = [*unpacking, *graph.operators]
    for code in model.operatorCodes:  # the versions that know such weights
        least = {Kind.CONV_2D: 5, Kind.FULLY_CONNECTED: 12}
        code.version = max(code.version, least.get(code.builtinCode, 1))
    return write(model)


def with_quick_relus(content: bytes) -> bytes:
    """Makes an int8 file's ReLUs changes of scale where they are no more than that: XNNPACK has no int8 ReLU.

    Where the output's zero is the least of its numbers, whatever is negative is cut off by the change itself. LiteRT's
    GPU backend, which computes int8 files in float, cuts nothing off there.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read(content)
    kinds = [code.builtinCode for code in model.operatorCodes]
    for graph in model.subgraphs:
        for operator in graph.operators:
            if kinds[operator.opcodeIndex] != schema.BuiltinOperator.RELU:
                continue
            source, result = (graph.tensors[index] for index in (operator.inputs[0], operator.outputs[0]))
            if {source.type, result.type} == {schema.TensorType.INT8} and list(result.quantization.zeroPoint) == [-128]:
                operator.opcodeIndex = operator_code(model, schema.BuiltinOperator.QUANTIZE, 2)
                operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
                operator.builtinOptions = schema.QuantizeOptionsT()
    return write(model)


def with_float_probabilities(content: bytes) -> bytes:
    """Makes an int8 file compute its last softmax or sigmoid in float, out of int8 logits.

    As int8, a probability is one of 256 steps, so that classes tie, and those below 1/256 are 0.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read(content)
    kinds = [code.builtinCode for code in model.operatorCodes]
    last = (schema.BuiltinOperator.SOFTMAX, schema.BuiltinOperator.LOGISTIC)
    for graph in model.subgraphs:
        readers = Counter(index for operator in graph.operators for index in operator.inputs)
        made_by = {operator.outputs[0]: operator for operator in graph.operators}
        for output in graph.outputs:
            unpacking = made_by.get(output)
            if unpacking is None or kinds[unpacking.opcodeIndex] != schema.BuiltinOperator.DEQUANTIZE:
                continue
            answer = made_by.get(unpacking.inputs[0])
            if answer is None or kinds[answer.opcodeIndex] not in last or readers[unpacking.inputs[0]] > 1:
                continue
            logits = schema.TensorT()
            source = graph.tensors[answer.inputs[0]]
            logits.name, logits.shape, logits.type = source.name + b"/float", source.shape, schema.TensorType.FLOAT32
            logits.shapeSignature = source.shapeSignature
            graph.tensors.append(logits)
            unpacking.inputs, unpacking.outputs = [answer.inputs[0]], [len(graph.tensors) - 1]
            answer.inputs, answer.outputs = [len(graph.tensors) - 1], [output]
            places = [graph.operators.index(operator) for operator in (answer, unpacking)]
            for place, operator in zip(sorted(places), (unpacking, answer), strict=True):
                graph.operators[place] = operator
    return write(model)


def with_integer_pixels(content: bytes, unit: float) -> bytes:
    """Makes an int8 file read its pixels as integers where they become floats only to be quantised, a step a level.

    Args:
        content: The file.
        unit: What such a step may be worth instead of 1.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read(content)
    kinds = [code.builtinCode for code in model.operatorCodes]
    names = ("CAST", "SUB", "ADD", "MUL")
    on_the_way = {getattr(schema.BuiltinOperator, name) for name in names}
    for graph in model.subgraphs:
        readers = Counter(index for operator in graph.operators for index in operator.inputs)
        made_by = {operator.outputs[0]: operator for operator in graph.operators}
        for operator in graph.operators:
            if kinds[operator.opcodeIndex] != schema.BuiltinOperator.QUANTIZE:
                continue
            passed, source = [], operator.inputs[0]
            while (before := made_by.get(source)) is not None and kinds[before.opcodeIndex] in on_the_way:
                passed.append(before)
                source = before.inputs[0]
            result, pixels = graph.tensors[operator.outputs[0]], graph.tensors[source]
            whole = list(result.quantization.scale) in ([1.0], [unit]) and pixels.type == schema.TensorType.UINT8
            if not whole or source not in graph.inputs or any(readers[index.outputs[0]] != 1 for index in passed):
                continue
            pixels.quantization = schema.QuantizationParametersT()
            pixels.quantization.scale = result.quantization.scale
            pixels.quantization.zeroPoint = result.quantization.zeroPoint + 128  # uint8 begins where int8 does
            operator.inputs = [source]
            graph.operators = [other for other in graph.operators if other not in passed]
    return write(model)


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    """The numbers of a float32 tensor that is stored in the file; None for other tensors."""
    from ai_edge_litert.schema_py_generated import TensorType

    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _quantize(model: Any, graph: Any, index: int, weights: np.ndarray) -> int:
    """Stores weights as int8, a scale for each output channel, and returns the index of their tensor."""
    from ai_edge_litert import schema_py_generated as schema

    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scale = (np.where(largest > 0, largest, 1) / _STEPS).astype(np.float32)
    steps = np.clip(np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))), -_STEPS, _STEPS)
    tensor = graph.tensors[index]
    tensor.type, tensor.buffer = schema.TensorType.INT8, _add_buffer(model, steps.astype(np.int8))
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)
    return index


def _halve(model: Any, graph: Any, index: int, weights: np.ndarray, unpacking: list[Any]) -> int:
    """Stores weights as float16, adds the operator that unpacks them, and returns the index of what it gives."""
    from ai_edge_litert import schema_py_generated as schema

    tensor, unpacked, operator = graph.tensors[index], schema.TensorT(), schema.OperatorT()
    unpacked.name, unpacked.shape, unpacked.type = tensor.name, tensor.shape, schema.TensorType.FLOAT32
    tensor.name, tensor.type = tensor.name + b"/float16", schema.TensorType.FLOAT16
    tensor.buffer = _add_buffer(model, weights.astype(np.float16))
    operator.inputs, operator.outputs = [index], [len(graph.tensors)]
    operator.opcodeIndex = operator_code(model, schema.BuiltinOperator.DEQUANTIZE, 3)
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    graph.tensors.append(unpacked)
    unpacking.append(operator)
    return len(graph.tensors) - 1


def _add_buffer(model: Any, values: np.ndarray) -> int:
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def operator_code(model: Any, kind: int, version: int) -> int:
    """The index of an operator's code, which is added where the file has none."""
    from ai_edge_litert import schema_py_generated as schema

    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == kind:
            code.version = max(code.version, version)
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
