"""Reads damaged files, one after the other, and tells what became of each.

`python -m mutations.runner CONTAINER FOLDER FIRST COUNT` does so in a process of its own, and tells the outcome of each
seed at once: whatever kills the process is the next one's doing.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutations.containers import CONTAINERS, Container
from mutations.mutators import FORGERIES
from mutations.training import RefusedError

SECONDS, MEGABYTES = 10, 500
REFUSED, UNCHANGED, CHANGED, FAILED = "refused", "unchanged", "changed", "failed"
_BREAK = 4 * 2**30  # bytes of address space after which a process of our own gets no more


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged file."""

    container: str
    seed: int
    mutator: str
    verdict: str
    seconds: float
    megabytes: float
    detail: str = ""


def run_here(name: str, folder: Path, first: int, count: int) -> Iterator[Outcome]:
    """Damages the container that lies in a folder, and reads it, for each of some seeds; it is whole afterwards."""
    container = CONTAINERS[name]
    pristine = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    expected = container.read(folder)
    assert container.read(folder) == expected, f"{name} is not read twice alike"
    for seed in range(first, first + count):
        yield _attempt(container, folder, pristine, expected, seed)


def run_apart(name: str, folder: Path, first: int, count: int) -> list[Outcome]:
    """The same in a process of its own, and in another one where it dies."""
    outcomes: list[Outcome] = []
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    if CONTAINERS[name].without_tensorflow:
        environment["KERAS_BACKEND"] = "numpy"
    while len(outcomes) < count:
        done = len(outcomes)
        with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as place:
            shutil.copytree(folder, place, dirs_exist_ok=True)  # a process that dies leaves a damaged file behind
            command = [sys.executable, "-m", "mutations.runner", name, place, str(first + done), str(count - done)]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("{"):
                        outcomes.append(Outcome(**json.loads(line)))
            errors.seek(0)
            if process.returncode:
                seed = first + len(outcomes)
                reason = f"the process ended with {process.returncode}: {errors.read()[-600:]}"
                outcomes.append(Outcome(name, seed, "", FAILED, 0, 0, reason))
    return outcomes


def _attempt(container: Container, folder: Path, pristine: dict[Path, bytes], expected: Any, seed: int) -> Outcome:
    rng = np.random.default_rng([zlib.crc32(container.name.encode()), seed])
    choices = [(path, m) for path in pristine for m in container.mutators(path.relative_to(folder).as_posix())]
    path, mutator = choices[int(rng.integers(len(choices)))]
    while path.read_bytes() == pristine[path]:
        mutator(path, rng)
    size = path.stat().st_size
    _reset_peak()
    before, start, worked = _memory("VmRSS"), time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict, detail = _verdict(container, folder, expected, forged=mutator in FORGERIES)
    seconds = min(time.perf_counter() - start, time.process_time() - worked)  # of a busy machine, and of many threads
    megabytes = (_memory("VmHWM") - before - size) / 2**20
    path.write_bytes(pristine[path])
    if seconds > SECONDS or megabytes > MEGABYTES:
        verdict, detail = FAILED, f"{seconds:.1f} s, {megabytes:.0f} MB. {verdict}: {detail}"
    where = f"{mutator.__name__} of {path.relative_to(folder)}"
    return Outcome(container.name, seed, where, verdict, round(seconds, 3), round(megabytes, 1), detail)


def _verdict(container: Container, folder: Path, expected: Any, *, forged: bool) -> tuple[str, str]:
    try:
        found = container.read(folder)
    except RefusedError as refusal:
        return REFUSED, str(refusal)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        complaint = _complaint(error)
        return (FAILED, complaint) if complaint else (REFUSED, str(error))
    if found == expected:
        return UNCHANGED, ""
    if container.checksum and not forged:
        return FAILED, "loaded as if nothing were, though there is a checksum"
    return CHANGED, ""


def _complaint(error: BaseException) -> str:
    """What is wrong with an error: it is none of the project's, or not one sentence."""
    text = str(error)
    named = isinstance(error, FileNotFoundError) and error.filename
    says = "Received: " in text or "damaged" in text
    known = type(error).__name__ in (
        "ValueError",
        "FileNotFoundError",
        "WeightsError",
        "ExportError",
        "CheckpointError",
    )
    if known and (says or named) and "\n" not in text:
        return ""
    place = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[:-5:-1])
    return f"{type(error).__name__}: {text[:300]!r} at {place}"


def _memory(field: str) -> int:
    with open("/proc/self/status") as file:  # noqa: PTH123  (a hundred times a second)
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(name: str, folder: str, first: str, count: str) -> None:
    """The script: a line for each outcome."""
    used = _memory("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (used + _BREAK, used + _BREAK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for outcome in run_here(name, Path(folder), int(first), int(count)):
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
