"""The training loop: `fit` with what happens beside it, entered at the step that a checkpoint was written after."""

import statistics
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from ..data.sources import Splits
from ..pipeline.preparing import cached, evaluation_batches
from ..pipeline.training import names_of_step, steps_per_epoch, training_batches
from ..runs.run import Run
from ..signals import StopRequest
from .checkpoints import Checkpoint, CheckpointFolder, Place
from .devices import Devices
from .objective import Objective
from .saving import AverageInValidation, RunFiles, SaveState
from .trainer import Trainer
from .watching import VALIDATION_ACCURACY, Record, ShowProgress, Speed, Steps, StopOnNaN

STATE = "checkpoints/state"


def fit_network(
    run: Run,
    network: keras.Model,
    trainer: Trainer,
    splits: Splits,
    objective: Objective,
    console: Console,
    checkpoint: Checkpoint | None,
    devices: Devices,
    epochs: int,
) -> dict[str, Any]:
    """Trains to the end of so many epochs, from a checkpoint or from the beginning.

    Returns:
        What metrics.json tells of the training.

    Raises:
        CheckpointError: where a checkpoint cannot be written or does not fit.
        DivergedError: where the loss is no longer a number.
        KeyboardInterrupt: where Ctrl-C stopped it, after saving.
        SystemExit: where SIGTERM stopped it, after saving.
    """
    config = run.config
    per_epoch = steps_per_epoch(splits.train, config)
    batch_size = min(config.pipeline.batch_size, len(splits.train.labels))
    start = checkpoint.place if checkpoint else Place()
    folder = CheckpointFolder(run.folder / STATE, config.checkpoint.keep)

    def for_heads(pixels: tf.Tensor, *values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return pixels, *map(objective.for_heads, values)

    def with_targets(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, Any]:
        return pixels, objective.for_heads(tf.one_hot(labels, objective.classes))

    def say_where(place: Place) -> None:
        name = stop.received.name if stop.received else ""
        console.print(
            f"{name}: saved after {place.epoch} epochs and {place.step} steps; go on with: "
            f"keras-inception train --resume {_shown(run.folder)}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    def images_of(place: Place) -> list[str]:
        return names_of_step(splits.train, config, place.epoch, place.step)

    def last_good() -> str:
        places = folder.places()
        if not places:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {folder.folder / places[-1].name}"

    on_tensorflow = keras.backend.backend() == "tensorflow"
    stop = StopRequest(enabled=on_tensorflow and devices.workers == 1)
    steps, record, speed = Steps(per_epoch, start), Record(), Speed(per_epoch * batch_size)
    progress = ShowProgress(console, config.epochs, steps, batch_size)
    nan = StopOnNaN(steps, last_good, images_of)
    callbacks: list[keras.callbacks.Callback] = [steps, nan, speed, record]
    if on_tensorflow:
        save = SaveState(trainer, folder, config.checkpoint, steps, record, speed, stop, say_where, devices)
        callbacks.append(save)
        if checkpoint:
            size, channels = config.model.image_size, config.model.channels
            targets = objective.for_heads(tf.zeros((1, objective.classes)))
            with devices.scope():
                save.restore(checkpoint, tf.zeros((1, size, size, channels)), targets)
    callbacks.append(AverageInValidation())
    files = RunFiles(run.folder, network, record)
    if devices.worker == 0:
        files.restore(trainer, start)
        callbacks += [files, progress]

    validation = evaluation_batches(cached(splits.validation, config), config).map(with_targets)
    validation_steps = int(validation.cardinality())
    validation = devices.copies(validation)

    def fit(first: Place, last: int) -> None:
        def batches(shard: tuple[int, int]) -> tf.data.Dataset:
            return training_batches(
                splits.train, config, objective.classes, first_epoch=first.epoch, first_step=first.step, shard=shard
            ).map(for_heads)

        trainer.fit(
            devices.slices(batches, batch_size),
            initial_epoch=first.epoch,
            epochs=last,
            steps_per_epoch=per_epoch - first.step,
            validation_data=validation,
            validation_steps=validation_steps,
            verbose=0,
            shuffle=False,  # the pipeline has shuffled; Keras warns otherwise
            callbacks=callbacks,
        )

    try:
        with stop:
            if start.step:  # the rest of an epoch, which may be its validation alone
                if start.step == per_epoch:
                    _validate(trainer, validation, validation_steps, callbacks, start.epoch)
                else:
                    fit(start, start.epoch + 1)
                start = Place(start.epoch + 1)
            if start.epoch < epochs:
                fit(start, epochs)
    finally:
        progress.close()
        files.close()
    return {
        "parameters": network.count_params(),
        "epochs": len(record.rows),
        "best_epoch": record.best_epoch,
        "validation_accuracy": record.best[VALIDATION_ACCURACY],
        "validation_loss": record.best[record.loss],
        "seconds": round(sum(row["seconds"] for row in record.rows), 1),
        "images_per_second": round(statistics.median(row["images_per_second"] for row in record.rows), 1),
    }


def newest_checkpoint(folder: Path, console: Console) -> Checkpoint | None:
    """Finds what a run folder's training can go on from; warns of damaged checkpoints."""

    def warn(sentence: str) -> None:
        console.print(f"warning: {sentence}", style="yellow", markup=False, soft_wrap=True)

    return CheckpointFolder(folder / STATE, keep=1).newest(warn)


def _validate(
    trainer: Trainer, validation: Any, steps: int, callbacks: list[keras.callbacks.Callback], epoch: int
) -> None:
    """Ends an epoch whose steps are all done, as `fit` does."""
    beside = keras.callbacks.CallbackList(callbacks, model=trainer)
    beside.on_train_begin()
    beside.on_epoch_begin(epoch)
    logs = trainer.get_metrics_result()
    result = trainer.evaluate(validation, steps=steps, callbacks=beside, return_dict=True, verbose=0)
    beside.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in result.items()})
    beside.on_train_end()


def _shown(folder: Path) -> Path:
    """The name by which a user knows a run folder that is not yet in its place."""
    if folder.name.startswith(".") and folder.name.endswith(".partial"):
        return folder.with_name(folder.name.removeprefix(".").removesuffix(".partial"))
    return folder
