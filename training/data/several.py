"""Several labels an image: how tables write them, and what is counted and split by labels of either kind.

Where each image has one label, `labels` are class indices, int64 [n]. Where an image may have several, or none, they
are zeros and ones, float32 [n, classes].
"""

import re

import numpy as np

BAR = "|"
_OTHER_SEPARATORS = re.compile(r"[,;\[]")


def names_in(cell: str) -> list[str]:
    """The labels that a cell names; an empty cell names none."""
    return [name.strip() for name in cell.split(BAR)] if cell.strip() else []


def otherwise_parted(cells: list[str]) -> list[int]:
    """Which cells seem to part labels by something else than bars.

    Where no bar is used at all, those with a comma, a semicolon or a bracket; else those whose pieces are all labels
    themselves.
    """
    names = {name for cell in cells for name in names_in(cell)}
    barred = any(BAR in cell for cell in cells)

    def at_fault(name: str) -> bool:
        pieces = [piece.strip() for piece in re.split("[,;/]", name) if piece.strip()]
        known = len(pieces) > 1 and all(piece in names for piece in pieces)
        return known or (not barred and _OTHER_SEPARATORS.search(name) is not None)

    return [i for i, cell in enumerate(cells) if any(map(at_fault, names_in(cell)))]


def as_targets(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class indices [n] as zeros and ones, float32 [n, classes]."""
    return np.eye(classes, dtype=np.float32)[labels]


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """How many images have each label, int64 [classes]."""
    return labels.sum(axis=0).astype(np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def even_part(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Chooses about `count` images that have each label as often, for their number, as the others: bool [n].

    Iterative stratification (Sechidis et al., 2011, https://doi.org/10.1007/978-3-642-23808-6_10): the label with the
    fewest images left goes first, and each of its images to the side that lacks it most. Every label that two images
    have is wanted on both sides, which a label that always comes with others may miss.

    Args:
        labels: zeros and ones [n, classes].
        count: how many images.
        seed: of the order in which images are taken.
    """
    totals = labels.sum(axis=0)
    wanted = np.clip(totals * count / len(labels), np.minimum(1, totals), np.maximum(totals - 1, 0))
    lacks = np.stack([totals - wanted, wanted])  # [side, classes]
    room = np.array([len(labels) - count, count])
    order = np.random.default_rng(seed).permutation(len(labels))
    side = np.full(len(labels), -1)

    def place(image: int, here: int) -> None:
        side[image] = here
        lacks[here] -= labels[image]
        room[here] -= 1

    while (left := labels[side < 0].sum(axis=0)).any():
        rarest = int(np.where(left > 0, left, np.inf).argmin())
        for image in order[(side[order] < 0) & (labels[order, rarest] > 0)]:
            rest, part = lacks[:, rarest]
            place(image, int(part > rest or (part == rest and room[1] > room[0])))
    for image in order[side[order] < 0]:
        place(image, int(room[1] > 0))
    chosen: np.ndarray = side == 1
    return chosen
