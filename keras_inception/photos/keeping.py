"""The vectors of many pictures, computed once and kept on disk: who makes them is another's business."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_inception.training.data.images import AnyImages
from keras_inception.training.data.parallel import calls, untuned
from keras_inception.training.data.shards import damage_told
from keras_inception.training.files import read_json, write_text

BATCH = 32
ROWS = "rows.json"


class Keyed(Protocol):
    """What vectors are kept under."""

    @property
    def key(self) -> str:
        """Name of the file."""


@dataclass(frozen=True, eq=False)
class Source:
    """What makes vectors of pictures."""

    key: str
    form: Hashable
    """What a picture is prepared for: sources of one form share prepared pictures."""
    prepare: Callable[[tf.Tensor], tf.Tensor]
    """From a picture to pixels of one size; traced."""
    call: Callable[[tf.Tensor], np.ndarray]
    """From a batch of those to vectors, float32 [n, features]."""


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
    """Features on disk: a file a source, float32 [rows, features], filled from the first row on.

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
                "Pictures, and what looks at them, must be those that the features were computed of; another --output "
                f"begins anew. Received: others than in {folder}"
            )
        done = noted.get("done", {})
        self._done: dict[str, int] = {key: count for key, count in done.items() if self._path(key).is_file()}

    def done(self, source: Keyed) -> int:
        """How many rows of a source's features are there."""
        return self._done.get(source.key, 0)

    def read(self, source: Keyed) -> np.ndarray:
        """The features of a source that are there, [done, features]."""
        values: np.ndarray = np.load(self._path(source.key), mmap_mode="r")
        return values[: self.done(source)]

    def write(self, begin: int, features: dict[str, np.ndarray]) -> None:
        """Adds the features of the next pictures, by the keys of their sources."""
        for key, values in features.items():
            path, shape = self._path(key), (self.rows, values.shape[1])
            mode: Any = "r+" if begin else "w+"
            kept = np.lib.format.open_memmap(path, mode, None if begin else np.float32, None if begin else shape)
            kept[begin : begin + len(values)] = values
            kept.flush()
            self._done[key] = begin + len(values)
        write_text(self.folder / ROWS, json.dumps({"identity": self.identity, "done": self._done}, indent=2) + "\n")

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"


@damage_told()
def fill(
    folder: FeatureFolder, segment: Segment, sources: Sequence[Source], advance: Callable[[int], Any] = lambda _: None
) -> None:
    """Computes what is lacking of a segment's features; each picture is read and decoded once for all sources.

    Batches begin at the same rows however often it was broken off, so that the features are the same to the bit.

    Args:
        folder: Where the features are kept.
        segment: The pictures.
        sources: What makes the features.
        advance: Called with a number of pictures whenever they are done.
    """
    lacking = [source for source in sources if folder.done(source) < segment.end]
    for begin in sorted({folder.done(source) for source in lacking}):
        # Sources that were added later start at an earlier row than others.
        chosen = [source for source in lacking if folder.done(source) == begin]
        rest = np.arange(begin - segment.begin, segment.end - segment.begin)
        for place, batch in _batches(segment.images.subset(rest), {source.form: source.prepare for source in chosen}):
            features = {source.key: source.call(batch[source.form]) for source in chosen}
            folder.write(begin + place, features)
            advance(len(next(iter(features.values()))))


def _batches(images: AnyImages, forms: dict[Hashable, Callable[[Any], Any]]) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Batches of pictures in order, each in several forms, and where they begin."""

    def prepared(_: Any, handle: Any) -> tuple[Any, ...]:
        picture = images.decode(handle)
        return tuple(prepare(picture) for prepare in forms.values())

    place = 0
    elements = images.elements().map(prepared, num_parallel_calls=calls())
    for batch in untuned(elements.batch(BATCH)).prefetch(2):
        yield place, dict(zip(forms, batch, strict=True))
        place += len(batch[0])
