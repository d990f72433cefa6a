"""Every file in every place that this machine has, held against its own answers on the CPU and against the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.showing import tracked

from ..files.flatbuffer import operators
from ..files.tracing import SIGNATURE
from ..folder import LEARNING
from ..running.places import PLACES, Place, Ran, run_at
from .cosines import AnyYardstick
from .measuring import Yardstick
from .rehearsed import Rehearsal, Rehearsed

LEARNING_SIGNATURE = "infer"


def rehearse(
    files: Mapping[str, Path], yardstick: AnyYardstick, places: Sequence[Place] = PLACES
) -> tuple[Rehearsal, list[str]]:
    """Runs files in all places.

    A place computes the proof's images one after the other until its time is over, and in a process of its own: what
    crashes there is a row like others. Half precision is held to agreement and accuracy, as quantised files are.

    Args:
        files: The .tflite and .onnx files of an export, by mode; all of them whole.
        yardstick: What they are held against.
        places: Where; a file is compared with itself in the first that reads it.

    Returns:
        The rows, and a sentence for every limit that a file passes where LiteRT answered all images, and where it
        answers infinities or NaN. (What a file does where it is tried first is the proof's own.)
    """
    absent: dict[str, str] = {}
    rows: list[Rehearsed] = []
    failures: list[str] = []
    work = [(mode, path, place) for mode, path in files.items() for place in places if path.suffix in place.reads]
    ran: dict[str, Ran] = {}
    for mode, path, place in tracked(work, "Running files elsewhere"):
        if not rows or rows[-1].file != path.name:
            ran = {}
        if place.name in absent or place.half_of in absent:
            continue
        found = run_at(place, path, yardstick.images, LEARNING_SIGNATURE if mode == LEARNING else SIGNATURE)
        if found.absent:
            absent[place.name] = found.absent
            continue
        ran[place.name] = found
        row, likeness = _row(path, place, ran, yardstick)
        rows.append(row)
        who = f"{row.file} ({place.name})"
        if row.not_finite and not place.advises:
            count = f"infinities or NaN for {row.not_finite} of {row.images}"
            failures.append(f"{who} must answer every image with numbers. Received: {count}.")
        elif likeness is not None and row.images == len(yardstick.images) and len(ran) > 1 and not place.advises:
            failures += yardstick.failures(likeness, "dynamic" if place.half_of else mode, who=who)
    return Rehearsal(tuple(rows), absent), failures


def _row(path: Path, place: Place, ran: Mapping[str, Ran], yardstick: AnyYardstick) -> tuple[Rehearsed, Any]:
    """What is said of the place that ran last, and what its answers have in common with the network's."""
    found = ran[place.name]
    count = sum(operators(path.read_bytes()).values()) if path.suffix == ".tflite" else 0
    whole = found.taken == count if found.whole is None and found.taken is not None else found.whole
    row = Rehearsed(path.name, place.name, found.device, whole, found.taken, count, found.left, note=found.error)
    if found.answers is None:
        return row, None
    finite = np.flatnonzero(np.isfinite(found.answers).all(1))
    row = replace(row, images=len(found.answers), not_finite=len(found.answers) - len(finite))
    if row.not_finite:
        row = replace(row, note=f"infinities or NaN for {row.not_finite} of {row.images} images")
    own = next(iter(ran.values())).answers
    both = [place for place in finite if own is not None and place < len(own) and np.isfinite(own[place]).all()]
    if own is not None and both:
        answers, expected = found.answers[both], own[both]
        flips = yardstick.flips(answers, expected) if isinstance(yardstick, Yardstick) else None
        row = replace(row, difference=float(np.abs(answers - expected).max()), flips=flips)
    if not len(finite):
        return row, None
    likeness = yardstick.compare(found.answers[finite], finite)
    row = replace(
        row,
        from_network=likeness.difference,
        agreement=likeness.agreement,
        smallest_cosine=likeness.smallest_cosine,
    )
    float_place = ran.get(place.half_of)
    if float_place is not None and float_place.answers is not None:
        count = min(len(float_place.answers), len(found.answers))
        if np.array_equal(float_place.answers[:count], found.answers[:count]):
            row = replace(row, note="bit for bit as in float32: half precision was not computed here")
    return row, likeness
