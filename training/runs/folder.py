"""How a run folder comes to be: whole from its first moment, and in an older run's place only when it is complete."""

import os
import platform
import shutil
import sys
import time
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..data.images import some
from ..files import alone, write_text
from . import run as names
from .run import Run

_PACKAGES = ("keras-inception", "keras", "tensorflow", "tensorflow-datasets", "numpy", "scikit-learn", "jax")
_CONTENT = (
    names.CONFIG, names.ENVIRONMENT, names.CLASS_NAMES, names.DATA, names.METRICS, names.HISTORY, names.QUARANTINE,
    names.REPORT, names.THRESHOLDS, names.CALIBRATION, names.TRACKING, "evaluation*.json", "checkpoints", "tensorboard",
    "export*", ".*.[0-9]*", ".ipynb_checkpoints", ".DS_Store",
)  # fmt: skip


def named(path: Path) -> Path:
    """A run folder by its name, which siblings are called after: `.` and what ends in `..` have none."""
    return path if path.name not in ("", "..") else Path(os.path.abspath(path))  # noqa: PTH100 (resolve follows links)


def place_for(final: Path, overwrite: bool) -> Path:
    """Returns the folder to train in: the run folder, or its sibling where an older run must stay whole meanwhile.

    Raises:
        ValueError: where the run folder is occupied and must not be overwritten.
    """
    occupied = final.exists() and (not final.is_dir() or any(final.iterdir()))
    if not occupied:
        if (_partial(final) / names.CONFIG).is_file():  # `resume` would take it for the newer one
            raise ValueError(
                "A run folder must be free of another run in progress: resume or remove that one. "
                f"Received: {final} beside {_partial(final)}"
            )
        return final
    if not (overwrite and final.is_dir()):
        raise ValueError(f"A run folder must be new or empty, or overwrite must be set. Received: {final}")
    if not (final / names.CONFIG).is_file():
        raise ValueError(f"What is overwritten must be a run folder. Received: {final} without {names.CONFIG}")
    added = sorted(path.name for path in final.iterdir() if not _is_ours(path.name))
    if added:
        raise ValueError(f"A run folder that is overwritten must hold nothing else. Received: {some(added)} in {final}")
    return _partial(final)


def _is_ours(name: str) -> bool:
    """Whether training, evaluation or export write a file or folder of that name into a run folder."""
    return any(fnmatch(name, pattern) for pattern in _CONTENT)


def unfinished(path: Path) -> tuple[Path, Path]:
    """Returns the folder that a run which was broken off lies in, and the folder that it shall become.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where the run is finished.
    """
    final = shown(path)
    folder = _partial(final) if (_partial(final) / names.CONFIG).is_file() else final
    if folder != final and (final / names.CONFIG).is_file() and not is_finished(final):
        raise ValueError(
            f"One run at a time is resumed: remove the other. Received: {folder} and {final}, both unfinished"
        )
    if folder == final:
        if not (final / names.CONFIG).is_file():
            raise FileNotFoundError(
                f"A run to resume must have been begun: its folder holds {names.CONFIG}. Received: {path} without it"
            )
        if is_finished(final):
            shutil.rmtree(_old(final), ignore_errors=True)
            raise ValueError(f"A run to resume must be unfinished. Received: {path}, which is complete")
    return folder, final


def shown(folder: Path) -> Path:
    """The name by which a user knows a run folder, which may not yet be in its place."""
    if folder.name.startswith(".") and folder.name.endswith(".partial"):
        return folder.with_name(folder.name.removeprefix(".").removesuffix(".partial"))
    return folder


def is_finished(folder: Path) -> bool:
    """Whether a run is complete: its report is written last."""
    return (folder / names.REPORT).is_file()


def begin(run: Run) -> None:
    """Makes a run's folder, which then holds all that is known before training.

    It is filled under another name first, so that a killed process leaves either no run folder or one that can be
    resumed.
    """
    folder, config, splits = run.folder, run.config, run.splits
    staging = folder.with_name(f".{folder.name.lstrip('.')}.{os.getpid()}.new")
    try:
        for left in folder.parent.glob(f".{folder.name.lstrip('.')}.*.new"):
            shutil.rmtree(left, ignore_errors=True)
        (staging / "checkpoints").mkdir(parents=True)
        staged = Run(staging, config, splits.class_names)
        write_text(staging / names.CONFIG, config.to_json())
        write_text(staging / names.CLASS_NAMES, "".join(f"{name}\n" for name in splits.class_names))
        staged.write_json(names.ENVIRONMENT, {**environment(), "seed": config.seed})
        description = {
            "data": config.data,
            "test_data": config.test_data,
            "several_labels": splits.several,
            "undecodable": len(splits.bad_files),
            "splits": {split: splits.describe(split) for split in names.SPLITS},
        }
        staged.write_json(names.DATA, description)
        if splits.bad_files:
            lines = [f"{file.path}\t{file.reason}\n" for file in splits.bad_files]
            write_text(staging / names.QUARANTINE, "".join(lines))
        # A partial folder is ours by its name: what an interrupted attempt to overwrite left behind.
        if folder.name.endswith(".partial") and folder.is_dir():
            with alone(folder, "A run"):
                shutil.rmtree(folder)
        if folder.is_dir() and folder.samefile(Path.cwd()):  # replaced, it would leave the shell in no folder at all
            for path in sorted(staging.iterdir(), key=lambda path: path.name == names.CONFIG):
                path.rename(folder / path.name)
            staging.rmdir()
        else:
            staging.rename(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise ValueError(f"The run folder must be writable. Received: {folder} ({error.strerror})") from error


def finish(folder: Path, final: Path) -> None:
    """Puts a complete run into the place of an older one."""
    if folder == final:
        return
    if final.exists():  # else an earlier attempt to do this was killed half way
        shutil.rmtree(_old(final), ignore_errors=True)
        final.rename(_old(final))
    folder.rename(final)
    shutil.rmtree(_old(final), ignore_errors=True)


def environment() -> dict[str, Any]:
    """What a run ran on: versions, machine and devices."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "devices": [f"{device.device_type} {device.name}" for device in tf.config.list_physical_devices()],
        "backend": keras.backend.backend(),
        "versions": versions,
    }


def _partial(final: Path) -> Path:
    return final.with_name(f".{final.name}.partial")


def _old(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")
