"""Two TFLite files become one: the second goes on from an output of the first.

The converter quantises a graph whole. What shall stay float in an integer file is converted by itself and joined on.
"""

from __future__ import annotations

from typing import Any

from ..network.familiarity import Familiarity
from .converting import convert
from .flatbuffer import read, write
from .tracing import FEATURES, trace_unfamiliar


def with_unfamiliar(content: bytes, familiarity: Familiarity, mode: str, batch: int | None) -> bytes:
    """Lets a file that answers features answer `unfamiliar` in their place, computed in float.

    Integers would be calibrated on familiar images, and saturate beyond what those answer. Activations quantised while
    running move the distance six times as far as halved weights do.
    """
    tail = convert(trace_unfamiliar(familiarity, batch), "float32" if mode == "float32" else "float16", None)
    return joined(content, tail, FEATURES)


def joined(content: bytes, tail: bytes, seam: str) -> bytes:
    """Returns a TFLite file that answers the outputs of a second one in place of one of its own.

    Args:
        content: A file of one graph and one signature.
        tail: Another, whose only input is of the shape and type of that output.
        seam: The output's name in the signature; the tail's outputs keep their names and come last.
    """
    model, more = read(content), read(tail)
    (graph,), (rest,) = model.subgraphs, more.subgraphs
    (signature,), (of_tail,) = model.signatureDefs, more.signatureDefs
    (ended,) = (output for output in signature.outputs if output.name == seam.encode())
    places = _places(rest, of_tail.inputs[0].tensorIndex, ended.tensorIndex, len(graph.tensors))

    for index, tensor in enumerate(rest.tensors):
        if index != of_tail.inputs[0].tensorIndex:
            tensor.buffer += len(model.buffers)
            graph.tensors.append(tensor)
    for operator in rest.operators:
        operator.opcodeIndex += len(model.operatorCodes)
        operator.inputs = [places.get(index, -1) for index in operator.inputs]  # -1: an input that is left out
        operator.outputs = [places[index] for index in operator.outputs]
        graph.operators.append(operator)
    model.buffers += more.buffers
    model.operatorCodes += more.operatorCodes

    for output in of_tail.outputs:
        output.tensorIndex = places[output.tensorIndex]
    signature.outputs = [*(output for output in signature.outputs if output is not ended), *of_tail.outputs]
    graph.outputs = [output.tensorIndex for output in signature.outputs]
    return write(model)


def _places(rest: Any, entry: int, seam: int, first: int) -> dict[int, int]:
    """Where the tensors of a graph are to be found behind those of another, of which it reads one."""
    others = [index for index in range(len(rest.tensors)) if index != entry]
    return {entry: seam} | {index: first + place for place, index in enumerate(others)}
