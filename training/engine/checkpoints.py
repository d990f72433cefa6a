"""Checkpoints that training resumes from: written whole or not at all, and never read without their checksums.

A checkpoint is a folder, checkpoints/state/EPOCH-STEP:

    arrays.npz       variables of the network, the optimizer and the metrics: an array GROUP/NUMBER each
    state.json       state of the callbacks and of the random generators
    manifest.json    sha256 and size of the other two

Arrays belong to no backend: what one has written another reads. Variables have numbers since their names count up in
a process. A checkpoint is filled under a temporary name, flushed to the disk and renamed. Where the newest one is
damaged, the one before it is taken.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..files import sha256

MANIFEST, STATE, ARRAYS = "manifest.json", "state.json", "arrays.npz"
_OLD, _OLD_SUFFIX = "variables", "/.ATTRIBUTES/VARIABLE_VALUE"
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

    def read(self, variables: Mapping[str, Sequence[keras.Variable]]) -> None:
        """Reads into variables, which are those of `values`, in the same groups and order.

        Raises:
            CheckpointError: where they differ in number, kind or shape; they are then as before.
        """
        arrays, named = self._arrays(), _named(variables)
        unlike = f"{len(arrays)} arrays for {len(named)} variables" if arrays.keys() != named.keys() else ""
        for name, variable in named.items():
            if not unlike and not _fits(arrays[name], variable):
                array, shape = arrays[name], list(variable.shape)
                unlike = f"{name} is {array.dtype} {list(array.shape)}, not {variable.dtype} {shape}"
        if unlike:
            raise CheckpointError(
                f"A checkpoint must belong to the network and optimizer in training. Received: {self.folder} ({unlike})"
            )
        for name, variable in named.items():
            variable.assign(arrays[name])

    def _arrays(self) -> dict[str, np.ndarray]:
        try:
            if (self.folder / ARRAYS).is_file():
                with np.load(self.folder / ARRAYS, allow_pickle=False) as file:
                    return {name: np.asarray(array) for name, array in file.items()}
            import tensorflow as tf  # which wrote all of a run that was begun before there were arrays

            reader = tf.train.load_checkpoint(str(self.folder / _OLD))
            names = [name for name in reader.get_variable_to_shape_map() if name.endswith(_OLD_SUFFIX)]
            return {name.removesuffix(_OLD_SUFFIX): reader.get_tensor(name) for name in names}
        except Exception as error:  # NumPy, zipfile and TensorFlow raise whatever a forged file leads to
            first_line = str(error).strip().split("\n")[0]
            raise CheckpointError(f"A checkpoint must hold arrays. Received: {self.folder} ({first_line})") from error


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
        arrays: Mapping[str, Any],
        state: dict[str, Any],
        best_epoch: int = 0,
    ) -> Path:
        """Writes a checkpoint and removes those that are no longer kept.

        Args:
            place: how far training has come.
            arrays: what `values` made of the variables.
            state: what JSON can hold of the rest.
            best_epoch: number of the best epoch, from 1, whose checkpoint stays; 0 for none.

        Raises:
            CheckpointError: where it cannot be written, as on a full disk; the earlier ones stay.
        """
        final = self.folder / place.name
        temporary = self.folder / f".{place.name}.{os.getpid()}.partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_partial()
            temporary.mkdir()
            np.savez(temporary / ARRAYS, **arrays)
            (temporary / STATE).write_text(json.dumps(state), encoding="utf-8")
            manifest = {path.name: _describe(path) for path in sorted(temporary.iterdir())}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            for path in (*temporary.iterdir(), temporary):
                _flush(path)
            if final.exists():  # a damaged one, or one that a resumed run reaches again
                shutil.rmtree(final)
            temporary.rename(final)
            _flush(self.folder)
        except OSError as error:
            raise CheckpointError(
                "A checkpoint must find room on the disk; those before it stay. "
                f"Received: {final} ({error.strerror or error})"
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


def values(variables: Mapping[str, Sequence[keras.Variable]]) -> dict[str, np.ndarray]:
    """Copies variables in named groups to arrays, as a checkpoint holds them."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in _named(variables).items()}


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


def _named(variables: Mapping[str, Sequence[keras.Variable]]) -> dict[str, keras.Variable]:
    return {f"{group}/{number}": each for group, members in variables.items() for number, each in enumerate(members)}


def _fits(array: np.ndarray, variable: keras.Variable) -> bool:
    """Whether a variable can hold an array: backends count steps and seeds in whole numbers of different widths."""
    kind = "f" if keras.backend.is_float_dtype(variable.dtype) else "iu"
    return array.shape == tuple(variable.shape) and array.dtype.kind in kind


def _describe(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def _flush(path: Path) -> None:
    """Sees a file, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
