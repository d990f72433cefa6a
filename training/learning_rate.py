"""A learning rate for a configuration, from a range test: a short training in which the rate rises until it breaks."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_inception.showing import can_move, in_place

from .config import ScheduleConfig, TrainConfig
from .data.shards import damage_told
from .data.sources import open_splits
from .engine.devices import deterministic_kernels
from .engine.network import build_model
from .engine.objective import make_objective
from .engine.teacher import Teacher, batches_to_learn
from .engine.trainer import make_trainer
from .files import write_atomically, write_text
from .pipeline.training import steps_per_epoch
from .report import figures
from .signals import StopRequest

LEAST_STEPS = 10
_INERTIA, _BROKEN, _BELOW = 0.7, 4.0, 3.0


@dataclass(frozen=True)
class LearningRates:
    """What a range test found.

    Attributes:
        rates: The learning rates that were tried, each for one update.
        losses: The training loss of each of them.
        smoothed: The losses without their noise, averaged over the steps before and after alike.
        suggestion: A third of the rate at which the smoothed loss was lowest; None where the loss never fell.
        ended: `"diverged"`, `"complete"` (the highest rate was reached), or `"interrupted"`.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None
    ended: str

    def write(self, path: str | Path) -> None:
        """Writes the curve, as the file's suffix says: a picture (.svg or .png) or a table (.csv).

        Raises:
            ValueError: where the suffix is another.
        """
        path = check_output(path)
        if path.suffix == ".csv":
            table = io.StringIO()
            writer = csv.writer(table)
            writer.writerow(("learning_rate", "loss", "smoothed"))
            writer.writerows(zip(self.rates, self.losses, self.smoothed, strict=True))
            write_text(path, table.getvalue())
            return
        picture = figures.learning_rates(self.rates, self.losses, self.smoothed, self.suggestion)
        if path.suffix == ".svg":
            write_text(path, figures.standing_alone(picture))
        else:
            write_atomically(path, lambda temporary: picture.savefig(temporary, format="png", dpi=160))


def check_output(path: str | Path) -> Path:
    """Returns the path of a curve's file.

    Raises:
        ValueError: where its suffix is none that is written.
    """
    path = Path(path)
    if path.suffix not in (".svg", ".png", ".csv"):
        raise ValueError(f"A curve's file must end in .svg, .png or .csv. Received: {path}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"A curve's file must lie in a folder that exists. Received: {path}")
    return path


@damage_told()
def find_learning_rate(
    config: TrainConfig,
    *,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 10.0,
    console: Console | None = None,
) -> LearningRates:
    """Trains for some steps while the learning rate rises exponentially (https://arxiv.org/abs/1506.01186).

    Nothing is written, and no file that exists is changed. It ends where the loss has passed four times its lowest or
    is no number. Ctrl-C ends it as well, with what it has found so far.

    The suggestion, for `optimizer.learning_rate`, is a third of the rate with the lowest loss, at which the loss is
    about to leave. fastai took a tenth (https://sgugger.github.io/how-do-you-find-a-good-learning-rate.html), which was
    far too low in short fine-tuning. The other usual choice, the steepest descent, is a derivative of a noisy curve and
    moves more from seed to seed.

    Args:
        config: What would be trained; its schedule and its moving average are left out.
        steps: Updates, if the loss lasts so long.
        lowest: Learning rate of the first one.
        highest: Learning rate of the last one.
        console: Where progress is shown; standard error by default, and nothing where it is no terminal.

    Raises:
        FileNotFoundError: where the data or weights are not there.
        ValueError: for a configuration, data, steps or rates that cannot be used.
    """
    if steps < LEAST_STEPS:
        raise ValueError(f"A range test must have at least {LEAST_STEPS} steps. Received: {steps}")
    if not 0 < lowest < highest < math.inf:
        raise ValueError(f"The rates must rise from more than 0. Received: {lowest:g} to {highest:g}")
    config = config.resolved()
    config.validate()
    splits = open_splits(config)
    batches_needed = steps * config.optimizer.accumulate_steps
    per_epoch = steps_per_epoch(splits.train, config)
    config = replace(
        config,
        epochs=math.ceil(batches_needed / per_epoch),
        steps_per_execution=1,
        optimizer=replace(config.optimizer, ema_momentum=None),
        schedule=ScheduleConfig(name="constant"),
    )
    with deterministic_kernels(config):
        teacher = Teacher.of(config, splits)
        keras.utils.set_random_seed(config.seed)
        objective = make_objective(config, len(splits.class_names), splits.several)
        network = build_model(config, objective.classes, splits.several, splits.train)
        trainer = make_trainer(config, network, objective, per_epoch)
        batches = batches_to_learn(splits, config, objective, teacher)
        console = console or Console(stderr=True)
        rates, losses, ended = _rise(
            trainer, batches, np.geomspace(lowest, highest, steps).tolist(), config.optimizer.accumulate_steps, console
        )
    return LearningRates(rates, losses, smooth(losses), suggest(rates, losses), ended)


def _rise(
    trainer: keras.Model, batches: object, rates: Sequence[float], accumulate: int, console: Console
) -> tuple[list[float], list[float], str]:
    """One update at each rate: the rates that were tried, their losses, and how it ended."""
    losses: list[float] = []
    remaining = iter(batches)  # type: ignore[call-overload]
    with (
        StopRequest(enabled=True) as stop,
        in_place(Progress(console=console, transient=True, disable=not can_move(console))) as progress,
    ):
        task = progress.add_task("learning rate", total=len(rates))
        for rate in rates:
            trainer.optimizer.learning_rate = rate
            of_batches = []
            for _ in range(accumulate):
                batch = [_arrays(part) for part in next(remaining)]
                of_batches.append(float(trainer.train_on_batch(*batch, return_dict=True)["loss"]))
            losses.append(float(np.mean(of_batches)))
            progress.update(task, advance=1, description=f"learning rate {rate:.1e}, loss {losses[-1]:.3f}")
            if not math.isfinite(losses[-1]):
                del losses[-1]
                return list(rates[: len(losses)]), losses, "diverged"
            seen = _averages(losses)
            if seen[-1] > _BROKEN * min(seen):
                return list(rates[: len(losses)]), losses, "diverged"
            if stop.received:
                if stop.received.name == "SIGTERM":
                    stop.leave()
                return list(rates[: len(losses)]), losses, "interrupted"
    return list(rates), losses, "complete"


def smooth(losses: Sequence[float]) -> list[float]:
    """Averages each loss with those before and after it, which shifts no minimum; single peaks are cut off first."""
    if not losses:
        return []
    cut = np.minimum(losses, _BROKEN * min(losses)).tolist()
    return [(before + after) / 2 for before, after in zip(_averages(cut), _averages(cut[::-1])[::-1], strict=True)]


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """A third of the rate at which the smoothed loss is lowest; None where it never fell."""
    smoothed = smooth(losses)
    best = int(np.argmin(smoothed)) if smoothed else 0
    return rates[best] / _BELOW if best else None


def _averages(losses: Sequence[float]) -> list[float]:
    """The exponential moving averages of a series, each as of the values so far."""
    averages, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = _INERTIA * total + loss, _INERTIA * weight + 1
        averages.append(total / weight)
    return averages


def _arrays(part: object) -> object:
    """A batch's tensors as any backend takes them."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, part)
