"""A user's own callbacks in a run."""

# ruff: noqa: D102 (keras.callbacks.Callback documents its hooks and fixes their arguments)

from collections.abc import Sequence
from typing import Any

import keras

from .saving import SaveState
from .watching import Record, Steps


def checked(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    """Raises `ValueError` where what is given for callbacks is something else."""
    rule = "callbacks must be a list of keras.callbacks.Callback objects"
    if not isinstance(callbacks, list | tuple):
        raise ValueError(f"{rule}. Received: {callbacks!r}")
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"{rule}. Received: {callback!r} among them")
    return list(callbacks)


class Hooks(keras.callbacks.CallbackList):
    """A user's callbacks, called as by one `fit` of whole epochs, however often and wherever Keras's is entered.

    It comes last. When one of them stops training, the record says so and is saved with the epoch, so that a run that
    is killed before it is finished ends there all the same.

    Args:
        callbacks: the user's.
        epochs: of the whole run.
        steps: the count, a callback before this one.
        record: likewise, the record of epochs.
        save: likewise, what saves.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        epochs: int,
        steps: Steps,
        record: Record,
        save: SaveState,
    ) -> None:
        self.epochs, self.steps, self.record, self.save = epochs, steps, record, save
        self.begun = False
        self.last_logs: dict[str, Any] | None = None
        super().__init__(list(callbacks))

    def _configure_async_dispatch(self, callbacks: Any) -> None:
        """Calls in turn, as the list that it is one of does; on JAX it would use threads of its own."""

    def set_params(self, params: dict[str, Any] | None) -> None:  # noqa: ARG002 (those of a part of the run)
        super().set_params({"verbose": 0, "epochs": self.epochs, "steps": self.steps.per_epoch})

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self.begun:
            self.begun = True
            super().on_train_begin(logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_train_batch_begin(self.steps.first + batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_train_batch_end(self.steps.first + batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.last_logs = logs
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training and not self.record.exhausted:
            self.record.stopped = True
            self.save.on_epoch_end(epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps it from them: it may be the end of a resumed epoch alone."""

    def finish(self) -> None:
        """Tells them that training has ended, where it had begun."""
        if self.begun:
            super().on_train_end(self.last_logs)
