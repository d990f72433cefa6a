"""Distillation: trained networks that say, batch by batch, what they see in the images that another learns from.

"Distilling the Knowledge in a Neural Network", Hinton et al., 2015, https://arxiv.org/abs/1503.02531. A teacher is
shown the student's own pixels, crops and colours included: taught from other views, students end lower ("Knowledge
distillation: A good teacher is patient and consistent", Beyer et al., 2022, https://arxiv.org/abs/2106.05237).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_inception as ki

from ..config import TrainConfig, teachers_of
from ..data.sources import Splits
from ..files import sha256, write_atomically
from ..pipeline.augment import varies_batches
from ..pipeline.training import indices_of_step, steps_per_epoch, training_batches
from ..runs.run import BEST, Run, predictions_of
from .objective import Objective


@dataclass(frozen=True)
class Network:
    """One teacher: takes pixels 0..255 of its own size."""

    model: keras.Model
    order: list[int]
    """Of its outputs, by class of the run."""
    digest: str
    """What tells its weights from others."""


class Teacher:
    """The teachers of a run, whose probabilities are averaged.

    Args:
        config: the run's configuration, with `objective.teacher`.
        splits: its images.

    Raises:
        FileNotFoundError: where a teacher is a folder without a run.
        ValueError: where a teacher has other classes or channels, or no answer can be kept for later.
    """

    def __init__(self, config: TrainConfig, splits: Splits) -> None:
        self.config, self.images = config, splits.train
        own = config.model.weights if config.quantize else None  # which teaches as well, unasked
        self.networks = [
            open_trained(source, config, splits, "model.weights" if source == own else "objective.teacher")
            for source in teachers_of(config.objective.teacher)
        ]
        settings = config.pipeline.augment
        self.varies = varies_batches(settings) or settings.min_area < 1 or settings.randaugment > 0
        self.cache: Path | None = None
        if config.objective.teacher_cache:
            if indices_of_step(self.images, config, 0, 0) is None:
                raise ValueError(
                    "objective.teacher_cache needs images that are told apart by index, or a stream of no more than "
                    f"pipeline.shuffle_buffer. Received: {len(self.images.labels)} images of {config.data}"
                )
            self.cache = Path(config.objective.teacher_cache) / self._key(splits)
            self.cache.mkdir(parents=True, exist_ok=True)

    @classmethod
    def of(cls, config: TrainConfig, splits: Splits) -> "Teacher | None":
        """The teacher that a configuration names, if any; to be made before the seed is set for the student."""
        return cls(config, splits) if config.objective.teacher else None

    def beside(
        self, batches: tf.data.Dataset, first_epoch: int = 0, first_step: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """Puts the teachers' probabilities behind the targets of training batches: [batch, 2 * classes].

        Args:
            batches: what `training_batches` made with the same place and shard.
            first_epoch: the epoch that they begin with.
            first_step: the step of it.
            shard: (i, n): they are the i-th of n slices.
        """
        steps = steps_per_epoch(self.images, self.config)

        def answers(step: np.ndarray, pixels: np.ndarray) -> np.ndarray:
            epoch, step_of_epoch = divmod(int(step), steps)
            return self._answers(pixels, epoch, step_of_epoch, shard)

        @tf.autograph.experimental.do_not_convert
        def with_answers(step: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            pixels, targets, *weights = batch
            told = tf.ensure_shape(tf.numpy_function(answers, (step, pixels), tf.float32), targets.shape)
            return pixels, tf.concat([targets, told], axis=1), *weights

        return batches.enumerate(first_epoch * steps + first_step).map(with_answers).prefetch(2)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the teachers see in pixels [n, size, size, channels]: float32 [n, classes]."""
        told = [
            np.asarray(network.model.predict_on_batch(_fitted(pixels, network.model)))[:, network.order]
            for network in self.networks
        ]
        return np.asarray(np.mean(told, axis=0, dtype=np.float64), np.float32)

    def _answers(self, pixels: np.ndarray, epoch: int, step: int, shard: tuple[int, int]) -> np.ndarray:
        if self.cache is None:
            return self.probabilities(pixels)
        indices = indices_of_step(self.images, self.config, epoch, step, shard)
        kept = _table(self.cache, epoch if self.varies else None, len(self.images.labels), len(self.networks[0].order))
        told = np.array(kept[indices])
        if np.isnan(told).any():  # a killed process may have left half a row
            told = kept[indices] = self.probabilities(pixels)
        return told

    def _key(self, splits: Splits) -> str:
        """Names what the answers follow from: the teachers, the images, and all that decides on their pixels."""
        pipeline = asdict(self.config.pipeline)
        del pipeline["threads"]  # change no image
        pipeline["cache_dir"] = bool(pipeline["cache_dir"])  # nor does it matter where that is
        facts = {
            "teachers": [network.digest for network in self.networks],
            "images": splits.describe("train"),
            "seed": self.config.seed,
            "input": [self.config.model.image_size, self.config.model.channels],
            "pipeline": pipeline,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def batches_to_learn(
    splits: Splits,
    config: TrainConfig,
    objective: Objective,
    teacher: Teacher | None,
    *,
    first_epoch: int = 0,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """The training batches from a place on, as the compiled model takes them, with what the teacher says of them."""
    batches = training_batches(
        splits.train, config, objective.classes, first_epoch=first_epoch, first_step=first_step, shard=shard
    )
    if teacher is not None:
        batches = teacher.beside(batches, first_epoch, first_step, shard)
    return objective.batches(batches)


def open_trained(source: str, config: TrainConfig, splits: Splits, what: str = "objective.teacher") -> Network:
    """Opens a trained network that knows a run's classes.

    Args:
        source: a run folder, the tag of a released set, or a weights file.
        config: the run's configuration.
        splits: its images.
        what: the field that names it.

    Raises:
        FileNotFoundError: where it is a folder without a run.
        ValueError: where it has other classes or channels.
    """
    names: list[Sequence[str]]
    class_names, several = splits.class_names, False
    if Path(source).is_dir():
        run = Run.open(source)
        model, names, digest = run.model(), [run.class_names], f"{sha256(run.folder / BEST)} {run.temperature}"
        several = run.several
    else:
        from keras_inception import weights

        try:
            model, found = weights.build(source, accept_license=config.model.accept_license, include_preprocessing=True)
        except ValueError as error:
            raise ValueError(
                f"{what} must be a run folder, the tag of a released set, or a weights file that names its "
                f"network. Received: {source!r} ({error})"
            ) from error
        names = _names_of(model, found.weight_set.labels if found.weight_set is not None else ())
        digest = sha256(Path(source)) if Path(source).is_file() else source
    if model.input_shape[-1] != config.model.channels:
        raise ValueError(
            f"A teacher must take images of the run's channels, {config.model.channels}. "
            f"Received: {source} for {model.input_shape[-1]}"
        )
    if several != splits.several:
        kinds = {True: "several labels an image", False: "one label an image"}
        raise ValueError(
            f"A teacher must have learnt {kinds[splits.several]}, as the run does. Received: {source}, {kinds[several]}"
        )
    outputs = predictions_of(model.output)
    for told in names:
        if sorted(told) == sorted(class_names) and len(told) == outputs.shape[-1]:
            place = {name: index for index, name in enumerate(told)}
            return Network(keras.Model(model.inputs, outputs), [place[name] for name in class_names], digest)
    lacking = sorted(set(class_names).difference(*names))
    told_of = f"which does not know {lacking[0]!r}" if lacking else f"which knows {outputs.shape[-1]}"
    raise ValueError(
        f"A teacher must know the run's {len(class_names)} classes and no others. Received: {source}, {told_of}"
    )


def _names_of(model: keras.Model, labels: Sequence[str]) -> list[Sequence[str]]:
    """What the classes of weights may be called in data: as the weights name them, or ImageNet's by id or name."""
    classes = predictions_of(model.output).shape[-1]
    if labels or classes != 1000:
        return [labels]
    known = [guesses[0] for guesses in ki.decode_predictions(np.eye(classes), top=1)]
    return [[guess.class_id for guess in known], [guess.class_name for guess in known]]


def _fitted(pixels: np.ndarray, model: keras.Model) -> Any:
    """Pixels in the size that a network takes."""
    values, size = pixels.astype(np.float32), model.input_shape[1:3]
    if None in size or size == pixels.shape[1:3]:
        return values
    resized = keras.ops.image.resize(values, size, antialias=True, data_format="channels_last")
    return keras.ops.convert_to_numpy(resized)


def _table(folder: Path, epoch: int | None, images: int, classes: int) -> Any:
    """The kept answers of an epoch, or of all epochs for None: float32 [images, classes] on disk, NaN where unknown."""
    path = folder / ("all.npy" if epoch is None else f"epoch-{epoch + 1:04}.npy")
    if not path.exists():  # two processes may make it at once: the earlier one's answers are then asked for again
        write_atomically(path, lambda temporary: np.save(temporary, np.full((images, classes), np.nan, np.float32)))
    return np.load(path, mmap_mode="r+")
