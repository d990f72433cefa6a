"""Writes the tables of the pages anew from docs/figures: `python docs/tables.py`.

A line `<!-- figures: NAME -->` stands above a table; the table is that of figures/NAME.csv, numbers to the right.
"""

import csv
import re
from pathlib import Path

HERE = Path(__file__).parent
MARKER = re.compile(r"^<!-- figures: (\w+) -->\n\n(?:\|.*\n)*\n*", flags=re.MULTILINE)


def renewed(text: str) -> str:
    """A page with its tables as the files of figures are now."""
    page = MARKER.sub(lambda found: f"<!-- figures: {found[1]} -->\n\n{table(found[1])}\n", text)
    return page.rstrip("\n") + "\n"


def table(name: str) -> str:
    """The rows of figures/NAME.csv as a table of Markdown."""
    with (HERE / "figures" / f"{name}.csv").open(encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    numbers = [all(re.match(r"[-–+\d]|$", row[column]) for row in rows) for column in range(len(head))]
    rule = ["--:" if number else "---" for number in numbers]
    shown = [" | ".join(head), None, *(" | ".join(row) for row in rows)]
    return "".join(f"|{'|'.join(rule)}|\n" if line is None else f"| {line} |\n" for line in shown)


if __name__ == "__main__":
    for page in HERE.rglob("*.md"):
        old = page.read_text(encoding="utf-8")
        if (new := renewed(old)) != old:
            page.write_text(new, encoding="utf-8")
            print(page)
