"""Exported files, opened as an app opens them: by signature name, pixels in, probabilities out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.tflite.errors import ExportError, quiet

SIGNATURE = "serving_default"
INPUT = "images"
OUTPUT = "predictions"
_GPU_OPERATORS = {
    "ADD", "AVERAGE_POOL_2D", "CAST", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "EXP",
    "FULLY_CONNECTED", "HARD_SWISH", "LOG", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PAD",
    "POW", "PRELU", "QUANTIZE", "RELU", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RSQRT", "SLICE", "SOFTMAX", "SPLIT",
    "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LiteRTModel:
    """A .tflite file in LiteRT's interpreter, called like a function.

    Args:
        path: The file.
        threads: Threads of the interpreter; None: as many as there are cores.
        signature: Which of the file's functions, from `images` to `predictions`.

    Attributes:
        input_shape: (batch, height, width, channels); the batch is None where the file accepts any.
        classes: Length of the answer for one image.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: The file is not a whole TFLite model with the signature that `export` writes.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None, signature: str = SIGNATURE) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = Path(path)
        self.threads = threads or cores()
        content = self.path.read_bytes()  # FileNotFoundError names the file
        check_flatbuffer(self.path, content)
        try:
            with quiet():
                self._interpreter = Interpreter(model_content=content, num_threads=self.threads)
                self._signatures = self._interpreter.get_signature_list()
                self._runner = self._interpreter.get_signature_runner(signature)
        except (ValueError, RuntimeError) as error:
            raise ExportError(
                f"A .tflite file must be one that LiteRT can run, with the signature {signature!r}. "
                f"Received: {self.path} ({_first_line(error)})."
            ) from error
        names = self._signatures[signature]
        if INPUT not in names["inputs"] or OUTPUT not in names["outputs"]:
            raise ExportError(
                f"The signature must map {INPUT!r} to {OUTPUT!r}. Received: {self.path} with {names['inputs']} to "
                f"{names['outputs']}."
            )
        # The signature runner reports its own shape with unknown sizes as 1; the interpreter knows better.
        details = self._interpreter.get_input_details()[0]
        self._dtype = details["dtype"]
        shape = [None if size == -1 else int(size) for size in details["shape_signature"]]
        self.input_shape: tuple[int | None, ...] = tuple(shape)
        self.classes = int(self._runner.get_output_details()[OUTPUT]["shape"][-1])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Answers a batch of images.

        Args:
            images: [n, height, width, channels], whole numbers in 0..255.

        Returns:
            float32 [n, classes]. A file with a static batch is run as often as that takes, the last time with some of
            the images repeated.
        """
        pixels = np.ascontiguousarray(images, self._dtype)
        if not len(pixels):
            return np.zeros((0, self.classes), np.float32)
        step = self.input_shape[0] or len(pixels)
        answers = []
        for start in range(0, len(pixels), step):
            batch = pixels[start : start + step]
            whole = batch if len(batch) == step else np.resize(batch, (step, *batch.shape[1:]))
            answers.append(self._runner(**{INPUT: whole})[OUTPUT][: len(batch)])
        return np.concatenate(answers)


def check_flatbuffer(path: Path, content: bytes) -> None:
    """Raises `ExportError` unless the bytes are a whole TFLite file: a cut one can crash native code."""
    if len(content) < 8 or content[4:8] != b"TFL3":
        raise ExportError(f"A .tflite file must be a TFLite model. Received: {path}, which is something else.")
    try:
        operators(content)
    except Exception as error:  # the flatbuffer reader raises whatever the broken offset leads to
        raise ExportError(f"A .tflite file must be whole. Received: {path}, which is cut off or damaged.") from error


def operators(content: bytes) -> dict[str, int]:
    """Counts the operators of a TFLite model, read from the file itself.

    Args:
        content: The file's bytes.

    Returns:
        Names in upper case and how often each occurs, most frequent first. What is not one of TFLite's builtin
        operators bears its own name after `custom:`, such as `custom:FlexErf`.
    """
    model = _model(content)
    codes = [_operator_name(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    found: Counter[str] = Counter()
    for graph in _graphs(model):
        for j in range(graph.OperatorsLength()):
            found[codes[graph.Operators(j).OpcodeIndex()]] += 1
        # The file's tail holds the tensors' buffers; touching the last one finds a file that was cut there.
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength() and len(buffer.DataAsNumpy()) != buffer.DataLength():
            raise ValueError("a buffer ends past the file")
    return dict(found.most_common())


def operator_names(content: bytes) -> list[str]:
    """Names of the output tensors of a TFLite model's operators, in the order of execution."""
    return [
        graph.Tensors(graph.Operators(j).Outputs(0)).Name().decode()
        for graph in _graphs(_model(content))
        for j in range(graph.OperatorsLength())
        if graph.Operators(j).OutputsLength()
    ]


