"""Images in files: those of folders and of CSV files, one of them or several joined by commas."""

from collections.abc import Sequence
from dataclasses import replace

from ..config import TrainConfig
from ..config.rules import joined_sources
from .folders import list_folder
from .images import Parts
from .listing import Listing, open_listings
from .tables import list_table, refuse_missing


def list_files(specification: str) -> list[Listing]:
    """Lists what `folder:PATH`, `csv:FILE`, or several of them joined by commas, name."""
    pairs = [piece.partition(":")[::2] for piece in joined_sources(specification)]
    listings = [list_folder(place) if kind == "folder" else list_table(place) for kind, place in pairs]
    return listings if len(listings) == 1 else list(map(_placed, listings))


def open_files(specification: str, config: TrainConfig, known_bad: Sequence[str] | None, to_train: bool) -> Parts:
    """Opens images in files; those that cannot be decoded are left out and named.

    Args:
        specification: where they are listed.
        config: the run's configuration.
        known_bad: paths that an earlier check found undecodable; the check is not repeated then.
        to_train: whether classes must be what can be trained on: two at least, and none of them empty.
    """
    listings = list_files(specification)
    for listing in listings:
        refuse_missing(listing, known_bad or ())
    return open_listings(listings, config, known_bad, to_train)


def _placed(listing: Listing) -> Listing:
    """One of several listings, whose rows say which one they are of."""

    def where(told: str) -> str:
        return f"{told} of {listing.place}" if told else listing.place

    return replace(listing, rows=[replace(row, where=where(row.where)) for row in listing.rows])
