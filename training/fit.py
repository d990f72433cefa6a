"""Training: a configuration and a folder become a run."""

import dataclasses
import os
import platform
import shutil
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from keras_inception.training import callbacks as parts
from keras_inception.training import run as names
from keras_inception.training.callbacks import DivergedError
from keras_inception.training.config import TrainConfig
from keras_inception.training.evaluation import evaluate
from keras_inception.training.files import write_text
from keras_inception.training.objective import Objective, build_model, make_objective
from keras_inception.training.pipeline import cached, evaluation_batches, steps_per_epoch, training_batches
from keras_inception.training.report import write_report
from keras_inception.training.run import Run, data_description
from keras_inception.training.schedules import make_optimizer
from keras_inception.training.sources import Splits, open_splits

__all__ = ["DivergedError", "train"]

_PACKAGES = ("keras-inception", "keras", "tensorflow", "tensorflow-datasets", "numpy", "scikit-learn", "jax")


def train(config: TrainConfig, run_dir: str | Path, *, overwrite: bool = False, console: Console | None = None) -> Run:
    """Trains a network, evaluates its best checkpoint on the test images and writes the report.

    With `overwrite`, an older run stays whole until the new one is complete: training happens in a sibling folder,
    `.NAME.partial`, which then takes the old run's place. After a failure the sibling remains for a look.

    Args:
        config: the whole run; see `load_recipe`.
        run_dir: the run folder to make.
        overwrite: replace what is there.
        console: where progress is shown; standard output by default.

    Returns:
        The finished run.

    Raises:
        FileNotFoundError: where the data is not there.
        ValueError: for a configuration, data or run folder that cannot be used.
        DivergedError: where the loss is no longer a number.
    """
    config = _with_absolute_paths(config)
    config.validate()
    console = console or Console()
    final = Path(run_dir)
    occupied = final.exists() and (not final.is_dir() or any(final.iterdir()))
    if occupied and not (overwrite and final.is_dir()):
        raise ValueError(f"A run folder must be new or empty, or overwrite must be set. Received: {final}")
    folder = final.with_name(f".{final.name}.partial") if occupied else final

    splits = open_splits(config)
    _report_bad_files(splits, console)
    keras.utils.set_random_seed(config.seed)
    objective = make_objective(config, len(splits.class_names))
    model = build_model(config, objective.classes)
    steps = steps_per_epoch(splits.train, config)
    model.compile(
        optimizer=make_optimizer(config, model, steps),
        jit_compile=config.jit_compile,
        steps_per_execution=config.steps_per_execution,
        **objective.compile_arguments(),
    )

    _make_folder(folder)
    run = Run(folder, config, splits.class_names)
    _write_beginning(run, splits)
    _fit(run, model, splits, objective, console)
    test = evaluate(run)
    run.write_json(
        names.METRICS, {**run.read_json(names.METRICS), "test_accuracy": test.accuracy, "test_loss": test.loss}
    )
    write_report(run)
    if folder != final:
        _replace(final, folder)
    return Run(final, config, splits.class_names)


def _fit(run: Run, model: keras.Model, splits: Splits, objective: Objective, console: Console) -> None:
    config, folder = run.config, run.folder
    steps = steps_per_epoch(splits.train, config)
    batch_size = min(config.pipeline.batch_size, len(splits.train.labels))
    progress = parts.ShowProgress(console, config.epochs, steps, batch_size)
    checkpoints = parts.Checkpoints(folder / names.BEST, folder / names.LAST)
    history = parts.History(folder / names.HISTORY)

    def for_heads(pixels: tf.Tensor, *values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return pixels, *map(objective.for_heads, values)

    def with_targets(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return pixels, objective.for_heads(tf.one_hot(labels, objective.classes))

    began = time.perf_counter()
    try:
        model.fit(
            training_batches(splits.train, config, objective.classes).map(for_heads),
            epochs=config.epochs,
            steps_per_epoch=steps,
            validation_data=evaluation_batches(cached(splits.validation, config), config).map(with_targets),
            verbose=0,
            shuffle=False,  # the pipeline has shuffled; Keras warns otherwise
            callbacks=[
                parts.StopOnNaN(steps, folder / names.BEST),
                parts.Speed(steps * batch_size),
                history,
                checkpoints,
                keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False),
                progress,
            ],
        )
    finally:
        progress.close()
    seconds = time.perf_counter() - began
    run.write_json(
        names.METRICS,
        {
            "parameters": model.count_params(),
            "epochs": config.epochs,
            "best_epoch": checkpoints.best_epoch,
            "validation_accuracy": checkpoints.best_accuracy,
            "seconds": round(seconds, 1),
            "images_per_second": round(statistics.median(row["images_per_second"] for row in history.rows), 1),
        },
    )


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


def _with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """A run must find its data from any working directory."""

    def absolute(specification: str) -> str:
        kind, _, place = specification.partition(":")
        path = Path(place).expanduser()
        return f"{kind}:{path.resolve()}" if place and (kind == "folder" or path.is_dir()) else specification

    model = config.model
    if model.weights and Path(model.weights).expanduser().exists():
        model = dataclasses.replace(model, weights=str(Path(model.weights).expanduser().resolve()))
    return dataclasses.replace(config, data=absolute(config.data), test_data=absolute(config.test_data), model=model)


def _report_bad_files(splits: Splits, console: Console) -> None:
    for file in splits.bad_files:
        console.print(f"warning: left out {file.path}: {file.reason}", style="yellow", markup=False, soft_wrap=True)


def _make_folder(folder: Path) -> None:
    try:
        # A partial folder is ours by its name: what an interrupted attempt to overwrite left behind.
        if folder.name.endswith(".partial") and folder.is_dir():
            shutil.rmtree(folder)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_text(folder / names.QUARANTINE, "")
        (folder / names.QUARANTINE).unlink()
    except OSError as error:
        raise ValueError(f"The run folder must be writable. Received: {folder} ({error.strerror})") from error


def _write_beginning(run: Run, splits: Splits) -> None:
    write_text(run.folder / names.CONFIG, run.config.to_json())
    write_text(run.folder / names.CLASS_NAMES, "".join(f"{name}\n" for name in splits.class_names))
    run.write_json(names.ENVIRONMENT, {**environment(), "seed": run.config.seed})
    run.write_json(names.DATA, data_description(run.config, splits))
    if splits.bad_files:
        lines = [f"{file.path}\t{file.reason}\n" for file in splits.bad_files]
        write_text(run.folder / names.QUARANTINE, "".join(lines))


def _replace(final: Path, folder: Path) -> None:
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    final.rename(old)
    folder.rename(final)
    shutil.rmtree(old)
