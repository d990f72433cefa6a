"""What of a run or an export is uploaded: what it takes to open it again, and what was measured; nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

from keras_inception.hub.cards import card
from keras_inception.hub.subject import CARD, EXPORT, PROOF, shown, subject_of
from keras_inception.training import Run
from keras_inception.training.files import read_json

Content: TypeAlias = Path | bytes
"""A file, or what is written in its place."""

REPORT, MODEL = "report.html", "checkpoints/best.keras"
_AS_THEY_ARE = ("class_names.txt", "metrics.json", "calibration.json", "thresholds.json", "history.csv", MODEL)
_PATHS = ("data", "test_data", "model.weights", "objective.teacher", "pipeline.service")
"""Fields of config.json that may hold the path of a file or the name of a machine."""
OURS = (
    CARD, REPORT, *_AS_THEY_ARE, "config.json", "data.json", "environment.json", "evaluation*.json", f"{EXPORT}/*",
    "export.json", "labels.txt", PROOF, "model*.tflite", "model.onnx", "saved_model/*",
)  # fmt: skip
"""Patterns of all that is ever uploaded."""


def contents(source: Path, *, repository: str = "", license: str = "", report: bool = False) -> dict[str, Content]:  # noqa: A002
    """Collects what is uploaded of a run folder, with the export in it, or of the folder of an export.

    Paths of this machine, names of pictures and the command line are left out of the files that hold them.

    Args:
        source: The folder.
        repository: `USER/NAME`, for the card.
        license: For the card, see `hub.card`.
        report: Whether report.html goes along, with the pictures in it.

    Returns:
        Each file's path in the repository, and what it holds.

    Raises:
        FileNotFoundError: It is no such folder, or a file of it is missing.
        ValueError: A file of it is damaged.
    """
    subject = subject_of(source)
    subject = replace(subject, name=repository.rpartition("/")[2] or subject.name)
    found: dict[str, Content] = {CARD: card(subject, repository=repository, license=license).encode()}
    if (source / "export.json").is_file():
        return found | _of_export(source, "")
    found |= _of_run(source)
    if (source / EXPORT / "export.json").is_file():
        found |= _of_export(source / EXPORT, f"{EXPORT}/")
    if report:
        if not (source / REPORT).is_file():
            raise FileNotFoundError(f"A report to upload must be there. Received: {source} without {REPORT}")
        found[REPORT] = source / REPORT
    return found


def is_ours(path: str) -> bool:
    """Whether a file of a repository is one that `contents` may name, so that a later upload takes its place."""
    return any(fnmatchcase(path, pattern) for pattern in OURS)


def size(content: Content) -> int:
    """Size in bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _of_run(source: Path) -> dict[str, Content]:
    run = Run.open(source)
    run.model()  # which says what is wrong with it
    found: dict[str, Content] = {name: source / name for name in _AS_THEY_ARE if (source / name).is_file()}
    found["config.json"] = _text(_without_paths(json.loads(run.config.to_json())))
    if data := run.read_json("data.json"):
        found["data.json"] = _text({**data, **{name: shown(data.get(name, "")) for name in ("data", "test_data")}})
    if environment := run.read_json("environment.json"):
        found["environment.json"] = _text({name: value for name, value in environment.items() if name != "command"})
    for path in sorted(source.glob("evaluation*.json")):
        found[path.name] = _text(_without_pictures(read_json(path)))
    return found


def _of_export(folder: Path, place: str) -> dict[str, Content]:
    from keras_inception.tflite import Export

    export = Export.open(folder)
    found: dict[str, Content] = {f"{place}{name}": folder / name for name in ("export.json", "labels.txt")}
    if (folder / PROOF).is_file():
        found[f"{place}{PROOF}"] = folder / PROOF
    for row in export.manifest["files"]:
        path = export.whole(row)
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        found |= {f"{place}{file.relative_to(folder).as_posix()}": file for file in files}
    return found


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
    for field in _PATHS:
        *above, name = field.split(".")
        values = config
        for part in above:
            values = values.get(part, {})
        if values.get(name):
            values[name] = "" if name == "service" else shown(values[name])
    return config


def _without_pictures(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation without the names of pictures and folders."""
    return {
        **evaluation,
        "data": shown(str(evaluation.get("data", ""))),
        "misclassified": [],
        "runs": [shown(str(run)) for run in evaluation.get("runs", ())],
        "without": [shown(str(name)) for name in evaluation.get("without", ())],
    }


def _text(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
