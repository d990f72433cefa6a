"""Where a file can be run on this machine: the CPU's kernels, LiteRT's GPU backend, other runtimes; each in a process.

A GPU backend is native code and a driver, and either may end the process that calls it. What is measured here is
therefore asked of a process of its own, `worker.py`.

Which Vulkan driver the GPU backend takes: what the machine has. Where that gives no adapter and the user has named no
driver (`VK_ICD_FILENAMES`, `VK_DRIVER_FILES`), SwiftShader, which Chromium brings: it computes as a GPU does, in
float32 and on the CPU.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

COMPILE_SECONDS = 600
"""After which a place that has not answered is given up."""
RUN_SECONDS = 20
"""After which a place begins no further image."""
_WORKER = "keras_inception.tflite.running.worker"
_BROWSERS = ("/usr/lib/chromium", "/usr/lib/chromium-browser", "/usr/lib64/chromium-browser", "/opt/google/chrome")
_NO_ADAPTER = "No adapters found"


@dataclass(frozen=True)
class Place:
    """A runtime and what it computes in.

    Attributes:
        name: As tables say it.
        engine: The function of the worker that opens files there.
        options: What that function is told.
        reads: Ending of the files that it reads.
        half_of: Name of the same place in float32, where this one computes in half precision.
        module: What must be installed.
        brings: What brings that; for the GPU, a driver.
        advises: Whether it is a second opinion, to which no limit holds: an app with these files does not run there.
    """

    name: str
    engine: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = (".tflite",)
    half_of: str = ""
    module: str = "ai_edge_litert"
    brings: str = "pip install 'keras-inception[tflite]'"
    advises: bool = False


CPU, GPU, OPENVINO, ONNX_RUNTIME = "CPU", "GPU", "OpenVINO", "ONNX Runtime"
_DRIVER = "a Vulkan driver, such as SwiftShader of Debian's chromium: apt-get install chromium"
_OPENVINO: dict[str, Any] = {
    "reads": (".tflite", ".onnx"), "module": "openvino", "brings": "pip install 'keras-inception[openvino]'",
    "advises": True,
}  # fmt: skip
PLACES = (
    Place(CPU, "kernels", {"resolver": "AUTO"}),
    Place(ONNX_RUNTIME, "onnx_runtime", reads=(".onnx",), module="onnxruntime",
          brings="pip install 'keras-inception[onnx]'"),
    Place("CPU, builtin kernels", "kernels", {"resolver": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}),
    Place("CPU, reference kernels", "kernels", {"resolver": "BUILTIN_REF"}),
    Place("CPU, half precision", "compiled", {"gpu": False}, half_of=CPU),
    Place(GPU, "compiled", {"gpu": True, "half": False}, brings=_DRIVER),
    Place("GPU, half precision", "compiled", {"gpu": True, "half": True}, half_of=GPU, brings=_DRIVER),
    Place(OPENVINO, "openvino", {"precision": "f32"}, **_OPENVINO),
    Place("OpenVINO, half precision", "openvino", {"precision": "f16"}, half_of=OPENVINO, **_OPENVINO),
)  # fmt: skip
"""In the order in which they are tried: the first that reads a file is what it is compared with."""


@dataclass(frozen=True)
class Ran:
    """What became of a file in a place.

    Attributes:
        answers: Of the first images, float32 [n, classes]; None where there are none.
        device: What computed, as it names itself.
        whole: Whether the place took the file whole; None where it does not say.
        taken: How many operators it took, where it says so.
        left: What it left to the CPU: kinds of operators, each with why.
        error: Why there are no answers.
        absent: What the machine would need for any; empty where it has it.
    """

    answers: np.ndarray | None = None
    device: str = ""
    whole: bool | None = None
    taken: int | None = None
    left: tuple[str, ...] = ()
    error: str = ""
    absent: str = ""


def run_at(place: Place, path: Path, images: np.ndarray, signature: str) -> Ran:
    """Runs a file in a process of its own.

    Args:
        place: Where.
        path: A .tflite or .onnx file that is known to be whole.
        images: uint8 [n, h, w, c].
        signature: Which function of a .tflite file.
    """
    if find_spec(place.module) is None:
        return Ran(absent=place.brings)
    ran = Ran()
    for variables in _drivers() if place.options.get("gpu") else iter([{}]):
        ran = _run(place, path, images, signature, {**os.environ, **variables})
        if not ran.absent:
            break
    return ran


def _drivers() -> Iterator[dict[str, str]]:
    """Environment variables with which the GPU backend may find a driver: the machine's own, then Chromium's."""
    yield {}
    if os.environ.get("VK_ICD_FILENAMES") or os.environ.get("VK_DRIVER_FILES"):
        return
    for folder in map(Path, _BROWSERS):
        if (driver := folder / "vk_swiftshader_icd.json").is_file():
            # The folder also has Vulkan's loader, where the machine has none.
            libraries = os.pathsep.join(filter(None, [os.environ.get("LD_LIBRARY_PATH"), str(folder)]))
            yield {"VK_ICD_FILENAMES": str(driver), "LD_LIBRARY_PATH": libraries}


def _run(place: Place, path: Path, images: np.ndarray, signature: str, environment: Mapping[str, str]) -> Ran:
    request = {
        "engine": place.engine, "options": dict(place.options), "path": str(path), "signature": signature,
        "seconds": RUN_SECONDS,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="keras-inception-") as folder:
        np.save(Path(folder) / "images.npy", images)
        (Path(folder) / "request.json").write_text(json.dumps(request), "utf-8")
        try:
            process = subprocess.run(
                [sys.executable, "-m", _WORKER, folder],
                capture_output=True,
                env=dict(environment),
                timeout=COMPILE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Ran(error=f"no answer within {COMPILE_SECONDS} s")
        log = process.stderr.decode("utf-8", "replace")
        if _NO_ADAPTER in log:
            return Ran(absent=place.brings)
        told = Path(folder) / "told.json"
        if process.returncode < 0:
            return Ran(error=f"the runtime crashed ({signal.Signals(-process.returncode).name})")
        if process.returncode or not told.is_file():
            return Ran(error=f"the runtime ended with exit code {process.returncode}")
        facts = json.loads(told.read_text("utf-8"))
        answers = Path(folder) / "answers.npy"
        return Ran(np.load(answers) if answers.is_file() else None, **{**_of_gpu(log), **facts})


def _of_gpu(log: str) -> dict[str, Any]:
    """What LiteRT's GPU backend says in its log: on what it runs, and what it takes."""
    facts: dict[str, Any] = {}
    if adapter := re.search(r"Selected adapter: ([^,\n]+)", log):
        facts["device"] = adapter[1]
    if share := re.search(r"(\d+) operations will run on the GPU, and the remaining (\d+) operations", log):
        refused = re.findall(r"^((?!INFO|WARNING|ERROR)[A-Z][A-Z0-9_]+: .*?)\.(?: \S+)?$", log, re.MULTILINE)
        facts |= {"taken": int(share[1]), "left": tuple(name for name, _ in Counter(refused).most_common())}
    return facts
