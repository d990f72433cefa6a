"""TFLite files as FlatBuffers: checked, counted and written anew."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ExportError

_IDENTIFIER = b"TFL3"
_SEAL, _DIGITS = b"keras-inception sha256:", 64
SEAL = _SEAL + b"0" * _DIGITS
"""What a file ends in, as the comment of the zip archive at its end, before `sealed` puts the hash there."""
_ALIGNMENT = 16  # of a weight buffer: the runtime reads it where it lies
_GPU_OPERATORS = {
    "ADD", "AVERAGE_POOL_2D", "CAST", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "EXP",
    "FULLY_CONNECTED", "HARD_SWISH", "LOG", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PAD",
    "POW", "PRELU", "QUANTIZE", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RSQRT", "SLICE", "SOFTMAX", "SPLIT",
    "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip


def sealed(content: bytes) -> bytes:
    """Closes a TFLite file with the hash of all that precedes it; see `SEAL`."""
    return content[:-_DIGITS] + _hash(content)


def _hash(content: bytes | mmap.mmap) -> bytes:
    return hashlib.sha256(memoryview(content)[:-_DIGITS]).hexdigest().encode()


def mapped(file: BinaryIO) -> bytes | mmap.mmap:
    """What is in a file, mapped into memory: pages that are not read are not loaded, and none is the process's own."""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.seek(0, os.SEEK_END) else b""


def check_flatbuffer(path: Path, content: bytes | mmap.mmap) -> None:
    """Raises `ExportError` unless the bytes are a whole TFLite file: a cut or changed one can crash native code."""
    if len(content) < 8 or content[4:8] != _IDENTIFIER:
        raise ExportError(f"A .tflite file must be a TFLite model. Received: {path}, which is something else.")
    if content[-len(SEAL) : -_DIGITS] == _SEAL and _hash(content) != content[-_DIGITS:]:
        raise ExportError(f"A .tflite file must be as it was written. Received: {path}, which has been changed.")
    try:
        operators(content)
    except Exception as error:  # the flatbuffer reader raises whatever the broken offset leads to
        raise ExportError(f"A .tflite file must be whole. Received: {path}, which is cut off or damaged.") from error


def operators(content: bytes | mmap.mmap) -> dict[str, int]:
    """Counts the operators of a TFLite model, read from the file itself.

    Args:
        content: The file's bytes.

    Returns:
        Names in upper case and how often each occurs, most frequent first. What is not one of TFLite's builtin
        operators bears its own name after `custom:`, such as `custom:FlexErf`.
    """
    model = _model(content)
    for i in range(model.BuffersLength()):  # the file's tail: touching the last one finds a file that was cut there
        buffer = model.Buffers(i)
        if buffer.DataLength() and len(buffer.DataAsNumpy()) != buffer.DataLength():
            raise ValueError("a buffer ends past the file")
    return dict(Counter(name for name, _ in _operators(model)).most_common())


def operator_names(content: bytes) -> list[str]:
    """Names of the output tensors of a TFLite model's operators, in the order of execution."""
    return [output.Name().decode() for _, output in _operators(_model(content)) if output is not None]


def float_operators(content: bytes) -> dict[str, int]:
    """Counts the operators that compute in floating point; converting to and from it does not count."""
    from ai_edge_litert import schema_py_generated as schema

    found = Counter(
        name
        for name, output in _operators(_model(content))
        if output is not None and output.Type() == schema.TensorType.FLOAT32 and name not in ("DEQUANTIZE", "CAST")
    )
    return dict(found.most_common())


def custom_operators(found: dict[str, int]) -> list[str]:
    """The operators, of those that `operators` counted, that are not TFLite builtins."""
    return [name.removeprefix("custom:") for name in found if name.startswith("custom:")]


def gpu_blockers(found: Iterable[str]) -> tuple[str, ...]:
    """The operators, of those that `operators` counted, that LiteRT's GPU delegate would leave to the CPU.

    By the delegate's published list of operators: https://ai.google.dev/edge/litert/performance/gpu and the parsers of
    its source, tensorflow/lite/delegates/gpu/common/model_builder.cc. TensorFlow's own checker
    (`tf.lite.experimental.Analyzer`) passes every file in TensorFlow 2.21.
    """
    return tuple(sorted(set(found) - _GPU_OPERATORS))


def read(content: bytes) -> Any:
    """A TFLite file as the schema's objects, to be changed and written anew.

    Buffers that a file keeps behind its FlatBuffer, as litert-quantizer's large ones, are brought inside.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 say that the data is inside
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write(model: Any) -> bytes:
    """Writes the schema's objects as a TFLite file, every list of numbers once however often it occurs.

    An int8 file repeats its zero points, eight bytes for every channel of every layer; a file with several signatures
    repeats whole weights. What no tensor refers to any longer is left out.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class SharingBuilder(flatbuffers.Builder):
        """Writes a vector that was written before as a reference to that one."""

        def __init__(self, size: int) -> None:
            super().__init__(size)
            self.written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:  # the name that the generated code calls
            return self.once(str(x.dtype), x.tobytes(), lambda: super(SharingBuilder, self).CreateNumpyVector(x))

        def once(self, kind: str, data: bytes, write: Callable[[], int]) -> int:
            if (kind, data) not in self.written:
                self.written[kind, data] = write()
            return self.written[kind, data]

    class AlignedBuffer(schema.BufferT):
        """The generated writer forgets that the schema asks for aligned data."""

        def Pack(self, builder: Any) -> Any:
            if self.data is not None:
                content = bytes(self.data)
                data = builder.once("buffer", content, lambda: _bytes_vector(builder, content))
            schema.BufferStart(builder)
            if self.data is not None:
                schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        buffer.__class__ = AlignedBuffer
        if index not in used:
            buffer.data = None
    builder = SharingBuilder(sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None) + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def with_buffers(content: bytes, metadata: dict[str, bytes]) -> bytes:
    """Writes a TFLite file anew with more metadata: buffers by name."""
    from ai_edge_litert import schema_py_generated as schema

    model = read(content)
    model.metadata = [*(model.metadata or ())]
    for name, data in metadata.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer, buffer.data = name, len(model.buffers), data
        model.metadata.append(entry)
        model.buffers.append(buffer)
    return write(model)


def _bytes_vector(builder: Any, data: bytes) -> int:
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()


def _model(content: bytes | mmap.mmap) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content, 0)


def _operators(model: Any) -> Iterator[tuple[str, Any]]:
    """Each operator's name with its first output; None for one without, such as the assignment of a variable."""
    names = [_operator_name(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for operator in (graph.Operators(j) for j in range(graph.OperatorsLength())):
            output = graph.Tensors(operator.Outputs(0)) if operator.OutputsLength() else None
            yield names[operator.OpcodeIndex()], output


def _operator_name(code: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    # Old files keep codes up to 127 in the first field alone.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        return f"custom:{code.CustomCode().decode()}"
    return {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}[number]
