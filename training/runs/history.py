"""The history of a run, an epoch a row."""

import csv
import io
from pathlib import Path

from ..files import read_text


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads a run's history.csv, one row an epoch; an absent file has no rows.

    Raises:
        ValueError: where a row is not a number for each name.
    """
    if not path.is_file():
        return []
    try:
        names, *rows = list(csv.reader(io.StringIO(read_text(path)), strict=True)) or [[]]
        return [{name: float(value) for name, value in zip(names, row, strict=True)} for row in rows if row]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path.name} must hold a number for each name in every row. Received: {path}") from error
