"""Processes that a search starts: how they begin, and how each end of the pair sees to the other's."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

ORPHANED = 137
_MERCY_SECONDS = 60.0


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
