"""Writes the first page of the reference when the site is built: all public names, read from the other pages."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).resolve().parents[1] / "reference"
PAGES = ("networks", "weights", "photos", "training", "tuning", "tflite", "hub")  # in the order of use
HEAD = """# Reference

All public names in the order of use; what is not here may change without a word. The options of the
[command](cli/index.md) have a page a sub-command. Words of the field are in the [glossary](../glossary.md).
"""


def on_files(files: Files, config: Any) -> Files:
    """Adds the page to the site."""
    files.append(File.generated(config, "reference/index.md", content=page()))
    return files


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for name in PAGES:
        head, *groups = re.split(r"^## ", (FOLDER / f"{name}.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
        title = head.partition("\n")[0].removeprefix("# ")
        parts.append(f"## {title}\n\n| | [{title}]({name}.md) |\n|---|---|")
        for group in groups:
            heading = group.partition("\n")[0]
            links = [f"[`{path.rpartition('.')[2]}`]({name}.md#{path})" for path in identifiers(group)]
            parts[-1] += f"\n| {heading} | {', '.join(links)} |"
    return "\n\n".join(parts) + "\n"


def identifiers(text: str) -> list[str]:
    """Full names of what a page documents, in order."""
    return re.findall(r"^::: (\S+)", text, flags=re.MULTILINE)
