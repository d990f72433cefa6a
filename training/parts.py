"""What a source of images holds before anything is split off."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras_inception.training.images import AnyImages


@dataclass(frozen=True)
class BadFile:
    """A file that calls itself an image and cannot be decoded."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Parts:
    """What a source holds: missing parts are None."""

    train: AnyImages
    validation: AnyImages | None
    test: AnyImages | None
    class_names: list[str]
    bad_files: list[BadFile]


def some(names: Sequence[str], limit: int = 5) -> str:
    """Names the first of some things, and says how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
