"""Every trunk's linear head on the same pictures; what another trunk plainly beats is given up early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_inception.photos.choosing import Candidate
from keras_inception.photos.features import compute
from keras_inception.photos.heads import LinearHead, clearly_better, fit_head
from keras_inception.photos.keeping import FeatureFolder, Segment
from keras_inception.photos.telling import Teller
from keras_inception.photos.trunks import Trunk
from keras_inception.training.config import TrainConfig
from keras_inception.training.data.sources import Splits

AUDITION = 10
"""Pictures a class after which a trunk may be given up."""
_AUDITION_LEAST, _AUDITION_MOST = 200, 400


def compare(
    folder: Path,
    splits: Splits,
    identity: str,
    trunks: Sequence[Trunk],
    config: TrainConfig,
    pictures: int,
    tell: Teller,
) -> list[Candidate]:
    """Computes the features that are lacking, and the accuracy of a linear head on each trunk's.

    The first pictures are an audition: a trunk that some other one of fewer multiply-adds plainly beats on them sees
    no more.

    Args:
        folder: Where the features are kept.
        splits: The data; the head learns from training and validation pictures, and is held against the test's.
        identity: What tells these pictures from others.
        trunks: The trunks.
        config: How pictures are prepared.
        pictures: At most so many training and validation pictures are used, and test pictures likewise.
        tell: Where progress is shown.
    """
    audition, rest, test = _segments(splits, pictures)
    learning, rows = [audition, *rest], test.end
    kept = FeatureFolder(folder, f"{identity}-{rows}-{audition.end}", rows)
    with tell.progress("looking at photographs", rows, already=min(map(kept.done, trunks))) as progress:
        compute(kept, audition, trunks, config, progress.advance)
        labels = np.concatenate([segment.images.labels for segment in learning])
        classes = len(splits.class_names)
        first = {trunk: fit_head(kept.read(trunk)[: audition.end], labels[: audition.end], classes) for trunk in trunks}
        reasons = _given_up(first)
        going_on = [trunk for trunk in trunks if trunk not in reasons]
        for segment in [*rest, test]:
            compute(kept, segment, going_on, config, progress.advance)
    candidates = []
    for trunk in trunks:
        if trunk in reasons:
            candidates.append(Candidate(trunk, first[trunk].accuracy, audition.end, reason=reasons[trunk]))
            continue
        features = kept.read(trunk)
        head = fit_head(features[: len(labels)], labels, classes)
        held_out = float((head.predict(features[test.begin :]) == test.images.labels).mean())
        candidates.append(Candidate(trunk, head.accuracy, len(labels), held_out))
    return candidates


def _segments(splits: Splits, pictures: int) -> tuple[Segment, list[Segment], Segment]:
    """The pictures in the order in which they are read: audition, the others to learn from, test."""
    train, classes = splits.train, len(splits.class_names)
    most = max(pictures * 4 // 5, pictures - len(splits.validation.labels))
    order = _in_equal_shares(train.labels, classes)[:most]
    count = min(len(order), int(np.clip(AUDITION * classes, _AUDITION_LEAST, _AUDITION_MOST)))
    audition = Segment(0, train.subset(np.sort(order[:count])))
    learning: list[Segment] = []
    others = [train.subset(np.sort(order[count:]))] if count < len(order) else []
    validation = splits.validation
    shares = _in_equal_shares(validation.labels, classes)[: pictures - most]
    for images in [*others, validation.subset(np.sort(shares))]:
        learning.append(Segment((learning[-1] if learning else audition).end, images))
    shares = _in_equal_shares(splits.test.labels, classes)[:pictures]
    return audition, learning, Segment(learning[-1].end, splits.test.subset(np.sort(shares)))


def _in_equal_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """All indices in a seeded order whose beginnings hold as many of each class as there are, or nearly."""
    chance = np.random.default_rng(0)
    place = np.empty(len(labels))
    for label in range(classes):
        own = np.flatnonzero(labels == label)
        place[own] = chance.permutation(len(own)) + chance.random()
    return np.argsort(place, kind="stable")


def _given_up(heads: dict[Trunk, LinearHead]) -> dict[Trunk, str]:
    """Why trunks are given up, by trunk: a cheaper one is plainly better on the same pictures."""
    reasons = {}
    for trunk, head in heads.items():
        cheaper = [
            t for t in heads if t.multiply_adds <= trunk.multiply_adds and clearly_better(heads[t].hits, head.hits)
        ]
        if cheaper:
            best = max(cheaper, key=lambda other: heads[other].accuracy)
            reasons[trunk] = f"{best.name} is cheaper and reaches {heads[best].accuracy:.1%} on the same pictures"
    return reasons
