"""What happens beside the steps: counting, the record of epochs, progress, a stop where the loss is no number."""

# ruff: noqa: D102, ARG002 (keras.callbacks.Callback documents its hooks and fixes their arguments)

import math
import time
from collections.abc import Callable
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_inception.showing import can_move, in_place

from .checkpoints import Place

VALIDATION_ACCURACY, ACCURACY = "val_predictions_accuracy", "predictions_accuracy"
MAP, VALIDATION_MAP = "predictions_mean_average_precision", "val_predictions_mean_average_precision"
WAITED = "epochs_without_better"
IMAGES_NAMED = 16


class DivergedError(ValueError):
    """The loss became NaN or infinite."""


class Steps(keras.callbacks.Callback):
    """Counts where training is; the callbacks after it read that.

    Args:
        per_epoch: steps in an epoch.
        start: where training begins.
    """

    def __init__(self, per_epoch: int, start: Place) -> None:
        super().__init__()
        self.per_epoch, self.start, self.place, self.first = per_epoch, start, start, start.step

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.place = self.start if epoch == self.start.epoch else Place(epoch)
        self.first = self.place.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.place = Place(self.place.epoch, self.first + batch + 1)

    @property
    def done(self) -> int:
        """Steps since training began."""
        return self.place.epoch * self.per_epoch + self.place.step


class StopOnNaN(keras.callbacks.Callback):
    """Ends training with one sentence when the loss is no longer a number.

    Args:
        steps: the count.
        last_good: says in a few words which checkpoint is left.
        images: names the images of a step.
    """

    def __init__(self, steps: Steps, last_good: Callable[[], str], images: Callable[[Place], list[str]]) -> None:
        super().__init__()
        self.steps, self.last_good, self.images = steps, last_good, images

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        place = self.steps.place
        images = self.images(Place(place.epoch, place.step - 1))
        more = f" and {len(images) - IMAGES_NAMED} more" if len(images) > IMAGES_NAMED else ""
        raise DivergedError(
            "The loss must stay finite; try a lower optimizer.learning_rate or optimizer.clip_norm "
            f"({self.last_good()}). Received: {loss} in epoch {place.epoch + 1}, "
            f"step {place.step} of {self.steps.per_epoch}, on the images {', '.join(images[:IMAGES_NAMED])}{more}"
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("val_loss", 0.0))
        if not math.isfinite(loss):  # the last step may have spoiled the weights after its own loss was taken
            raise DivergedError(
                "The validation loss must stay finite; try a lower optimizer.learning_rate or optimizer.clip_norm "
                f"({self.last_good()}). Received: {loss} after epoch {epoch + 1}"
            )


