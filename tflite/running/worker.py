"""The process that runs one file in one place; see `places.py`, which starts it.

It reads request.json and images.npy from the folder that it is given, and writes told.json and answers.npy there. It
imports little: neither Keras nor TensorFlow.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import first_line

# A function of one batch of pixels, how many images it takes, and what is known of the place.
Opened: TypeAlias = tuple[Callable[[np.ndarray], np.ndarray], int, dict[str, Any]]
_INPUT = "images"
_ANSWERS = ("predictions", "embedding")
_XNNPACK_HALF = 0x1 | 0x2 | 0x4  # signed and unsigned 8-bit kernels as ever, and half precision for what is float


def kernels(path: str, signature: str, resolver: str) -> Opened:
    """LiteRT's interpreter with one of its sets of kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(path, experimental_op_resolver_type=OpResolverType[resolver], num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner(signature)
    answer = _answer(list(runner.get_output_details()))
    facts: dict[str, Any] = {"device": platform.machine()}
    facts |= {"taken": _delegated(interpreter._get_ops_details())} if resolver == "AUTO" else {"whole": True}
    size = int(runner.get_input_details()[_INPUT]["shape"][0])
    return (lambda images: runner(**{_INPUT: images})[answer]), size, facts


def compiled(path: str, signature: str, gpu: bool, half: bool = True) -> Opened:
    """LiteRT's compiled model: on the GPU, with the CPU for what that refuses; or XNNPACK in half precision."""
    from ai_edge_litert import compiled_model as litert

    if gpu:
        devices = litert.HardwareAccelerator.GPU | litert.HardwareAccelerator.CPU
        options = litert.Options(devices, gpu_options=litert.GpuOptions(enforce_f32=not half))
    else:
        cpu = litert.CpuOptions(num_threads=1, xnnpack_flags=_XNNPACK_HALF)
        options = litert.Options(litert.HardwareAccelerator.CPU, cpu_options=cpu)
    model = litert.CompiledModel.from_file(path, options=options)
    takes = model.get_input_tensor_details(signature)[_INPUT]
    names = model.get_signature_list()[signature]["outputs"]
    answer = _answer(names)
    width = int(model.get_output_tensor_details(signature)[answer]["shape"][-1])
    size = max(1, int(takes["shape"][0]))
    pixels = model.create_input_buffer_by_name(signature, _INPUT)
    answers = {name: model.create_output_buffer_by_name(signature, name) for name in names}

    def call(images: np.ndarray) -> np.ndarray:
        pixels.write(np.ascontiguousarray(images))
        model.run_by_name(signature, {_INPUT: pixels}, answers)
        return np.array(answers[answer].read(size * width, np.float32)).reshape(size, width)

    return call, size, {"whole": True} if gpu and model.is_fully_accelerated() else {}


def openvino(path: str, signature: str, precision: str) -> Opened:
    """OpenVINO's CPU plugin, whatever it makes of the file."""
    import openvino as ov

    core = ov.Core()
    if precision == "f16" and "FP16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise _AbsentError("a CPU that computes in half precision")
    model = core.read_model(path)
    size = 1 if model.inputs[0].partial_shape[0].is_dynamic else int(model.inputs[0].shape[0])
    if path.endswith(".onnx"):
        output = _answer([name for port in model.outputs for name in port.get_names()])
    else:  # OpenVINO knows no signatures, and names outputs by their tensors
        answers = _runner(path, signature).get_output_details()
        output = answers[_answer(list(answers))]["name"]
    ready = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"})
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    return (lambda images: ready({0: images})[output]), size, {"device": device, "whole": True}


def onnx_runtime(path: str, signature: str) -> Opened:
    """ONNX Runtime on the CPU."""
    import onnxruntime

    del signature
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer = _answer([value.name for value in session.get_outputs()])
    facts = {"device": platform.machine(), "whole": True}
    return (lambda images: session.run([answer], {_INPUT: images})[0]), 1, facts


class _AbsentError(Exception):
    """Something that this machine lacks."""


def _runner(path: str, signature: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(path).get_signature_runner(signature)


def _answer(names: list[str]) -> str:
    return next(name for name in _ANSWERS if name in names)


def _delegated(nodes: list[dict[str, Any]]) -> int:
    """How many operators delegates took: those that lie between what a delegate reads and what it writes."""
    makers = {tensor: node for node in nodes if node["op_name"] != "DELEGATE" for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in (node for node in nodes if node["op_name"] == "DELEGATE"):
        read, waiting = set(delegate["inputs"]), list(delegate["outputs"])
        while waiting:
            tensor = waiting.pop()
            maker = makers.get(tensor)
            if tensor not in read and maker is not None and maker["index"] not in taken:
                taken.add(maker["index"])
                waiting += list(maker["inputs"])
    return len(taken)


ENGINES: dict[str, Callable[..., Opened]] = {
    "kernels": kernels,
    "compiled": compiled,
    "openvino": openvino,
    "onnx_runtime": onnx_runtime,
}


def main(folder: Path) -> None:
    """Answers one request."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    images = np.load(folder / "images.npy")
    facts: dict[str, Any]
    try:
        call, size, facts = ENGINES[request["engine"]](request["path"], request["signature"], **request["options"])
        began, parts = time.monotonic(), []
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            parts.append(call(np.resize(batch, (size, *batch.shape[1:])))[: len(batch)].astype(np.float32))
            if time.monotonic() - began > request["seconds"]:
                break
        np.save(folder / "answers.npy", np.concatenate(parts))
    except _AbsentError as error:
        facts = {"absent": str(error)}
    except Exception as error:  # each runtime raises whatever it likes
        facts = {"error": _last_line(error)}
    (folder / "told.json").write_text(json.dumps(facts), "utf-8")


def _last_line(error: Exception) -> str:
    """What an error says in the end: LiteRT begins with the places in its source that it came through."""
    lines = [line.strip(" └") for line in str(error).splitlines() if line.strip(" └")]
    said = [line for line in lines if not line.startswith("ERROR: [")]
    return (said[-1] if said else first_line(error)).rstrip(".")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
