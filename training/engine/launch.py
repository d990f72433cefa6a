"""Several training processes on this machine, joined by TF_CONFIG."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..signals import raising_at_sigterm


def launch(workers: int, command: Sequence[str]) -> int:
    """Runs a command as so many workers and waits for them; all end when one fails, or at SIGTERM.

    The first worker has the terminal. What another writes to stderr is shown where it is the first to fail.

    Args:
        workers: how many.
        command: what each of them runs.

    Returns:
        The exit code: 0, or that of the first worker that failed.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as files:
        errors = [Path(folder) / str(index) for index in range(workers)]
        processes = []
        for index in range(workers):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
            stdout = subprocess.DEVNULL if index else None
            stderr = files.enter_context(errors[index].open("wb")) if index else None
            processes.append(subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr))
        try:
            with raising_at_sigterm():
                codes = _wait(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        failed = next((index for index, code in enumerate(codes) if code), None)
        if failed:
            sys.stderr.write(errors[failed].read_text(errors="replace"))
    return 0 if failed is None else codes[failed] or 1


def _wait(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """Waits until all have ended well or one has not; that one's code is then the only one."""
    while True:
        codes = [process.poll() for process in processes]
        bad = [code for code in codes if code]
        if bad:
            return [code if code else None for code in codes]
        if None not in codes:
            return codes
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
