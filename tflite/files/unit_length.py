"""A TFLite file's vectors brought to length 1, in float whatever the file computes in."""

from __future__ import annotations

from .flatbuffer import read, write
from .rewriting import operator_code


def with_unit_length(content: bytes) -> bytes:
    """Returns a TFLite file whose float32 answers [n, features] are divided by their lengths.

    One operator of TFLite's is appended behind all others. The converter would quantise it in an int8 file: lengths
    from 0.99 to 1.06 for MobileNetV2, and vectors twice as far from the network's.

    Args:
        content: A file of one signature with one output.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read(content)
    (signature,) = model.signatureDefs
    (output,) = signature.outputs
    graph = model.subgraphs[signature.subgraphIndex]
    vectors = graph.tensors[output.tensorIndex]
    result, operator = schema.TensorT(), schema.OperatorT()
    result.name, result.type = vectors.name + b"/unit_length", vectors.type
    result.shape, result.shapeSignature = vectors.shape, vectors.shapeSignature
    operator.inputs, operator.outputs = [output.tensorIndex], [len(graph.tensors)]
    operator.opcodeIndex = operator_code(model, schema.BuiltinOperator.L2_NORMALIZATION, 1)
    operator.builtinOptionsType = schema.BuiltinOptions.L2NormOptions
    operator.builtinOptions = schema.L2NormOptionsT()
    graph.tensors.append(result)
    graph.operators.append(operator)
    output.tensorIndex = operator.outputs[0]
    graph.outputs = [output.tensorIndex]
    return write(model)
