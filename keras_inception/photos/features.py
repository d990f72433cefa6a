"""The pooled features of many pictures by many trunks, computed once and kept on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_inception.photos.trunks import Trunk, extractor
from keras_inception.training.config import TrainConfig
from keras_inception.training.data.images import AnyImages
from keras_inception.training.data.shards import damage_told
from keras_inception.training.files import read_json, write_text
from keras_inception.training.pipeline.preparing import prepare

BATCH = 32
ROWS = "rows.json"


@dataclass(frozen=True, eq=False)
class Segment:
    """Pictures that are read together, at the rows from `begin` on."""

    begin: int
    images: AnyImages

    @property
    def end(self) -> int:
        """The row after the last one."""
        return self.begin + len(self.images.labels)


class FeatureFolder:
    """Features on disk: a file a trunk, float32 [rows, features], filled from the first row on.

    How far each is filled is written after every batch, so that a pass that was killed goes on there.

    Args:
        folder: The folder; made where it is missing.
        identity: What the features are of; a folder of something else is refused.
        rows: How many pictures there are in all.

    Raises:
        ValueError: The folder holds features of other pictures.
    """

    def __init__(self, folder: Path, identity: str, rows: int) -> None:
        self.folder, self.identity, self.rows = folder, identity, rows
        folder.mkdir(parents=True, exist_ok=True)
        noted = read_json(folder / ROWS) if (folder / ROWS).is_file() else {}
        if noted and noted.get("identity") != identity:
            raise ValueError(
                f"Pictures, and how many are compared, must be those that the features were computed of; another "
                f"--output begins anew. Received: others than in {folder}"
            )
        done = noted.get("done", {})
        self._done: dict[str, int] = {key: count for key, count in done.items() if self._path(key).is_file()}

    def done(self, trunk: Trunk) -> int:
        """How many rows of a trunk's features are there."""
        return self._done.get(trunk.key, 0)

    def read(self, trunk: Trunk) -> np.ndarray:
        """The features of a trunk that are there, [done, features]."""
        values: np.ndarray = np.load(self._path(trunk.key), mmap_mode="r")
        return values[: self.done(trunk)]

    def write(self, begin: int, features: dict[Trunk, np.ndarray]) -> None:
        """Adds the features of the next pictures, by trunk."""
        for trunk, values in features.items():
            path, shape = self._path(trunk.key), (self.rows, values.shape[1])
            mode: Any = "r+" if begin else "w+"
            kept = np.lib.format.open_memmap(path, mode, None if begin else np.float32, None if begin else shape)
            kept[begin : begin + len(values)] = values
            kept.flush()
            self._done[trunk.key] = begin + len(values)
        write_text(self.folder / ROWS, json.dumps({"identity": self.identity, "done": self._done}, indent=2) + "\n")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"


@damage_told()
def compute(
    folder: FeatureFolder,
    segment: Segment,
    trunks: Sequence[Trunk],
    config: TrainConfig,
    advance: Callable[[int], Any] = lambda _: None,
) -> None:
    """Computes what is lacking of a segment's features; each picture is read and decoded once for all trunks.

    Args:
        folder: Where the features are kept.
        segment: The pictures.
        trunks: The trunks.
        config: How pictures are prepared; the size is each trunk's.
        advance: Called with a number of pictures whenever they are done.
    """
    lacking = [trunk for trunk in trunks if folder.done(trunk) < segment.end]
    for begin in sorted({folder.done(trunk) for trunk in lacking}):
        # Trunks that were added later start at an earlier row than others.
        chosen = [trunk for trunk in lacking if folder.done(trunk) == begin]
        rest = np.arange(begin - segment.begin, segment.end - segment.begin)
        for place, batch in _batches(segment.images.subset(rest), sorted({t.size for t in chosen}), config):
            features = {t: extractor(t.network, t.source).call(batch[t.size]).numpy() for t in chosen}
            folder.write(begin + place, features)
            advance(len(next(iter(features.values()))))


def _batches(images: AnyImages, sizes: Sequence[int], config: TrainConfig) -> Iterator[tuple[int, dict[int, Any]]]:
    """Batches of pictures in order, each at several sizes, and where they begin."""
    configs = [dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=s)) for s in sizes]

    def prepared(_: Any, handle: Any) -> tuple[Any, ...]:
        picture = images.decode(handle)
        return tuple(prepare(picture, one) for one in configs)

    place = 0
    elements = images.elements().map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    for batch in elements.batch(BATCH).prefetch(2):
        yield place, dict(zip(sizes, batch, strict=True))
        place += len(batch[0])
