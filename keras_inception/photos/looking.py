"""What is in the photographs, in a few lines: classes, counts, and what will harm the training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from keras_inception.training.data.scanning import ERRORS, NOTES, scan
from keras_inception.training.data.sources import Splits
from keras_inception.training.files import read_json, write_text

SCAN = "scan.json"
_UNEQUAL, _FEW = 3, 20
_TOLD = ("conflict", "overlap", "duplicate")


def look(data: str, splits: Splits, place: Path, identity: str) -> list[tuple[str, str]]:
    """Looks at the data of a run, and tells it in labelled lines.

    Args:
        data: The data's specification.
        splits: The data, opened.
        place: Folder in which the findings about files are kept, so that looking again costs nothing.
        identity: What tells these pictures from others.
    """
    counts = np.bincount(splits.train.labels, minlength=len(splits.class_names))
    total = sum(len(splits[part].labels) for part in ("train", "validation", "test"))
    parts = ", ".join(f"{len(splits[part].labels):,} {part}" for part in ("train", "validation", "test"))
    lines = [("photographs", f"{total:,} in {len(counts)} classes: {parts}")]
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= _UNEQUAL * counts[least]:
        fewest, largest = splits.class_names[least], splits.class_names[most]
        lines.append(
            (
                "unequal",
                f"{counts[least]} of {fewest} to {counts[most]} of {largest}: classes are weighted to weigh alike",
            )
        )
    if counts[least] < _FEW:
        few = [name for name, count in zip(splits.class_names, counts, strict=True) if count < _FEW]
        named = ", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else "")
        lines.append(("few", f"fewer than {_FEW} to train on: {named}; more photographs of these help most"))
    if splits.bad_files:
        first = splits.bad_files[0]
        lines.append(("left out", f"{len(splits.bad_files)} that cannot be used, such as {first.path}: {first.reason}"))
    if data.startswith(("folder:", "csv:")):
        lines += _repeated(data, identity, place / SCAN)
    return lines


def _repeated(data: str, identity: str, kept: Path) -> list[tuple[str, str]]:
    """Lines about pictures that are there more than once."""
    found = read_json(kept) if kept.is_file() else {}
    if found.get("identity") != identity:
        findings = scan(data).findings
        kinds = Counter(finding.kind for finding in findings)
        first = {kind: next(f.path for f in findings if f.kind == kind) for kind in kinds}
        found = {"identity": identity, "kinds": kinds, "first": first}
        write_text(kept, json.dumps(found, indent=2) + "\n")
    meanings = {**ERRORS, **NOTES}
    return [
        (kind, f"{found['kinds'][kind]} such as {found['first'][kind]}: {meanings[kind]}")
        for kind in _TOLD
        if kind in found["kinds"]
    ]
