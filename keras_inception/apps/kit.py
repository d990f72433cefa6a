"""Which file a kit is built around, and what its program must know of it: the content of app.json."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_inception.tflite import Export, ExportError
from keras_inception.tflite.files.modes import MODES
from keras_inception.tflite.files.tracing import UNFAMILIAR
from keras_inception.tflite.pictures.fitting import LONGEST, Fitting

PLATFORMS = ("web", "python", "cpp", "android", "ios")
DESCRIPTION = "app.json"
FORMAT = 1  # of that file
_SHIPPED = ("int8", "dynamic", "float16", "float32", "int16x8")  # the first there is


@dataclass(frozen=True)
class Kit:
    """One .tflite file of an export, as a program is to use it.

    Attributes:
        export: The export.
        mode: Of the file.
        name: What the app is called.

    Raises:
        ExportError: The export answers no probabilities, takes batches, or has no such file.
    """

    export: Export
    mode: str
    name: str

    def __post_init__(self) -> None:
        folder = self.export.folder
        if self.export.output != "probabilities":
            raise ExportError(
                f"An app shows the probabilities of classes. Received: {folder}, which answers {self.export.output}."
            )
        batch = self.export.manifest["input"]["shape"][0]
        if batch != 1:
            raise ExportError(
                f"An app asks for one picture a call (export --batch 1). Received: {folder} for batches of "
                f"{batch or 'any size'}."
            )
        if self.mode not in self._rows:
            there = ", ".join(self._rows) or "none"
            raise ExportError(f"The mode must be that of a .tflite file ({there}). Received: {self.mode} of {folder}.")

    @classmethod
    def of(cls, export: Export, mode: str | None = None, name: str = "") -> Kit:
        """Chooses the file: that of `mode`, or the one that an app would ship first."""
        there = {row["mode"] for row in export.manifest["files"]}
        first = next((known for known in _SHIPPED if known in there), _SHIPPED[0])
        return cls(export, mode or first, name or export.folder.resolve().name)

    @property
    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["mode"]: row for row in self.export.manifest["files"] if row["mode"] in MODES}

    @cached_property
    def file(self) -> Path:
        """The file, after its checksum.

        Raises:
            FileNotFoundError: It is not there.
            ExportError: It is not as it was written.
        """
        return self.export.whole(self._rows[self.mode])

    @property
    def fitting(self) -> Fitting:
        """How pictures are prepared for it."""
        return Fitting(self.export.manifest["interpolation"], self.export.manifest["central_crop"])

    @cached_property
    def description(self) -> dict[str, Any]:
        """The content of app.json: all that a program may know of the file, and the only place that says it."""
        manifest, row = self.export.manifest, self._rows[self.mode]
        height, width, channels = self.export.input_shape
        thresholds = self.export.thresholds
        return {
            "format": FORMAT,
            "name": self.name,
            "file": row["file"],
            "mode": self.mode,
            "size": row["size"],
            "sha256": row["sha256"],
            "signature": manifest["signature"],
            "input": {"name": manifest["input"]["name"], "height": height, "width": width, "channels": channels},
            "preprocessing": {
                "interpolation": self.fitting.interpolation,
                "central_crop": self.fitting.central_crop,
                "longest": LONGEST,
            },
            "output": {"name": manifest["output"]["name"], "classes": self.export.answers},
            "thresholds": None if thresholds is None else list(thresholds),
            "unfamiliar": UNFAMILIAR if "unfamiliar" in manifest else None,
            "labels": list(self.export.class_names),
        }
