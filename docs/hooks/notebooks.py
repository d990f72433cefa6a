"""Turns the notebooks of examples/ into pages when the site is built, with the outputs that are kept in them."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER = "notebooks"
LARGEST = 150_000  # bytes of a picture
IMAGES = {"image/svg+xml": "svg", "image/png": "png"}


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages, their pictures and the notebooks themselves to the site."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        text, pictures = page(path)
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content=text))
        files.append(File.generated(config, f"{FOLDER}/{path.name}", content=path.read_bytes()))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{FOLDER}/{name}", content=content))
    return files


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The text of a notebook's page, and its pictures by the names of their files."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(_fenced(cell.source, "python"))
            parts += _outputs(cell.outputs, path.stem, pictures)
    told = f"This page is the notebook [{path.name}]({path.name}), with what it printed and drew when it last ran."
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n{told}\n{rest}\n", pictures


def _outputs(outputs: list[Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """What a cell left behind: pictures, tables, and all text that stands together as one block."""
    text = ""
    for output in outputs:
        data = output.get("data", {})
        image = next((kind for kind in IMAGES if kind in data), None)
        table = data.get("text/html", "")
        if image is None and (not table or table.startswith("<pre")):  # rich's own lines; their text is the same
            text += output.get("text") or data.get("text/plain", "")
            continue
        if text:
            yield _fenced(text, "text")
            text = ""
        yield table if image is None else _picture(data, image, stem, pictures)
    if text:
        yield _fenced(text, "text")


def _picture(data: dict[str, str], kind: str, stem: str, pictures: dict[str, bytes]) -> str:
    content = data[kind].encode() if kind.endswith("xml") else base64.b64decode(data[kind])
    name = f"{stem}-{len(pictures) + 1}.{IMAGES[kind]}"
    if len(content) > LARGEST:
        raise PluginError(f"A notebook's picture must be at most {LARGEST} bytes. Received: {name}, {len(content)}")
    pictures[name] = content
    return f"![What the cell above draws]({name})"


def _fenced(text: str, language: str) -> str:
    plain = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).strip("\n").split("\n"))
    return f"```{language}\n{plain}\n```" if plain.strip() else ""