def float_operators(content: bytes) -> dict[str, int]:
    """Counts the operators that compute in floating point; converting to and from it does not count."""
    from ai_edge_litert import schema_py_generated as schema

    model = _model(content)
    found: Counter[str] = Counter()
    for graph in _graphs(model):
        for j in range(graph.OperatorsLength()):
            operator = graph.Operators(j)
            if not operator.OutputsLength():  # such as the assignment of a variable
                continue
            name = _operator_name(model.OperatorCodes(operator.OpcodeIndex()))
            kind = graph.Tensors(operator.Outputs(0)).Type()
            if kind == schema.TensorType.FLOAT32 and name not in ("DEQUANTIZE", "CAST"):
                found[name] += 1
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


def open_onnx(path: str | Path, *, threads: int | None = None) -> Any:
    """Opens an exported ONNX file in ONNX Runtime.

    Returns:
        A function of a uint8 batch that returns a float32 array.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: ONNX Runtime is not installed, or it cannot read the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(
            "Running an ONNX file needs onnxruntime: pip install 'keras-inception[onnx]'. "
            f"Received: {path} in an environment without it."
        ) from None
    content = Path(path).read_bytes()  # FileNotFoundError names the file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ExportError(f"An ONNX file must be whole. Received: {path} ({_first_line(error)}).") from error

    def call(images: np.ndarray) -> np.ndarray:
        answer: np.ndarray = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images, np.uint8)})[0]
        return answer

    return call


def open_saved_model(folder: str | Path, signature: str = SIGNATURE) -> Any:
    """Loads an exported SavedModel.

    Args:
        folder: The folder that holds saved_model.pb.
        signature: Which of its functions.

    Returns:
        A function of a uint8 batch that returns a float32 array.

    Raises:
        FileNotFoundError: There is no such folder.
        ExportError: It cannot be loaded, or has no such signature.
    """
    import tensorflow as tf

    folder = Path(folder)
    if not (folder / "saved_model.pb").is_file():
        raise FileNotFoundError(f"A SavedModel is a folder with saved_model.pb. Received: {folder}.")
    try:
        loaded = tf.saved_model.load(str(folder))
        function = loaded.signatures[signature]
    except Exception as error:  # protobuf, h5 and TensorFlow errors share no base class
        raise ExportError(f"A SavedModel must be whole. Received: {folder} ({_first_line(error)}).") from error

    def call(images: Any) -> np.ndarray:
        return function(**{INPUT: tf.constant(images)})[OUTPUT].numpy()

    call.keep = loaded  # type: ignore[attr-defined]  # the variables live as long as the object does
    return call


def _model(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.Model.GetRootAs(content, 0)


def _graphs(model: Any) -> list[Any]:
    return [model.Subgraphs(i) for i in range(model.SubgraphsLength())]


def _operator_name(code: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    # Old files keep codes up to 127 in the first field alone.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        return f"custom:{code.CustomCode().decode()}"
    return _builtin_names()[number]


def _builtin_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