class Speed(keras.callbacks.Callback):
    """Adds an epoch's learning rate, images a second and seconds to its logs, for all callbacks after this one.

    Images a second cover the training steps alone, not validation; seconds cover every process that worked on the
    epoch, up to the checkpoint that the next one began with.

    Args:
        steps: the count, a callback before this one.
        batch_size: images in a step.
    """

    def __init__(self, steps: Steps, batch_size: int) -> None:
        super().__init__()
        self.steps, self.batch_size = steps, batch_size
        self.began = self.trained = time.perf_counter()
        self.earlier = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.trained = time.perf_counter()
        self.began, self.earlier = self.trained - self.earlier, 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            images = self.steps.place.step * self.batch_size  # a callback may have cut the epoch short
            logs["images_per_second"] = images / max(self.trained - self.began, 1e-9)
            logs["seconds"] = time.perf_counter() - self.began
        self.began = self.trained

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.trained - self.began}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` returned."""
        self.earlier = state["seconds"]


class Record(keras.callbacks.Callback):
    """Remembers each epoch's logs as a row, and the epoch with the lowest validation loss; ends training without one.

    The loss of the predictions alone counts. It moves where the accuracy of a small validation set stands still or
    jumps by luck.

    Args:
        patience: epochs without a better one after which training ends; 0: it goes on.
        min_delta: an epoch is better, for patience, where its loss is lower by more than this.
    """

    def __init__(self, patience: int = 0, min_delta: float = 0.0) -> None:
        super().__init__()
        self.patience, self.min_delta = patience, min_delta
        self.rows: list[dict[str, float]] = []
        self.stopped = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        if self.patience:
            self.rows[-1][WAITED] = self._goal[1]
            if logs is not None:
                logs[WAITED] = self._goal[1]
        if self.exhausted:
            self.model.stop_training = True

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out: it follows from the rows alone, so that a resumed run ends where it should."""
        return bool(self.patience) and self._goal[1] >= self.patience

    @property
    def ended(self) -> bool:
        """Whether training has ended before its last epoch: patience has run out, or a user's callback said so."""
        return self.exhausted or self.stopped

    @property
    def why_ended(self) -> str:
        """Why training has ended before its last epoch."""
        if self.stopped:
            return "a callback asked for it (model.stop_training)"
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        epochs = f"{self.patience} epochs" if self.patience > 1 else "1 epoch"
        return f"validation cross-entropy no better than {self._goal[0]:.4f}{by} for {epochs} (patience)"

    @property
    def _goal(self) -> tuple[float, int]:
        """The loss that an epoch must lower, and how many epochs since have not."""
        goal, waited = math.inf, 0
        for row in self.rows:
            if row[self.loss] < goal - self.min_delta:
                goal, waited = row[self.loss], 0
            else:
                waited += 1
        return goal, waited

    @property
    def loss(self) -> str:
        """Name of the predictions' validation loss."""
        return "val_predictions_cross_entropy"

    @property
    def best(self) -> dict[str, float]:
        """The row of the best epoch, the first of several equals; empty before the first epoch's end."""
        return min(self.rows, key=lambda row: (math.isnan(row[self.loss]), row[self.loss]), default={})

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch, from 1; 0 before the first one's end."""
        return int(self.best.get("epoch", 0))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"rows": self.rows, "stopped": self.stopped}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` returned."""
        self.rows = state["rows"]
        self.stopped = state.get("stopped", False)  # older checkpoints do not tell


class ShowProgress(keras.callbacks.Callback):
    """A live display on a terminal, one plain line an epoch elsewhere."""

    def __init__(self, console: Console, epochs: int, steps: Steps, batch_size: int) -> None:
        super().__init__()
        self.console, self.epochs, self.steps, self.batch_size = console, epochs, steps, batch_size
        self.progress: Progress | None = None
        self.task: Any = None
        self.began = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if can_move(self.console) and self.progress is None:
            columns = (
                TextColumn("[bold]epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"), TextColumn("time left"),
                TimeRemainingColumn(elapsed_when_finished=True),
            )  # fmt: skip
            self.progress = in_place(Progress(*columns, console=self.console))
            total = self.epochs * self.steps.per_epoch
            self.task = self.progress.add_task("", total=total, epoch=f"1/{self.epochs}", figures="")
            self.progress.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began = time.perf_counter()
        if self.progress:
            self.progress.update(self.task, epoch=f"{epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.progress and logs:
            speed = (batch + 1) * self.batch_size / (time.perf_counter() - self.began)
            what, trained, _ = _shown(logs)
            figures = f"loss {logs['loss']:.3f}  {what} {trained:.1%}  {speed:,.0f} images/s"
            self.progress.update(self.task, completed=self.steps.done, figures=figures)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = logs or {}
        what, trained, validated = _shown(figures)
        line = (
            f"epoch {epoch + 1:>3}/{self.epochs}  loss {figures['loss']:.4f}  {what} {trained:.2%}  "
            f"validation {validated:.2%}  {figures['images_per_second']:,.0f} images/s  "
            f"{figures['seconds']:.1f} s"
        )
        self.console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Gives the terminal back, also after an error."""
        if self.progress:
            self.progress.stop()


def _shown(logs: dict[str, Any]) -> tuple[str, float, float]:
    """What is told of an epoch: its word, of training, and of validation once that is done."""
    what = ("mAP", MAP, VALIDATION_MAP) if MAP in logs else ("accuracy", ACCURACY, VALIDATION_ACCURACY)
    return what[0], logs[what[1]], logs.get(what[2], 0.0)
