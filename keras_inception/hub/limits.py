"""Where a model is weak and what its figures do not cover: sentences of a card, each from what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from keras_inception.hub.subject import Subject
from keras_inception.training import Evaluation

FEW = 10
"""Test images of a class below which its figure is little more than chance."""
UNEVEN = 3
"""How many times as many images the largest class has as the smallest where it is worth saying."""
NAMED = 5
Z = 1.96  # of the 95 % interval


def limits(subject: Subject) -> list[str]:
    """Says what a model's figures do not cover and where it is weak."""
    return [*_of_the_classes(subject), *_of_the_test(subject), *_of_the_data(subject), *_of_the_files(subject)]


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was measured on so many images (https://doi.org/10.2307/2276774)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def percent(share: float) -> str:
    """A share as a reader reads it."""
    return f"{100 * share:.1f} %"


def _of_the_classes(subject: Subject) -> Iterator[str]:
    count = len(subject.class_names)
    if subject.several:
        yield f"It knows {count} labels and no other thing; a picture that shows none of them may still get one."
    else:
        yield f"It knows {count} classes and nothing else: whatever it is shown, it answers one of them."


def _of_the_test(subject: Subject) -> Iterator[str]:
    found = subject.evaluation
    if found is None:
        yield from _of_the_proof(subject)
        return
    if found.labels is None and found.images:
        yield _how_sure(found.accuracy, found.images)
    if subject.data:
        apart = "a source of their own" if subject.data.get("test_data") else "the same source as the training images"
        yield f"The test images come from {apart}. Other cameras, light and backgrounds were not tested."
    weak = _weakest(found)
    if weak:
        yield f"It is weakest on {', '.join(f'{name} ({percent(share)})' for name, share in weak)}."
    yield from _of_rare_classes(found, subject)
    yield (
        f"Its probabilities are off by {percent(found.calibration.error)} on average (expected calibration error)"
        + ("" if subject.calibration else "; no temperature was fitted")
        + "."
    )


def _of_the_proof(subject: Subject) -> Iterator[str]:
    """Of a model that was never evaluated: what its proof found on the way, or that nothing is known."""
    rows, images = subject.proof.get("rows") or [{}], subject.proof.get("images")
    accuracy = rows[0].get("accuracy")
    if accuracy is None or not images or subject.several:
        yield "It was not evaluated here: there is no figure of how often it is right."
    else:
        yield f"It was not evaluated on its own. {_how_sure(accuracy, images)}"


def _how_sure(accuracy: float, images: int) -> str:
    low, high = interval(accuracy, images)
    return (
        f"Its accuracy was measured on {images:,} images: pictures like those give between {percent(low)} and "
        f"{percent(high)} (95 % interval)."
    )


def _weakest(found: Evaluation) -> list[tuple[str, float]]:
    """The three classes that are recognised least, below the average."""
    known = [(name, share) for name, share in found.per_class.items() if share is not None]
    mean = sum(share for _, share in known) / len(known) if known else 0
    return sorted([(name, share) for name, share in known if share < mean], key=lambda row: row[1])[:3]


def _of_rare_classes(found: Evaluation, subject: Subject) -> Iterator[str]:
    if found.labels is not None:
        counts = {name: figures.images for name, figures in found.labels.by_class.items()}
    else:
        counts = {name: sum(row) for name, row in zip(subject.class_names, found.confusion, strict=False)}
    rare = [name for name, count in counts.items() if count < FEW]
    if rare:
        yield (
            f"Of {_several(rare)} there were fewer than {FEW} test images: figures of {_them(rare)} are little more "
            "than chance."
        )


def _of_the_data(subject: Subject) -> Iterator[str]:
    counts: Mapping[str, Any] = subject.data.get("splits", {}).get("train", {}).get("per_class", {})
    if counts and min(counts.values()) * UNEVEN <= max(counts.values()):
        least, most = (pick(counts, key=lambda name: counts[name]) for pick in (min, max))
        yield (
            f"Its training images are uneven: {counts[most]:,} of {most}, {counts[least]:,} of {least}. What is "
            "rare there is found less."
        )
    if subject.origin and subject.origin.needs_acceptance:
        yield f"The weights that it began with are under {subject.origin.licence}, which forbids commercial use."


def _of_the_files(subject: Subject) -> Iterator[str]:
    if subject.export and not subject.proof:
        yield "Its exported files were not held against the network on pictures."
    for sentence in subject.proof.get("failures", ()):
        yield f"A limit was passed: {sentence}"


def _several(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} other{'s' if more > 1 else ''}" if more > 0 else "")


def _them(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
