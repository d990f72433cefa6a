"""The journal of a search: every call of its oracle, one JSON line each, from which the search can be taken up again.

KerasTuner rewrites its state files in place, so that a kill can leave half of one, and its grid search cannot be
taken up at all. An oracle is a machine, though, that comes to the same state by the same calls: random, Bayesian, grid
and hyperband alike. So the calls are written down, each flushed to the disk before its effect is used, and a resumed
search repeats them. A line that a kill cut short is a call that never happened.
"""

import json
import os
from pathlib import Path
from typing import Any

JOURNAL = "journal.jsonl"


class Journal:
    """The calls of a search's oracle.

    Args:
        path: the file; it need not exist.

    Attributes:
        events: what was written so far, in order.

    Raises:
        ValueError: where a line before the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.is_file() else b""
        *lines, cut_short = content.split(b"\n")
        self.events = [_event(path, number, line) for number, line in enumerate(lines, start=1)]
        if cut_short:
            os.truncate(path, len(content) - len(cut_short))

    def add(self, **event: Any) -> None:
        """Writes an event down and waits until the disk has it."""
        with self.path.open("ab") as file:
            file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.events.append(event)


def _event(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        raise ValueError(f"A search's journal holds a JSON object a line. Received: {path}, line {number}") from None
    return event
