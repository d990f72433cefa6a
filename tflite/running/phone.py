"""Latency on an Android phone, by LiteRT's own `benchmark_model`, which its user has: pushed, run and read over adb."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExportError, first_line
from .timing import Timing

FOLDER = "/data/local/tmp/keras-inception"
_SECONDS = 600


@dataclass(frozen=True)
class Operator:
    """What the operators of one kind took.

    Attributes:
        kind: As the tool names it, such as `CONV_2D`; what a delegate took is one operator of its own.
        count: How many there are.
        milliseconds: Of all of them, a call on average.
    """

    kind: str
    count: int
    milliseconds: float


@dataclass(frozen=True)
class PhoneTiming:
    """What a phone measured of one file.

    Attributes:
        timing: Latency, of kind `"phone"`. Where the tool tells no percentiles, the mean, the least and the greatest.
        load_ms: Until the file could be called.
        first_ms: The first call.
        memory_mb: What the tool's memory grew by, about; None where it does not tell.
        operators: By kind, the costliest first; empty where the tool was built without its profiler.
    """

    timing: Timing
    load_ms: float
    first_ms: float
    memory_mb: float | None
    operators: tuple[Operator, ...]


def benchmark_on_phone(
    files: Sequence[str | Path],
    tool: str | Path,
    *,
    serial: str | None = None,
    threads: int = 1,
    runs: int = 50,
) -> list[PhoneTiming]:
    """Times .tflite files on a phone that adb reaches, with LiteRT's default kernels for CPUs.

    Files and tool are copied to a folder of the phone, which is removed in the end.

    Args:
        files: The .tflite files.
        tool: LiteRT's or TensorFlow Lite's `benchmark_model` for the phone's processor:
            https://ai.google.dev/edge/litert/models/measurement
        serial: Of the phone, where adb reaches several.
        threads: Threads on the phone.
        runs: Timed calls at least.

    Returns:
        One measurement a file, in the order given.

    Raises:
        FileNotFoundError: A file or the tool does not exist.
        ExportError: There is no adb or no phone, a file is no .tflite file, or the tool fails or prints what cannot be
            read.
    """
    places = [Path(file) for file in files]
    for path in (*places, Path(tool)):
        if not path.is_file():
            raise FileNotFoundError(f"What a phone runs must exist. Received: {path}")
    if others := [path for path in places if path.suffix != ".tflite"]:
        raise ExportError(f"A phone times .tflite files. Received: {others[0]}.")
    adb = shutil.which("adb")
    if adb is None:
        raise ExportError("A phone is reached over adb, of Android's platform tools. Received: no adb on the PATH.")
    phone = [adb, *(["-s", serial] if serial else [])]
    name = _run([*phone, "shell", "getprop", "ro.product.model"]).strip() or "phone"
    try:
        _run([*phone, "shell", "mkdir", "-p", FOLDER])
        _run([*phone, "push", str(tool), f"{FOLDER}/benchmark_model"])
        _run([*phone, "shell", "chmod", "+x", f"{FOLDER}/benchmark_model"])
        found = []
        for path in places:
            _run([*phone, "push", str(path), f"{FOLDER}/model.tflite"])
            command = [
                f"{FOLDER}/benchmark_model",
                f"--graph={FOLDER}/model.tflite",
                f"--num_threads={threads}",
                f"--num_runs={runs}",
                "--enable_op_profiling=true",
            ]
            printed = _run([*phone, "shell", shlex.join(command)])
            found.append(parse(printed, f"{path} on {name}", threads))
        return found
    finally:
        subprocess.run([*phone, "shell", "rm", "-rf", FOLDER], capture_output=True, timeout=_SECONDS, check=False)


def parse(printed: str, name: str, threads: int) -> PhoneTiming:
    """Reads what `benchmark_model` prints.

    Args:
        printed: Its standard output and error.
        name: What the measurement is called.
        threads: How many it was given.

    Raises:
        ExportError: The latency is not in it.
    """
    counted = [line for line in printed.splitlines() if re.search(r"\bcount=\d+ .*\bavg=", line)]
    timings = re.search(r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+)", printed)
    if not counted or timings is None:
        last = next((line for line in reversed(printed.splitlines()) if line.strip()), "nothing")
        raise ExportError(f"benchmark_model must print the latency of a file. Received: {last.strip()!r} for {name}.")
    values = {key: float(value) for key, value in re.findall(r"(\w+)=([\d.e+]+)", counted[-1])}
    low, median, high = (
        values.get(key, values[other]) / 1e3 for key, other in (("p5", "min"), ("median", "avg"), ("p95", "max"))
    )
    memory = re.search(r"(?:emory footprint|Peak memory).*overall=([\d.]+)", printed)
    return PhoneTiming(
        Timing(name, "phone", median, low, high, int(values["count"]), 1, threads),
        float(timings[1]) / 1e3,
        float(timings[2]) / 1e3,
        float(memory[1]) if memory else None,
        _operators(printed),
    )


def _operators(printed: str) -> tuple[Operator, ...]:
    """The last table by kind of operator: that of the timed calls, after one of the loading."""
    tables = re.split(r"=+ Summary by node type =+", printed)
    found = []
    for line in tables[-1].splitlines()[1:] if len(tables) > 1 else ():
        cells = line.split()
        if len(cells) >= 6 and cells[1].isdecimal() and re.fullmatch(r"[\d.]+%", cells[3]):
            found.append(Operator(cells[0], int(cells[1]), float(cells[2])))
        elif found and not cells:
            break
    return tuple(sorted(found, key=lambda operator: -operator.milliseconds))


def _run(command: Sequence[str]) -> str:
    """What a command prints, standard error too."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"A phone must answer within {_SECONDS} s. Received: none to {shlex.join(command)}") from None
    if done.returncode:
        printed = first_line(Exception(done.stdout.strip() or f"exit code {done.returncode}"))
        raise ExportError(f"adb must reach a phone that runs benchmark_model. Received: {printed} ({command[-1]}).")
    return done.stdout
