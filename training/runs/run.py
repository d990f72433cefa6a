"""A run folder: what training leaves behind, and all that evaluation, export and proof need to know about it."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..config import MAIN_HEAD, TrainConfig
from ..data.decode import decode_bytes
from ..data.shards import damage_told
from ..data.sources import Splits, open_splits
from ..files import read_json, read_text, write_text
from ..pipeline.preparing import evaluation_batches, prepare

CONFIG, ENVIRONMENT, CLASS_NAMES, DATA, METRICS = (
    "config.json", "environment.json", "class_names.txt", "data.json", "metrics.json",
)  # fmt: skip
HISTORY, QUARANTINE, REPORT, EVALUATION = "history.csv", "quarantine.txt", "report.html", "evaluation.json"
THRESHOLDS, CALIBRATION, TRACKING = "thresholds.json", "calibration.json", "tracking.json"
SPLITS = ("train", "validation", "test")
BEST, LAST = "checkpoints/best.keras", "checkpoints/last.keras"


class Run:
    """A run folder, opened for reading.

    Attributes:
        folder: the run folder.
        config: the configuration that the run was trained with.
        class_names: names of the classes, by label.
    """

    def __init__(self, folder: Path, config: TrainConfig, class_names: list[str], splits: Splits | None = None) -> None:
        self.folder, self.config, self.class_names = folder, config, class_names
        if splits is not None:  # opened already: they are not opened again
            self.splits = splits

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Opens a run folder.

        Raises:
            FileNotFoundError: where there is no run folder.
            ValueError: where its configuration cannot be read.
        """
        folder = Path(path)
        for name in (CONFIG, CLASS_NAMES):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"A run folder holds {CONFIG} and {CLASS_NAMES}. Received: {folder} without {name}"
                )
        config = TrainConfig.from_json(read_text(folder / CONFIG))
        return cls(folder, config, read_text(folder / CLASS_NAMES).splitlines())

    def model(self) -> keras.Model:
        """Loads the best checkpoint: a network that takes raw pixels in 0..255.

        Where the run is calibrated, its logits are divided by the temperature.

        Raises:
            FileNotFoundError: where the run has no checkpoint.
            ValueError: where the checkpoint is damaged or disagrees with the run's classes.
        """
        path = self.folder / BEST
        if not path.is_file():
            raise FileNotFoundError(f"A run folder must hold a checkpoint, {BEST}. Received: {self.folder} without one")
        try:
            model: keras.Model = keras.saving.load_model(path, compile=False)
        except Exception as error:  # Keras raises whatever a damaged file leads to
            first_line = str(error).strip().split("\n")[0]
            raise ValueError(f"A checkpoint must be a whole .keras file. Received: {path} ({first_line})") from error
        classes = predictions_of(model.output).shape[-1]
        if classes != len(self.class_names):
            raise ValueError(
                f"A checkpoint must have as many outputs as {CLASS_NAMES} has names. "
                f"Received: {classes} outputs in {path} for {len(self.class_names)} names"
            )
        self.apply_temperature(model)
        return model

    def apply_temperature(self, model: keras.Model) -> None:
        """Divides the logits of a checkpoint's network by the run's temperature."""
        if self.temperature != 1:
            layer = model.get_layer(f"{MAIN_HEAD}_logits")
            layer.set_weights([weight / self.temperature for weight in layer.get_weights()])

    @property
    def temperature(self) -> float:
        """What the classifier's logits are divided by; 1 where the run is not calibrated."""
        return float(self.read_json(CALIBRATION).get("temperature", 1))

    @property
    def coverage(self) -> dict[float, float | None]:
        """The probability that a candidate has at least, by the share of images whose class shall be among them.

        None for a level that too few validation images told; empty where images may have several labels, and for a run
        that was trained before there were such thresholds: `calibrate` finds them.

        Raises:
            ValueError: where the file that they are kept in is damaged.
        """
        found = self.read_json(CALIBRATION).get("coverage", {})
        try:
            coverage = {float(level): threshold for level, threshold in found.items()}
            if all(value is None or (type(value) is float and 0 <= value <= 1) for value in coverage.values()):
                return coverage
        except (AttributeError, ValueError):
            pass
        raise ValueError(f"Coverage must be a probability for each level. Received: {self.folder / CALIBRATION}")

    @cached_property
    def splits(self) -> Splits:
        """The run's images, split as they were in training.

        Raises:
            ValueError: where the data is no longer what the run was trained on.
        """
        splits = open_splits(self.config, known_bad=[path for path, _ in self.left_out])
        try:
            recorded = self.read_json(DATA)["splits"]
            described = {
                split: (recorded[split]["fingerprint"], recorded[split]["images"], recorded[split]) for split in SPLITS
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{DATA} must describe a run's splits. Received: {self.folder / DATA}") from error
        for split, (fingerprint, images, more) in described.items():
            now = splits.describe(split)
            # Older runs recorded names and labels alone.
            same = all(more.get(what) in (None, now[what]) for what in ("content", "weights"))
            if now["fingerprint"] != fingerprint or not same:
                raise ValueError(
                    f"A run's data must be what it was trained on. Received: {now['images']} {split} images in "
                    f"{self.config.data} that differ from the {images} recorded in {self.folder / DATA}"
                )
        return splits

    @property
    def several(self) -> bool:
        """Whether the run's images may have several labels."""
        return bool(self.read_json(DATA).get("several_labels", False))

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """What the probability of each class exceeds where it is found; None where images have one label.

        Raises:
            ValueError: where the file that evaluation keeps them in is damaged.
        """
        found = self.read_json(THRESHOLDS)
        if not found:
            return None
        values: list[Any] = [found.get(name) for name in self.class_names]
        if len(found) != len(values) or not all(type(value) is float and 0 <= value <= 1 for value in values):
            raise ValueError(f"{THRESHOLDS} must hold a share for each class. Received: {self.folder / THRESHOLDS}")
        return tuple(values)

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """The files that could not be decoded: path, in which there may be tabs, and reason."""
        quarantine = self.folder / QUARANTINE
        lines = read_text(quarantine).splitlines() if quarantine.is_file() else []
        return [(path, reason) for path, _, reason in (line.rpartition("\t") for line in lines)]

    def batches(
        self, split: str, batch_size: int = 32, count: int | None = None, seed: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields un-augmented batches of a split.

        Args:
            split: train, validation or test.
            batch_size: images in a batch; the last one may be smaller.
            count: how many images; a seeded choice, in index order. All of them where it is None.
            seed: of that choice.

        Yields:
            (images, labels): float32 [n, height, width, channels] of whole numbers in 0..255, int64 [n]; where an
            image may have several labels, zeros and ones, float32 [n, classes].
        """
        images = self.splits[split]
        if count is not None and count < len(images.labels):
            chosen = np.random.default_rng(seed).choice(len(images.labels), count, replace=False)
            images = images.subset(np.sort(chosen))
        with damage_told():
            yield from evaluation_batches(images, self.config, batch_size).as_numpy_iterator()

    def read_image(self, path: str | Path) -> np.ndarray:
        """Reads one image file and prepares it as evaluation does: float32 [height, width, channels] in 0..255.

        Raises:
            FileNotFoundError: where there is no such file.
            ValueError: where it cannot be decoded.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"An image file must exist. Received: {path}")
        try:
            image = decode_bytes(tf.io.read_file(str(path)), self.config.model.channels)
        except tf.errors.OpError:
            raise ValueError(f"An image must be a whole JPEG, PNG, GIF, BMP or WebP file. Received: {path}") from None
        return prepare(image, self.config).numpy().astype(np.float32)

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads one of the run's JSON files; an absent one is empty, a damaged one a ValueError."""
        path = self.folder / name
        return read_json(path) if path.is_file() else {}

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Writes one of the run's JSON files, whole or not at all."""
        write_text(self.folder / name, json.dumps(content, indent=2) + "\n")


def predictions_of(outputs: Any) -> Any:
    """Picks the predictions from a model's outputs: by name where there are auxiliary heads."""
    return outputs[MAIN_HEAD] if isinstance(outputs, dict) else outputs
