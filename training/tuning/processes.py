"""Processes that a search starts: how they begin, how each sees to the other's end, and why a trial's failed."""

import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import IO

from .outcomes import Status

ORPHANED = 137
_MERCY_SECONDS = 60.0
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
_OUT_OF_MEMORY = ("resource exhausted", "resourceexhausted", "out of memory", "oom when", "bad_alloc", "bad alloc")
_LAST_LINES = 4000


def start(
    module: str, *arguments: str | Path, environment: dict[str, str], stdout: int | IO[bytes], stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Starts a module of this package as a process that ends with this one; see `end_with_parent`."""
    # -P: a module of the working directory must not stand in for one of ours
    command = [sys.executable, "-P", "-m", f"{__package__}.{module}", *map(str, arguments)]
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **environment}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, start_new_session=True
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, if it still runs, by SIGTERM first: training then saves its step and leaves."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_MERCY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin:
        process.stdin.close()


def end_with_parent() -> None:
    """Ends this process at once when the one that started it is gone, killed or not: the pipe between them tells."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def failure(error: Exception) -> tuple[Status, str]:
    """Tells what an exception in a trial means; its traceback goes to the trial's log."""
    from .. import DivergedError

    traceback.print_exception(error)
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(
        sign in f"{type(error).__name__} {text}".lower() for sign in _OUT_OF_MEMORY
    ):
        return "out_of_memory", f"{type(error).__name__}: {text}"[:500]
    return "crashed", f"{type(error).__name__}: {text}"[:500]


def death(code: int, log: Path, kills_before: int) -> tuple[Status, str]:
    """Tells why a trial's process ended without an outcome.

    Args:
        code: its exit code, negative for a signal.
        log: what it printed.
        kills_before: `kernel_kills()` before it began.
    """
    tail = _tail(log)
    if code == -signal.SIGKILL and kernel_kills() > kills_before:
        return "out_of_memory", "The system ended the trial for want of memory."
    if any(sign in tail.lower() for sign in _OUT_OF_MEMORY):
        return "out_of_memory", "The trial could not get the memory that it asked for."
    if code < 0:
        return "killed", f"The trial was ended by {signal.Signals(-code).name}."
    said = tail.strip().splitlines()
    return "crashed", f"The trial left with exit code {code}: {said[-1] if said else 'it printed nothing'}"


def kernel_kills() -> int:
    """How many processes of this container the system has ended for want of memory; 0 where it does not tell."""
    try:
        lines = _CGROUP_EVENTS.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_LINES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
