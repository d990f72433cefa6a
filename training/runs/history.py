"""The history of a run, an epoch a row."""

import csv
from pathlib import Path


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads a run's history.csv, one row an epoch; an absent file has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
