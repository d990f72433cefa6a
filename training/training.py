"""Training: a configuration and a folder become a run."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import keras
from rich.console import Console

from . import tracking
from .config import TrainConfig
from .data.images import typical_side
from .data.shards import damage_told
from .data.sources import Splits, open_splits
from .engine.checkpoints import Checkpoint, CheckpointError
from .engine.devices import deterministic_kernels, find_devices
from .engine.hooks import checked
from .engine.loop import Training
from .engine.watching import DivergedError
from .evaluation.evaluate import evaluate
from .evaluation.temperature import calibrate
from .files import alone
from .report.report import write_report
from .runs import folder as run_folder
from .runs import run as names
from .runs.run import Run
from .tracking import Tracking

_SMALL, _TIMES_AS_LARGE = 96, 6

__all__ = ["CheckpointError", "DivergedError", "resume", "train"]


def train(
    config: TrainConfig,
    run_dir: str | Path,
    *,
    overwrite: bool = False,
    stop_after: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log: str | Sequence[str] = (),
    console: Console | None = None,
) -> Run:
    """Trains a network, evaluates its best checkpoint on the test images and writes the report.

    With `overwrite`, an older run stays whole until the new one is complete: training happens in a sibling folder,
    `.NAME.partial`, which then takes the old run's place. After a failure the sibling remains for a look.

    A run that was broken off, by SIGKILL or a lost machine too, goes on with `resume`. SIGTERM and Ctrl-C let the step
    in progress end, save, and leave.

    `callbacks` are called after all that the run does by itself, so that at an epoch's end its checkpoint,
    best.keras and history.csv are there. `logs` then hold what history.csv holds of the epoch, less its number.
    `self.model` is the model in training, with weights that are the moving average's during validation alone. Epochs
    and steps have the run's own numbers, also when it is resumed.

    - One that raises ends training as a kill does: the error gets out, and `resume` goes on.
    - One that sets `self.model.stop_training` ends training with its epoch, at a step's end with that step, after
      which the epoch is validated and saved. The run is then completed like any other: the best epoch is evaluated and
      reported. A run that was stopped so stays stopped when it is resumed.
    - They are not saved with the run, nor is what they remember: `resume` takes them again.
    - What they change in the model at an epoch's end is not part of its checkpoint; `on_epoch_begin` is the place.
    - Where several processes train, each calls its own, and all must stop at the same step.

    Args:
        config: the whole run; see `load_recipe`.
        run_dir: the run folder to make.
        overwrite: replace what is there.
        stop_after: pause at the end of so many epochs, with neither test nor report; `resume` goes on.
        callbacks: your own `keras.callbacks.Callback`s.
        log: trackers that follow the run, `"mlflow"`, `"wandb"` or both. They are told the configuration, each epoch
            and the result; one that fails is named in a warning, and training goes on.
        console: where progress is shown; standard output by default.

    Returns:
        The finished run.

    Raises:
        FileNotFoundError: where the data is not there.
        ImportError: where the package of a tracker is not installed.
        ValueError: for a configuration, data or run folder that cannot be used, and what is no callback or tracker.
        CheckpointError: where a checkpoint cannot be written, as on a full disk.
        DivergedError: where the loss is no longer a number.
    """
    hooks, trackers = checked(callbacks), tracking.checked(log)
    config = config.resolved()
    config.validate()
    devices = find_devices()
    console = console or Console(quiet=devices.worker > 0)
    final = run_folder.named(Path(run_dir))
    folder = run_folder.place_for(final, overwrite) if devices.worker == 0 else final
    splits = open_splits(config)
    _report_bad_files(splits, console)
    _warn_of_lost_detail(config, splits, console)
    run = Run(folder, config, splits.class_names, splits)
    with deterministic_kernels(config):
        training = Training(run, devices, console)
        if devices.worker == 0:
            run_folder.begin(run)
        followers = Tracking(run, final, trackers if devices.worker == 0 else (), console)
        return _complete(training, final, stop_after, hooks, followers)


def resume(
    run_dir: str | Path,
    *,
    stop_after: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log: str | Sequence[str] | None = None,
    console: Console | None = None,
) -> Run:
    """Goes on with a run that was broken off, at the step after its newest checkpoint, and finishes it.

    On the same machine and backend the finished run is the same, weights bit for bit, as if nothing had happened.

    `callbacks` begin anew: `on_train_begin` is called once more, and `on_epoch_begin` with the number of the epoch that
    was broken off. They see again whatever steps the newest checkpoint does not hold, and may miss the end of the epoch
    that it was written after. Where nothing is left to train, none is called.

    Args:
        run_dir: the run folder that `train` was given.
        stop_after: pause at the end of so many epochs, counted from the first.
        callbacks: as in `train`, whose own are not kept.
        log: as in `train`; by default whatever followed the run so far does so again, in the same place. Epochs that a
            tracker has missed are told, and none twice.
        console: where progress is shown; standard output by default.

    Returns:
        The finished run.

    Raises:
        FileNotFoundError: where no run was begun.
        ImportError: where the package of a tracker in `log` is not installed.
        ValueError: where the run is finished, the data has changed, and for what is no callback or tracker.
        CheckpointError: where the checkpoint does not fit, or another cannot be written.
        DivergedError: where the loss is no longer a number.
    """
    hooks, trackers = checked(callbacks), None if log is None else tracking.checked(log)
    devices = find_devices()
    console = console or Console(quiet=devices.worker > 0)
    folder, final = run_folder.unfinished(run_folder.named(Path(run_dir)))
    run = Run.open(folder)
    if run_folder.is_finished(folder):  # all that is left is to take an older run's place
        run_folder.finish(folder, final)
        return Run.open(final)
    backend, begun_on = keras.backend.backend(), run.read_json(names.ENVIRONMENT).get("backend")
    if begun_on not in (None, backend):
        console.print(f"note: begun on {begun_on}; on {backend} it goes on, to other bits", soft_wrap=True)
    followers = Tracking(run, final, trackers if devices.worker == 0 else (), console)
    with deterministic_kernels(run.config):
        training = Training(run, devices, console)
        return _complete(training, final, stop_after, hooks, followers, training.newest_checkpoint())


def _complete(
    training: Training,
    final: Path,
    stop_after: int | None,
    callbacks: Sequence[keras.callbacks.Callback],
    followers: Tracking,
    checkpoint: Checkpoint | None = None,
) -> Run:
    """Trains, and where that is not to pause early, evaluates, reports and puts the run into its place."""
    run, epochs = training.run, training.run.config.epochs
    is_first = training.devices.worker == 0
    with alone(run.folder, "A run") if is_first else nullcontext(), followers:
        last = epochs if stop_after is None else min(stop_after, epochs)
        trained = training.fit(last, checkpoint, callbacks, followers.follow)
        if is_first:
            run.write_json(names.METRICS, trained)
            if stop_after is not None:
                return run
            for stale in (names.THRESHOLDS, names.CALIBRATION):  # left by what was asked half way through training
                (run.folder / stale).unlink(missing_ok=True)
            network = run.model()  # the best, which to load and to trace takes seconds where it is large
            temperature = calibrate(run, temperature=run.config.calibrate, network=network)
            if run.config.calibrate:
                trained["temperature"] = temperature
            test = evaluate(run, network=network)
            figures = {"test_accuracy": test.accuracy, "test_loss": test.loss}
            if test.labels is not None:
                figures["test_mean_average_precision"] = test.labels.mean_average_precision
            metrics = {**trained, **figures}
            run.write_json(names.METRICS, metrics)
            followers.finish(metrics)
            write_report(run, network)
    if is_first:
        run_folder.finish(run.folder, final)
    return Run(final, run.config, run.class_names, run.splits)


def _report_bad_files(splits: Splits, console: Console) -> None:
    for file in splits.bad_files:
        console.print(f"warning: left out {file.path}: {file.reason}", style="yellow", markup=False, soft_wrap=True)


@damage_told()
def _warn_of_lost_detail(config: TrainConfig, splits: Splits, console: Console) -> None:
    """Says so where photographs are to be learnt at the size of stamps, as by a recipe for other pictures."""
    size = config.model.image_size
    if size < _SMALL and (side := typical_side(splits.train)) >= _TIMES_AS_LARGE * size:
        console.print(
            f"warning: the images' shorter side is about {side} pixels and the network sees {size} (model.image_size): "
            "what is small in them is lost; --recipe finetune sees 224",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
