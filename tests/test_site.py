"""What the site's own scripts write: the reference of the command and of the public names."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PUBLIC = {
    "networks": "keras_inception", "weights": "keras_inception.weights", "photos": "keras_inception.photos",
    "training": "keras_inception.training", "tuning": "keras_inception.training.tuning",
    "tflite": "keras_inception.tflite", "hub": "keras_inception.hub",
}  # fmt: skip
pytest.importorskip("mkdocs")


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / "hooks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def commands() -> dict[str, str]:
    return hook("command").pages()


def test_every_sub_command_has_a_page_in_the_navigation(commands: dict[str, str]):
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = [name for name in re.findall(r"reference/cli/([a-z-]+)\.md", navigation) if name != "index"]
    assert sorted(listed) == sorted(commands)
    overview = (DOCS / "reference" / "cli" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \[?`([a-z-]+)", overview, flags=re.MULTILINE)) == set(commands)


def test_a_page_has_every_option_with_its_default(commands: dict[str, str]):
    page = commands["export"]
    assert '| <code id="--agreement">--agreement</code> `SHARE` | 0.98 |' in page
    assert '| <code id="--onnx">--onnx</code> | off |' in page
    assert "| `MODEL` | required |" in page
    assert '<code id="-o">-o</code>, <code id="--output">--output</code> `FOLDER`' in page
    for name in ("train", "tune"):
        assert '<code id="--epochs">--epochs</code> `INT` | 16 |' in commands[name]
    assert commands["train"].count("--optimizer.learning-rate") == 2  # its anchor, and it
    assert "optimizer.learning-rate" not in commands["tune"]
    assert "[optimizer](train.md#optimizer-options)" in commands["tune"]
    for text in commands.values():
        assert "MISSING" not in text and "(default" not in text


def test_defaults_in_tables_of_guides_are_the_commands(commands: dict[str, str]):
    guides = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    told = re.findall(r"^\| `(--[\w.-]+)` \| `(\d+(?:\.\d+)?)` \|", guides, flags=re.MULTILINE)
    known = re.findall(r'<code id="(--[\w.-]+)">[^|]*\| (\d+(?:\.\d+)?) \|', "".join(commands.values()))
    assert len(told) > 5
    assert {(name, float(value)) for name, value in told} <= {(name, float(value)) for name, value in known}


def test_every_public_name_is_in_the_reference_once():
    reference = hook("reference")
    for page, package in PUBLIC.items():
        named = reference.identifiers((DOCS / "reference" / f"{page}.md").read_text(encoding="utf-8"))
        assert len(named) == len(set(named))
        public = {f"{package}.{name}" for name in importlib.import_module(package).__all__}
        assert public <= set(named)
        assert f"[`{named[0].rpartition('.')[2]}`]({page}.md#{named[0]})" in reference.page()
    assert set(reference.PAGES) == set(PUBLIC)


def test_the_pages_of_the_command_are_made_without_tensorflow(commands: dict[str, str]):
    code = "import sys, command; command.pages(); print('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(DOCS / "hooks")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def test_a_notebook_is_a_page_with_what_it_printed_and_drew(tmp_path: Path):
    nbformat = pytest.importorskip("nbformat")
    notebooks = hook("notebooks")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.ipynb"):
        text, pictures = notebooks.page(path)
        assert text.startswith("# ") and f"notebooks/{path.stem}.md" in navigation
        assert all(f"({name})" in text and len(content) < 150_000 for name, content in pictures.items())
        assert "\x1b" not in text and text.count("```") % 2 == 0

    v4 = nbformat.v4
    table = {"text/html": "<table><tr><td>1</td></tr></table>", "text/plain": "1"}
    lines = {"text/html": "<pre>half</pre>", "text/plain": "\x1b[32mhalf\x1b[0m\n"}
    shown = [v4.new_output("stream", text="one\n"), v4.new_output("display_data", data=lines)]
    drawn = [v4.new_output("display_data", data=data) for data in (table, {"image/svg+xml": "<svg/>"})]
    code = v4.new_code_cell("print(1)", outputs=[*shown, *drawn])
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# Title\n\nWords."), code]), tmp_path / "a.ipynb")
    text, pictures = notebooks.page(tmp_path / "a.ipynb")
    assert "Words.\n\n```python\nprint(1)\n```\n\n```text\none\nhalf\n```\n\n<table>" in text
    assert pictures == {"a-1.svg": b"<svg/>"} and "](a-1.svg)" in text

    large = v4.new_output("display_data", data={"image/svg+xml": "<svg>" + " " * 150_000 + "</svg>"})
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell("x", outputs=[large])]), tmp_path / "b.ipynb")
    with pytest.raises(Exception, match="at most 150000 bytes. Received: b-1.svg"):
        notebooks.page(tmp_path / "b.ipynb")
