"""The training loop: `fit` with what happens beside it, entered at the step that a checkpoint was written after."""

import shlex
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from ..data.shards import damage_told
from ..pipeline.preparing import cached, evaluation_batches
from ..pipeline.training import names_of_step, steps_per_epoch
from ..runs.folder import shown
from ..runs.run import Run
from ..signals import StopRequest
from .checkpoints import Checkpoint, CheckpointFolder, Place
from .devices import Devices, MultiWorkerTrainer, prepare
from .hooks import Hooks
from .network import build_model
from .objective import make_objective
from .quantization import build_simulation
from .saving import AverageInValidation, RunFiles, SaveState
from .teacher import Teacher, batches_to_learn
from .trainer import Trainer, make_trainer
from .watching import VALIDATION_ACCURACY, VALIDATION_MAP, Record, ShowProgress, Speed, Steps, StopOnNaN

STATE = "checkpoints/state"


class Training:
    """A run in training: its network and all that `fit` works with, made once; nothing is written before `fit`.

    Args:
        run: the run, with the place of its folder.
        devices: what to train on.
        console: where progress is shown.

    Raises:
        ValueError: where the network cannot be built, or a batch not be cut into equal slices.
    """

    def __init__(self, run: Run, devices: Devices, console: Console) -> None:
        self.run, self.devices, self.console = run, devices, console
        config, train = run.config, run.splits.train
        self.teacher = Teacher.of(config, run.splits)
        keras.utils.set_random_seed(config.seed)
        several = run.splits.several
        self.objective = make_objective(config, len(run.class_names), several)
        self.per_epoch = steps_per_epoch(train, config)
        self.batch_size = min(config.pipeline.batch_size, len(train.labels))
        devices.check(self.batch_size)
        self._check_length()
        with devices.scope():
            if config.quantize:
                self.network = build_simulation(config, run.splits)
            else:
                self.network = build_model(config, self.objective.classes, several, train)
            kind = MultiWorkerTrainer if devices.workers > 1 else Trainer
            self.trainer = make_trainer(config, self.network, self.objective, self.per_epoch, kind)
            if devices.strategy:
                prepare(self.trainer)
        self.checkpoints = CheckpointFolder(run.folder / STATE, config.checkpoint.keep)
        self.stop = StopRequest(enabled=devices.workers == 1)

    def _check_length(self) -> None:
        """Sees to it that the run makes an update, and says so where its learning rate never reaches the peak."""
        config, steps = self.run.config, self.per_epoch * self.run.config.epochs
        if config.optimizer.accumulate_steps > steps:
            raise ValueError(
                f"optimizer.accumulate_steps must be at most the run's {steps} steps, or no weight is ever updated. "
                f"Received: {config.optimizer.accumulate_steps}"
            )
        if config.schedule.warmup_epochs > config.epochs:
            self.console.print(
                f"warning: the learning rate rises for {config.schedule.warmup_epochs:g} epochs "
                f"(schedule.warmup_epochs) and never reaches its peak in {config.epochs}",
                style="yellow", soft_wrap=True,
            )  # fmt: skip

    def newest_checkpoint(self) -> Checkpoint | None:
        """Finds what the training can go on from; warns of damaged checkpoints."""

        def warn(sentence: str) -> None:
            self.console.print(f"warning: {sentence}", style="yellow", markup=False, soft_wrap=True)

        return self.checkpoints.newest(warn)

    @damage_told()
    def fit(
        self,
        epochs: int,
        checkpoint: Checkpoint | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        follow: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        """Trains to the end of so many epochs, from a checkpoint or from the beginning.

        Args:
            epochs: where to end.
            checkpoint: what to go on from.
            callbacks: a user's own; see `train`.
            follow: called by the first worker when history.csv is written, before the first epoch too.

        Returns:
            What metrics.json tells of the training.

        Raises:
            CheckpointError: where a checkpoint cannot be written or does not fit.
            DivergedError: where the loss is no longer a number.
            ValueError: where a shard of packed data is damaged.
            KeyboardInterrupt: where Ctrl-C stopped it, after saving.
            SystemExit: where SIGTERM stopped it, after saving.
        """
        config = self.run.config
        start = checkpoint.place if checkpoint else Place()
        steps, record = Steps(self.per_epoch, start), Record(config.patience, config.min_delta)
        speed = Speed(steps, self.batch_size)
        progress = ShowProgress(self.console, config.epochs, steps, self.batch_size)
        files = RunFiles(self.run.folder, self.network, record)
        save = SaveState(
            self.trainer, self.checkpoints, config.checkpoint, steps, record, speed, self.stop, self._say_where,
            self.devices,
        )  # fmt: skip
        if checkpoint:
            save.restore(checkpoint)
        beside: list[keras.callbacks.Callback] = [
            steps, StopOnNaN(steps, self._last_good, self._images_of), speed, record, save, AverageInValidation(),
        ]  # fmt: skip
        if self.devices.worker == 0:
            files.restore(self.trainer, start)
            beside.append(files)
            if follow:
                beside.append(
                    keras.callbacks.LambdaCallback(on_train_begin=lambda _: follow(), on_epoch_end=lambda *_: follow())
                )
            beside.append(progress)
        hooks = Hooks(callbacks, config.epochs, steps, record, save)
        beside.append(hooks)

        validation = self._validation_batches()
        validation_steps = int(validation.cardinality())
        validation = self.devices.copies(validation)

        def fit(first: Place, last: int) -> None:
            self.trainer.fit(
                self._batches(first),
                initial_epoch=first.epoch,
                epochs=last,
                steps_per_epoch=self.per_epoch - first.step,
                validation_data=validation,
                validation_steps=validation_steps,
                verbose=0,
                shuffle=False,  # the pipeline has shuffled; Keras warns otherwise
                callbacks=beside,
            )

        try:
            with self.stop:
                if start.step:  # the rest of an epoch, which may be its validation alone
                    if start.step == self.per_epoch:
                        _validate(self.trainer, validation, validation_steps, beside, start.epoch)
                    else:
                        fit(start, start.epoch + 1)
                    start = Place(start.epoch + 1)
                if start.epoch < epochs and not record.ended:
                    fit(start, epochs)
            hooks.finish()
        finally:
            progress.close()
            files.close()
        ended: dict[str, Any] = {}
        several = {}
        if VALIDATION_MAP in record.best:
            several = {"validation_mean_average_precision": record.best[VALIDATION_MAP]}
        if record.ended and len(record.rows) < config.epochs:
            ended = {"ended_early": record.why_ended}
            self.console.print(
                f"ended after epoch {len(record.rows)} of {config.epochs}: {record.why_ended}", soft_wrap=True
            )
        return {
            "parameters": self.network.count_params(),
            "epochs": len(record.rows),
            **ended,
            "best_epoch": record.best_epoch,
            "validation_accuracy": record.best[VALIDATION_ACCURACY],
            **several,
            "validation_loss": record.best[record.loss],
            "seconds": round(sum(row["seconds"] for row in record.rows), 1),
            "images_per_second": round(statistics.median(row["images_per_second"] for row in record.rows), 1),
        }

    # AutoGraph would spend seconds on converting a pipeline that has nothing to convert.
    @tf.autograph.experimental.do_not_convert
    def _validation_batches(self) -> tf.data.Dataset:
        config = self.run.config
        return self.objective.batches(evaluation_batches(cached(self.run.splits.validation, config), config))

    @tf.autograph.experimental.do_not_convert
    def _batches(self, first: Place) -> Any:
        """The training batches from a place on, each device's slice of them."""

        def of_shard(shard: tuple[int, int]) -> tf.data.Dataset:
            return batches_to_learn(
                self.run.splits, self.run.config, self.objective, self.teacher,
                first_epoch=first.epoch, first_step=first.step, shard=shard,
            )  # fmt: skip

        return self.devices.slices(of_shard, self.batch_size)

    def _say_where(self, place: Place) -> None:
        name = self.stop.received.name if self.stop.received else ""
        self.console.print(
            f"{name}: saved after {place.epoch} epochs and {place.step} steps; go on with: "
            f"{shlex.join(['keras-inception', 'train', '--resume', str(shown(self.run.folder))])}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    def _images_of(self, place: Place) -> list[str]:
        return names_of_step(self.run.splits.train, self.run.config, place.epoch, place.step)

    def _last_good(self) -> str:
        places = self.checkpoints.places()
        if not places:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self.checkpoints.folder / places[-1].name}"


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
