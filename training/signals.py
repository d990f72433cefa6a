"""SIGTERM and Ctrl-C: noted, so that a step can end and be saved, or raised, so that what runs is cleaned up."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopRequest:
    """Notes SIGTERM and Ctrl-C while training runs, so that the step in progress ends and is saved.

    A second Ctrl-C interrupts at once. Python hands signals to the main thread alone: in others nothing is noted.

    Args:
        enabled: False leaves signals to end the process, as where nothing is saved, or by workers that could not agree
            on the step.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.received: signal.Signals | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if self.enabled and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def leave(self) -> None:
        """Ends the process as the signal would have: with exit code 143, or as an interrupted one."""
        if self.received == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


@contextlib.contextmanager
def raising_at_sigterm() -> Iterator[None]:
    """Lets SIGTERM end what happens inside as an exception does, so that it is cleaned up."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
