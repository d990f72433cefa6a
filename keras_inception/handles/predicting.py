"""What is in pictures, any number of them: one row a picture, written as it goes and gone on with after a break."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.handles.opened import OpenedModel

BATCH, AHEAD = 32, 3
FORMATS = (".csv", ".jsonl")


@dataclass(frozen=True)
class Named:
    """What a model says of one picture.

    Attributes:
        image: The picture's file.
        classes: Names and probabilities, the likeliest class first; of several labels a picture those that are found.
        error: Why the picture cannot be read; empty where it can.
    """

    image: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Plain values for JSON."""
        named = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"image": self.image, "predictions": named, **({"error": self.error} if self.error else {})}


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """The pictures that files and folders name, in order, those of folders below them included; each once.

    Raises:
        FileNotFoundError: There is nothing at a path.
        ValueError: A folder holds no picture.
    """
    from keras_inception.training.data.folders import image_files

    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = image_files(path)
            if not inside:
                raise ValueError(f"A folder of pictures must hold some. Received: none in {path}")
            found |= dict.fromkeys(inside)
        elif path.is_file():
            found[path] = None
        else:
            raise FileNotFoundError(f"An image file must exist. Received: {path}")
    return list(found)


def predict_files(
    model: OpenedModel, files: Iterable[Path], *, top: int = 5, tolerant: bool = False
) -> Iterator[Named]:
    """Says what is in pictures, one after the other; they are read ahead while the network runs.

    Args:
        model: The model.
        files: The pictures.
        top: How many classes to name at most.
        tolerant: Tell of a picture that cannot be read in its row instead of raising.

    Yields:
        A row a picture, in order.

    Raises:
        FileNotFoundError: A picture is not there.
        ValueError: One cannot be read.
    """
    reader = model.pictures
    with ThreadPoolExecutor() as pool:
        waiting = iter(files)
        batches: deque[list[tuple[Path, Future[np.ndarray]]]] = deque()

        def read_ahead() -> None:
            some = [(file, pool.submit(reader.prepare, file)) for file in islice(waiting, BATCH)]
            if some:
                batches.append(some)

        try:
            for _ in range(AHEAD):
                read_ahead()
            while batches:
                yield from _answered(model, batches.popleft(), top, tolerant)
                read_ahead()
        finally:
            pool.shutdown(cancel_futures=True)


def _answered(
    model: OpenedModel, batch: Sequence[tuple[Path, Future[np.ndarray]]], top: int, tolerant: bool
) -> Iterator[Named]:
    pixels, errors = [], {}
    for file, future in batch:
        try:
            pixels.append(future.result())
        except (OSError, ValueError) as error:
            if not tolerant:
                raise
            errors[file] = " ".join(str(error).split())
    answers = iter(model(np.stack(pixels)) if pixels else ())
    for file, _ in batch:
        if file in errors:
            yield Named(str(file), error=errors[file])
        else:
            yield Named(str(file), _named(model, next(answers), top))


def _named(model: OpenedModel, answer: np.ndarray, top: int) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-answer, kind="stable")
    if model.thresholds is not None:
        order = order[answer[order] > np.array(model.thresholds, np.float32)[order]]
    return tuple((model.class_names[index], float(answer[index])) for index in order[:top])


def write_predictions(
    model: OpenedModel,
    files: Sequence[Path],
    target: Path,
    *,
    top: int = 5,
    overwrite: bool = False,
    advance: Callable[[int, int], Any] = lambda _, __: None,
) -> int:
    """Writes what is in pictures to a CSV file or as JSON Lines, a line each.

    What is done is kept beside the file, so that after a break the rest alone is looked at; the file itself appears
    when all is. Pictures that cannot be read have a line that says why.

    Args:
        model: The model.
        files: The pictures.
        target: The file; its suffix, .csv or .jsonl, tells the format.
        top: How many classes to name at most.
        overwrite: Replace an older file.
        advance: Called with how many pictures are done, and how many there are.

    Returns:
        How many pictures cannot be read.

    Raises:
        ValueError: The file is of another format, is there already, or was begun with another model.
    """
    from keras_inception.training.files import alone, write_atomically

    if target.suffix not in FORMATS:
        raise ValueError(f"Predictions are written to a file that ends in .csv or .jsonl. Received: {target}")
    if target.exists() and not overwrite:
        raise ValueError(f"Predictions go to a new file, or over an old one with --overwrite. Received: {target}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder that a file is written to must exist. Received: {target.parent}")
    partial = target.with_name(f".{target.name}.partial")
    partial.touch()
    with alone(partial, "Predicting into a file"):
        done = _take_up(partial, {"model": _identity(model), "top": top}, target, overwrite)
        left = [file for file in files if str(file) not in done]
        count = len(files) - len(left)
        advance(count, len(files))
        with partial.open("a", encoding="utf-8") as lines:
            for named in predict_files(model, left, top=top, tolerant=True):
                lines.write(json.dumps(named.row()) + "\n")
                count += 1
                if count % BATCH == 0 or count == len(files):
                    lines.flush()
                    advance(count, len(files))
        bad: list[int] = []
        wanted = set(map(str, files))
        write_atomically(target, lambda place: bad.append(_finished(partial, place, target.suffix, top, wanted)))
        partial.unlink()
    return bad[0]


def _take_up(partial: Path, head: dict[str, Any], target: Path, overwrite: bool) -> set[str]:
    """The pictures that are done; what was begun is made ready to be gone on with."""
    with partial.open("r+b") as file:
        first = file.readline()
        begun = None
        if first.endswith(b"\n"):
            with suppress(ValueError):
                begun = json.loads(first)
        if begun != head:
            if begun is not None and not overwrite:
                raise ValueError(
                    f"Predictions that were begun go on with the same model and --top, or afresh with --overwrite. "
                    f"Received: {target}, begun with {begun}"
                )
            file.seek(0)
            file.truncate()
            file.write(json.dumps(head).encode() + b"\n")
            return set()
        done, end = set(), file.tell()
        for line in file:
            try:
                done.add(json.loads(line)["image"])
            except ValueError:  # cut off where the process was killed
                break
            end += len(line)
        file.seek(end)
        file.truncate()
    return done


def _finished(partial: Path, place: Path, suffix: str, top: int, wanted: set[str]) -> int:
    """Writes the file out of what was kept, line by line, and counts the pictures that cannot be read."""
    bad = 0
    with (
        partial.open(encoding="utf-8") as lines,
        place.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out,
    ):
        next(lines)
        table = csv.writer(out, lineterminator="\n")
        if suffix == ".csv":
            columns = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
            table.writerow(["image", *columns, "error"])
        for line in lines:
            row = json.loads(line)
            if row["image"] not in wanted:
                continue
            bad += "error" in row
            if suffix == ".jsonl":
                out.write(line)
                continue
            cells = [cell for named in row["predictions"] for cell in (named["class"], named["probability"])]
            table.writerow([row["image"], *cells, *[""] * (2 * top - len(cells)), row.get("error", "")])
    return bad


def _identity(model: OpenedModel) -> str:
    """What tells a model from another that has its name."""
    path = model.path
    if path is None:
        return model.handle
    if model.run is not None:
        path = path / "checkpoints" / "best.keras"
    elif path.is_dir():
        path = path / "export.json"
    facts = path.stat()
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
