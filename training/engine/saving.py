"""When a run's state is saved and how it is taken up again, and the files of a run that follow from its state."""

# ruff: noqa: D102, ARG002 (keras.callbacks.Callback documents its hooks and fixes their arguments)

import csv
import io
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..config import CheckpointConfig
from ..files import remove_half_written, write_atomically, write_text
from ..runs import run as names
from ..signals import StopRequest
from .checkpoints import Checkpoint, CheckpointFolder, Place, values
from .devices import Devices, as_on_one_device
from .trainer import Trainer
from .watching import Record, Speed, Steps


class AverageInValidation(keras.callbacks.Callback):
    """Validates the moving average instead of the weights."""

    model: Trainer

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.average:
            self.model.average.exchange()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.average:
            self.model.average.exchange()


class SaveState(keras.callbacks.Callback):
    """Saves all that training goes on from, and takes it up again.

    Args:
        trainer: the model in training.
        folder: where checkpoints lie.
        settings: how often they are written.
        steps: the count, a callback before this one.
        record: likewise, the record of epochs.
        speed: likewise, the clock.
        stop: what ends training early.
        on_stop: told the place where training stops.
        devices: of several workers the first one keeps the file. Their clocks differ, so they save by steps alone.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: CheckpointFolder,
        settings: CheckpointConfig,
        steps: Steps,
        record: Record,
        speed: Speed,
        stop: StopRequest,
        on_stop: Callable[[Place], object],
        devices: Devices,
    ) -> None:
        super().__init__()
        self.trainer, self.folder, self.settings, self.steps = trainer, folder, settings, steps
        self.parts: dict[str, Record | Speed] = {"record": record, "speed": speed}
        self.record, self.stop, self.on_stop, self.devices = record, stop, on_stop, devices
        self.saved_at, self.saved_step = time.monotonic(), steps.done
        self.metrics: list[np.ndarray] | None = None

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes up a checkpoint's state; the metrics' in `on_epoch_begin`, since Keras resets them before it."""
        checkpoint.read(self.trainer.state)
        for name, part in self.parts.items():
            part.restore(checkpoint.state[name])
        set_random_state(checkpoint.state["random"])
        self.metrics = self._metric_values()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.metrics is not None and self.steps.place.step:
            self._set_metrics()
        self.metrics = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        steps, seconds = self.settings.every_steps, self.settings.every_seconds
        by_steps = steps and self.steps.done - self.saved_step >= steps
        by_time = seconds and self.devices.workers == 1 and time.monotonic() - self.saved_at > seconds
        if self.stop.received or by_steps or by_time:
            self._save(self.steps.place)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.metrics = self._metric_values()  # training's; validation resets them

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.stop.received:
            self.trainer.sync()
            if self.trainer.average:
                self.trainer.average.exchange()
            self._set_metrics()
            self._save(self.steps.place)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.metrics = None
        self._save(Place(epoch + 1))

    def _save(self, place: Place) -> None:
        self.trainer.sync()
        arrays = values(self.trainer.state)  # by all workers: it takes all of them to read what they share
        # After a step that spoiled the weights the loss is still that of the step before.
        if all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith("network/")):
            state = {name: part.state() for name, part in self.parts.items()} | {"random": random_state()}
            if self.devices.worker == 0:
                self.folder.write(place, arrays, state, self.record.best_epoch)
        self.saved_at, self.saved_step = time.monotonic(), self.steps.done
        if self.stop.received:
            self.on_stop(place)
            self.stop.leave()

    def _metric_values(self) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(variable) for variable in self.trainer.metrics_variables]

    def _set_metrics(self) -> None:
        assert self.metrics is not None
        for variable, value in zip(self.trainer.metrics_variables, self.metrics, strict=True):
            variable.assign(value)


class RunFiles(keras.callbacks.Callback):
    """Writes what is made from the state at an epoch's end: last.keras, best.keras, history.csv and TensorBoard's logs.

    It comes after `SaveState`: whatever a killed process left of these files, a resumed one makes again.
    """

    model: Trainer

    def __init__(self, folder: Path, network: keras.Model, record: Record) -> None:
        super().__init__()
        self.folder, self.network, self.record = folder, network, record
        self.writers: dict[str, tf.summary.SummaryWriter] = {}

    def restore(self, trainer: Trainer, place: Place) -> None:
        """Makes the files agree with a state that has been taken up."""
        remove_half_written(self.folder, self.folder / "checkpoints")
        shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)
        for row in self.record.rows:
            self._log(row)
        self._write_history()
        if place.epoch and not place.step:
            self._save_networks(trainer, place.epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._log(self.record.rows[-1])
        self._write_history()
        self._save_networks(self.model, epoch + 1)

    def close(self) -> None:
        """Closes TensorBoard's logs."""
        for writer in self.writers.values():
            writer.close()

    def _save_networks(self, trainer: Trainer, epoch: int) -> None:
        if trainer.average and not trainer.average.exchanged:
            with trainer.average.in_place():
                return self._save_networks(trainer, epoch)
        with as_on_one_device(self.network):
            write_atomically(self.folder / names.LAST, self.network.save)
            if self.record.best_epoch == epoch:
                write_atomically(self.folder / names.BEST, self.network.save)
        return None

    def _write_history(self) -> None:
        table = io.StringIO()
        if self.record.rows:
            writer = csv.DictWriter(table, fieldnames=list(self.record.rows[0]))
            writer.writeheader()
            writer.writerows(self.record.rows)
        write_text(self.folder / names.HISTORY, table.getvalue())

    def _log(self, row: dict[str, float]) -> None:
        """Writes a row's figures for TensorBoard, training's and validation's apart."""
        with tf.device("CPU:0"):
            for name, value in row.items():
                part = "validation" if name.startswith("val_") else "train"
                if part not in self.writers:
                    self.writers[part] = tf.summary.create_file_writer(str(self.folder / "tensorboard" / part))
                with self.writers[part].as_default():
                    tf.summary.scalar(f"epoch_{name.removeprefix('val_')}", value, step=int(row["epoch"]) - 1)
            for writer in self.writers.values():
                writer.flush()


def random_state() -> dict[str, Any]:
    """The state of Python's and NumPy's generators, as JSON can hold it; layers and data have their own."""
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 (the legacy generator is the global one)
    return {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def set_random_state(state: dict[str, Any]) -> None:
    """Puts the generators back into the state that `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))  # noqa: NPY002
