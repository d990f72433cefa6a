"""Checkpoints that training resumes from: written whole or not at all, and never read without their checksums.

A checkpoint is a folder, checkpoints/state/EPOCH-STEP:

    variables.index, variables.data-*    tf.train.Checkpoint of the network, the optimizer and the metrics
    state.json                           place in the data, state of the callbacks and of the random generators
    manifest.json                        sha256 and size of every other file

It is filled under a temporary name, flushed to the disk and renamed. Where the newest one is damaged, the one before
it is taken.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..files import sha256

MANIFEST, STATE, VARIABLES = "manifest.json", "state.json", "variables"
_NAME = re.compile(r"(\d{6})-(\d{9})")


class CheckpointError(ValueError):
    """A checkpoint that could not be written, or of which none can be read."""


@dataclass(frozen=True, order=True)
class Place:
    """How far training has come: so many epochs, and so many steps of the one that follows."""

    epoch: int = 0
    step: int = 0

    @property
    def name(self) -> str:
        """Name of the checkpoint's folder; names sort as places do."""
        return f"{self.epoch:06}-{self.step:09}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    folder: Path
    place: Place
    state: dict[str, Any]

    def read(self, variables: Mapping[str, Sequence[Any]]) -> None:
        """Reads the variables that `CheckpointFolder.write` was given, in the same groups and order.

        Raises:
            CheckpointError: where they differ in number or shape.
        """
        status = None
        try:
            status = _trackable(variables).read(str(self.folder / VARIABLES))
            status.assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            if status:
                status.expect_partial()  # else TensorFlow warns later of what it did not read
            first_line = str(error).strip().split("\n")[0]
            raise CheckpointError(
                f"A checkpoint must belong to the network and optimizer in training. Received: {self.folder} "
                f"({first_line})"
            ) from error


class CheckpointFolder:
    """The checkpoints of a run: the last `keep` of them, and the one after the best epoch.

    Args:
        folder: where they lie.
        keep: how many of the last ones stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def places(self) -> list[Place]:
        """Returns the places of all checkpoints, whole or not, oldest first."""
        if not self.folder.is_dir():
            return []
        matches = [_NAME.fullmatch(path.name) for path in self.folder.iterdir()]
        return sorted(Place(int(match[1]), int(match[2])) for match in matches if match)

    def write(
        self,
        place: Place,
        variables: Mapping[str, Sequence[Any]],
        state: dict[str, Any],
        best_epoch: int = 0,
        discard: bool = False,
    ) -> Path:
        """Writes a checkpoint and removes those that are no longer kept.

        Args:
            place: how far training has come.
            variables: Keras variables in named groups.
            state: what JSON can hold of the rest.
            best_epoch: number of the best epoch, from 1, whose checkpoint stays; 0 for none.
            discard: write and then remove it. Reading a variable that several workers share takes all of them, though
                one alone keeps the file.

        Raises:
            CheckpointError: where it cannot be written, as on a full disk; the earlier ones stay.
        """
        if discard:
            with tempfile.TemporaryDirectory() as elsewhere:
                _trackable(variables).write(str(Path(elsewhere) / VARIABLES))
            return self.folder / place.name
        final = self.folder / place.name
        temporary = self.folder / f".{place.name}.{os.getpid()}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_partial()
            temporary.mkdir()
            _trackable(variables).write(str(temporary / VARIABLES))
            (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
            manifest = {path.name: _describe(path) for path in sorted(temporary.iterdir())}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            for path in (*temporary.iterdir(), temporary):
                _flush(path)
            if final.exists():  # a damaged one, or one that a resumed run reaches again
                shutil.rmtree(final)
            temporary.rename(final)
            _flush(self.folder)
        except (OSError, tf.errors.OpError) as error:
            raise CheckpointError(
                f"A checkpoint must find room on the disk; those before it stay. Received: {final} ({_reason(error)})"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._prune(best_epoch)
        return final

    def newest(self, warn: Callable[[str], object] = warnings.warn) -> Checkpoint | None:
        """Finds the newest whole checkpoint; `warn` is told of each damaged one before it."""
        for place in reversed(self.places()):
            folder = self.folder / place.name
            damage = find_damage(folder)
            if not damage:
                return Checkpoint(folder, place, json.loads((folder / STATE).read_text(encoding="utf-8")))
            warn(f"left out the damaged checkpoint {folder}: {damage}")
        return None

    def _prune(self, best_epoch: int) -> None:
        places = self.places()
        kept = {*places[-self.keep :], Place(best_epoch)}
        for place in places:
            if place not in kept:
                shutil.rmtree(self.folder / place.name, ignore_errors=True)

    def _remove_partial(self) -> None:
        """Removes what killed processes left; no two processes train in one run folder."""
        for path in self.folder.glob(".*.partial"):
            shutil.rmtree(path, ignore_errors=True)


def find_damage(folder: Path) -> str:
    """Returns what is wrong with a checkpoint in a few words, and nothing where it is whole."""
    try:
        manifest: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest.items():
            if _describe(folder / name) != expected:
                return f"{name} differs from its checksum"
    except FileNotFoundError as error:
        return f"without {Path(error.filename).name}"
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        return f"{MANIFEST} cannot be read ({error})"
    return "" if STATE in manifest else f"{MANIFEST} does not name {STATE}"


def _trackable(variables: Mapping[str, Sequence[Any]]) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{name: [variable.value for variable in group] for name, group in variables.items()})


def _describe(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def _flush(path: Path) -> None:
    """Sees a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return os.strerror(errno.ENOSPC)
    return str(error).strip().split("\n")[0]
