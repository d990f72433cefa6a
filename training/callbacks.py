"""What happens beside the training steps: progress, logs, checkpoints, and a stop where the loss is no number."""

# ruff: noqa: D102, ARG002 (keras.callbacks.Callback documents its hooks and fixes their arguments)

import csv
import math
import os
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_inception.training.files import write_atomically

VALIDATION_ACCURACY, ACCURACY = "val_predictions_accuracy", "predictions_accuracy"


class DivergedError(ValueError):
    """The loss became NaN or infinite."""


class StopOnNaN(keras.callbacks.Callback):
    """Ends training with one sentence when the loss is no longer a number."""

    def __init__(self, steps_per_epoch: int, best: Path) -> None:
        super().__init__()
        self.steps_per_epoch, self.best, self.epoch = steps_per_epoch, best, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        kept = f"the best checkpoint so far is {self.best}" if self.best.is_file() else "there is no checkpoint yet"
        raise DivergedError(
            f"The loss must stay finite; try a lower optimizer.learning_rate or optimizer.clip_norm ({kept}). "
            f"Received: {loss} in epoch {self.epoch + 1}, step {batch + 1} of {self.steps_per_epoch}"
        )


class Speed(keras.callbacks.Callback):
    """Adds an epoch's learning rate, images a second and seconds to its logs, for all callbacks after this one.

    Images a second cover the training steps alone, not validation.
    """

    def __init__(self, images_per_epoch: int) -> None:
        super().__init__()
        self.images_per_epoch = images_per_epoch
        self.began = self.trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            logs["images_per_second"] = self.images_per_epoch / max(self.trained - self.began, 1e-9)
            logs["seconds"] = time.perf_counter() - self.began


class ShowProgress(keras.callbacks.Callback):
    """A live display on a terminal, one plain line an epoch elsewhere."""

    def __init__(self, console: Console, epochs: int, steps_per_epoch: int, batch_size: int) -> None:
        super().__init__()
        self.console, self.epochs, self.steps, self.batch_size = console, epochs, steps_per_epoch, batch_size
        self.progress: Progress | None = None
        self.task: Any = None
        self.began = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.console.is_terminal:
            columns = (
                TextColumn("[bold]epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"), TextColumn("time left"),
                TimeRemainingColumn(elapsed_when_finished=True),
            )  # fmt: skip
            self.progress = Progress(*columns, console=self.console)
            self.task = self.progress.add_task("", total=self.epochs * self.steps, epoch=f"1/{self.epochs}", figures="")
            self.progress.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()
        if self.progress:
            self.progress.update(self.task, epoch=f"{epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.progress and logs:
            speed = (batch + 1) * self.batch_size / (time.perf_counter() - self.began)
            figures = f"loss {logs['loss']:.3f}  accuracy {logs[ACCURACY]:.1%}  {speed:,.0f} images/s"
            done = self.model.optimizer.iterations
            self.progress.update(self.task, completed=int(keras.ops.convert_to_numpy(done)), figures=figures)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = logs or {}
        line = (
            f"epoch {epoch + 1:>3}/{self.epochs}  loss {figures['loss']:.4f}  accuracy {figures[ACCURACY]:.2%}  "
            f"validation {figures[VALIDATION_ACCURACY]:.2%}  {figures['images_per_second']:,.0f} images/s  "
            f"{figures['seconds']:.1f} s"
        )
        self.console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Gives the terminal back, also after an error."""
        if self.progress:
            self.progress.stop()


class History(keras.callbacks.Callback):
    """Writes an epoch's logs as a row of a CSV file, on disk before the next epoch begins."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        self.rows.append(row)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]))
            if len(self.rows) == 1:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())


class Checkpoints(keras.callbacks.Callback):
    """Keeps the last model and the one with the lowest validation loss; each appears whole or not at all.

    The loss of the predictions alone counts. It moves where the accuracy of a small validation set stands still or
    jumps by luck.
    """

    def __init__(self, best: Path, last: Path) -> None:
        super().__init__()
        self.best, self.last = best, last
        self.best_epoch, self.best_loss, self.best_accuracy = 0, math.inf, 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        write_atomically(self.last, self.model.save)
        figures = logs or {}
        loss = float(figures.get("val_predictions_loss", figures["val_loss"]))
        if loss < self.best_loss:
            self.best_epoch, self.best_loss, self.best_accuracy = epoch + 1, loss, float(figures[VALIDATION_ACCURACY])
            write_atomically(self.best, self.model.save)


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads what `History` wrote, one row an epoch; an absent file has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
