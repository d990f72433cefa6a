"""Files whose weights and operators are exchanged for forms that LiteRT's default CPU kernels, XNNPACK's, run quickly.

The converter knows of no kernels. What it writes is right, and slow where XNNPACK has none for it: such operators run
one by one in LiteRT's own kernels, on one thread, and cut the graph in parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .flatbuffer import read, write

DYNAMIC_WEIGHTS = 4096
"""Convolutions of fewer weights stay float in dynamic range: quantising their input costs more than they gain by it."""
_STEPS = 127  # symmetric int8


def with_dynamic_range(content: bytes) -> bytes:
    """Gives a float32 file int8 weights, a scale for each output channel; activations are quantised as it runs.

    Weights of depthwise convolutions are stored as float16 and unpacked once when the file is loaded: XNNPACK has no
    kernel for int8 depthwise weights with float activations, and is quick in float there.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Kind

    model = read(content)
    kinds = [code.builtinCode for code in model.operatorCodes]
    for graph in model.subgraphs:
        unpacking = []
        for operator in graph.operators:
            kind = kinds[operator.opcodeIndex]
            if kind not in (Kind.CONV_2D, Kind.FULLY_CONNECTED, Kind.DEPTHWISE_CONV_2D):
                continue
            tensor = graph.tensors[operator.inputs[1]]
            weights = _constant(model, tensor)
            if weights is None:
                continue
            if kind == Kind.DEPTHWISE_CONV_2D:
                operator.inputs = [operator.inputs[0], len(graph.tensors), *operator.inputs[2:]]
                unpacking.append(_unpacked(model, graph, tensor, weights))
            elif weights.size >= DYNAMIC_WEIGHTS or kind == Kind.FULLY_CONNECTED:
                _quantize(model, tensor, weights)
                if kind == Kind.FULLY_CONNECTED:
                    operator.builtinOptions.asymmetricQuantizeInputs = True
        graph.operators = [*unpacking, *graph.operators]
    for code in model.operatorCodes:  # the versions that know such weights
        least = {Kind.CONV_2D: 5, Kind.FULLY_CONNECTED: 12}
        code.version = max(code.version, least.get(code.builtinCode, 1))
    return write(model)


def with_quick_relus(content: bytes) -> bytes:
    """Makes an int8 file's ReLUs changes of scale where they are no more than that: XNNPACK has no int8 ReLU.

    Where the output's zero is the least of its numbers, whatever is negative is cut off by the change itself.
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
                operator.opcodeIndex = _code(model, schema.BuiltinOperator.QUANTIZE, 2)
                operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
                operator.builtinOptions = schema.QuantizeOptionsT()
    return write(model)


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    """The numbers of a float32 tensor that is stored in the file; None for other tensors."""
    from ai_edge_litert.schema_py_generated import TensorType

    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _quantize(model: Any, tensor: Any, weights: np.ndarray) -> None:
    from ai_edge_litert import schema_py_generated as schema

    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scale = (np.where(largest > 0, largest, 1) / _STEPS).astype(np.float32)
    steps = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1)))
    tensor.type, tensor.buffer = (
        schema.TensorType.INT8,
        _add_buffer(model, np.clip(steps, -_STEPS, _STEPS).astype(np.int8)),
    )
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)


def _unpacked(model: Any, graph: Any, tensor: Any, weights: np.ndarray) -> Any:
    """Stores a tensor as float16 and returns the operator that unpacks it into a new, the last, tensor."""
    from ai_edge_litert import schema_py_generated as schema

    unpacked, operator = schema.TensorT(), schema.OperatorT()
    unpacked.name, unpacked.shape, unpacked.type = tensor.name, tensor.shape, schema.TensorType.FLOAT32
    tensor.name, tensor.type = tensor.name + b"/float16", schema.TensorType.FLOAT16
    tensor.buffer = _add_buffer(model, weights.astype(np.float16))
    operator.inputs, operator.outputs = [graph.tensors.index(tensor)], [len(graph.tensors)]
    operator.opcodeIndex = _code(model, schema.BuiltinOperator.DEQUANTIZE, 3)
    operator.builtinOptionsType, operator.builtinOptions = (
        schema.BuiltinOptions.DequantizeOptions,
        schema.DequantizeOptionsT(),
    )
    graph.tensors.append(unpacked)
    return operator


def _add_buffer(model: Any, values: np.ndarray) -> int:
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _code(model: Any, kind: int, version: int) -> int:
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
