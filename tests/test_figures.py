"""The files of figures, from which the pages are made, are whole and are those of what is written today.

No page has a figure of its own. Tables of measurements come from docs/figures/NAME.csv, figures in sentences from
prose.csv, and origins.csv has the command, the machine and the day of each; what defines and was never measured is code
in backticks, or stands in definitions.csv with the reason.
"""

import csv
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

import keras_inception as ki

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
UNIT = r"(?:%|percent|points?|times|[x×]|[nµm]?s|min|seconds?|minutes?|hours?|[kKMG]B|images(?:/s|\ a\ second))(?!\w)"
FIGURE = re.compile(
    rf"""(?<![\w.,/])(?:
        {NUMBER}\ ?{UNIT}                             # 3 %, 12 ms
        | {NUMBER}\ of\ (?:the\ )?{NUMBER}(?![\w.])   # 315 of the 400
        | \d[\d,]*\.\d+(?!\.?\w)                     # 0.98
        | \d+(?:\.\d+)?e[-+]?\d+                     # 2e-6
        | (?<=\|\ ){NUMBER}(?=\ \|)                  # a whole cell of a table
    )""",
    flags=re.VERBOSE,
)
VERSION = re.compile(
    r"(?:Python|Keras|TensorFlow|PyTorch|LiteRT|litert|timm|Apache|BY-NC|below)[ -]\d+(?:\.\d+)+(?: to \d+(?:\.\d+)+)?"
)
TABLE = re.compile(r"^(?: *\|.*\n)+", flags=re.MULTILINE)
HELD_TABLES = {  # pages, and the tests that compute their tables
    "README.md": "test_the_readme_lists_every_network",
    "docs/apps.md": "test_the_page_of_apps_has_the_tolerances_of_the_kits",
    "docs/ideas.md": "test_every_number_is_that_of_a_real_network",
    "docs/recipes.md": "test_the_documented_table_is_that_of_the_configurations",
    "docs/weights.md": "test_the_documentation_lists_the_catalogue",
}
MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
MEASURED = ("size_mb", "latency_1_ms", "latency_2_ms", "load_ms", "memory_mb")
SLOW = ("inception_v1", "mobilenet_v2")
WRITTEN_NOW = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else pytest.mark.proof) for name in ki.list_models()
]


def figures(name: str) -> list[dict[str, str]]:
    with (DOCS / "figures" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_network_is_measured_in_every_mode():
    ours = [row for row in figures("networks") if row["who"] == "keras-inception"]
    assert [(row["network"], row["mode"]) for row in sorted(ours, key=place)] == [
        (name, mode) for name in ki.list_models() for mode in MODES
    ]
    assert all(float(row[column]) > 0 for row in ours for column in MEASURED)
    assert all(row["operators"] and row["machine"] and row["versions"] for row in ours)


def place(row: dict[str, str]) -> tuple[int, int]:
    return ki.list_models().index(row["network"]), MODES.index(row["mode"])


def test_others_are_measured_or_what_they_say_is_kept():
    others = [row for row in figures("networks") if row["who"] != "keras-inception"]
    assert {row["who"] for row in others} == {"keras.applications", "onnxruntime", "openvino"}
    for row in others:
        assert row["operators"].startswith("does not run: ") or all(float(row[column]) > 0 for column in MEASURED)


@pytest.mark.parametrize("name", WRITTEN_NOW)
def test_the_measured_files_are_those_that_are_written_now(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sizes and operators of new files; latencies are of these as long as they are."""
    import numpy as np

    import keras_inception.tflite as kt

    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # which the benchmark sets
    operators_of = load(ROOT / "benchmarks" / "all_networks.py").operators_of
    take_statistics = load(ROOT / "benchmarks" / "peers.py").take_statistics
    rows = {
        row["mode"]: row for row in figures("networks") if (row["network"], row["who"]) == (name, "keras-inception")
    }
    size = ki.get_entry(name).input_size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("uint8")
    model = ki.create_model(name, include_preprocessing=True)
    take_statistics(model, image)  # biases that are all zero would be stored once
    modes = ("float32", "dynamic", "int8")
    export = kt.export(model, tmp_path / "out", modes=modes, saved_model=False, calibration=image, rounding="nearest")
    for mode in modes:
        assert operators_of(export.files[mode]) == rows[mode]["operators"]
        assert export.files[mode].stat().st_size / 1e6 == pytest.approx(float(rows[mode]["size_mb"]), rel=0.01)


def test_every_network_has_words_and_modules_to_draw():
    words = tomllib.loads((DOCS / "hooks" / "networks.toml").read_text(encoding="utf-8"))
    assert list(words) == ki.list_models()
    for name, told in words.items():
        assert told["module"]  # the site's build draws them
        assert str(told["year"]) in ki.get_entry(name).title
        assert len(re.findall(r"\.(?:\s|$)", told["words"])) >= 3


def test_the_pictures_of_the_front_page_are_drawn_from_the_figures():
    overview = load(DOCS / "overview.py")
    fit = json.loads((DOCS / "figures" / "fit.json").read_text(encoding="utf-8"))
    assert overview.badges() == (DOCS / "pictures" / "badges.svg").read_text(encoding="utf-8")
    assert overview.drawn(fit) == (DOCS / "pictures" / "overview-light.svg").read_text(encoding="utf-8")


def test_tables_of_figures_are_those_of_their_files():
    tables = load(DOCS / "tables.py")
    pages = [path for path in sorted(DOCS.rglob("*.md")) if tables.MARKER.search(path.read_text(encoding="utf-8"))]
    assert DOCS / "performance.md" in pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert tables.renewed(text) == text, f"{page}: python docs/tables.py writes its tables anew"


def test_pictures_are_small():
    pictures = [path for path in DOCS.rglob("*") if path.suffix in {".svg", ".png", ".jpg", ".gif", ".webp"}]
    assert pictures
    assert all(path.suffix == ".svg" or path.stat().st_size < 150_000 for path in pictures)


def sentences(page: Path) -> str:
    """A page without what is code, a link's target, a version, or a table that a file or another test holds."""
    text = load(DOCS / "tables.py").MARKER.sub("", page.read_text(encoding="utf-8"))
    if str(page.relative_to(ROOT)) in HELD_TABLES:
        text = TABLE.sub("", text)
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *```(\w*).*?\n(.*?)^ *```", transcript, text, flags=re.MULTILINE | re.DOTALL)
    for code in (r"`[^`\n]+`", r"\]\([^)]*\)", r"<[^>\n]+>"):
        text = re.sub(code, "", text)
    return VERSION.sub("", " ".join(text.split()))


def transcript(fence: re.Match[str]) -> str:
    """Of a block of code, what a program printed."""
    return fence[2] if fence[1] in {"text", "console"} else ""


def without(text: str, rows: list[dict[str, str]], page: str) -> str:
    """The text without a page's listed figures, each of which must be there."""
    for row in rows:
        if row["page"] == page:
            listed = re.compile(rf"(?<![\w.,]){re.escape(row['figure'])}(?![\d%])")
            assert listed.search(text), f"{page} has no longer {row['figure']!r}: its row goes too"
            text = listed.sub("", text)
    return text


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_every_figure_of_a_page_has_its_origin_or_is_a_definition(page: str):
    text = sentences(ROOT / page)
    for listed in ("prose", "definitions"):
        text = without(text, figures(listed), page)
    found = [text[max(match.start() - 40, 0) : match.end() + 20] for match in FIGURE.finditer(text)]
    assert not found, f"{page} has figures that no file holds (CONTRIBUTING.md, Add a figure): {found}"


def test_every_measurement_has_a_command_a_machine_and_a_day():
    origins = {row["name"]: row for row in figures("origins")}
    tables = load(DOCS / "tables.py")
    used = {name for page in PAGES for name in tables.MARKER.findall(page.read_text(encoding="utf-8"))}
    used |= {row["origin"] for row in figures("prose")}
    assert used == set(origins)
    for row in origins.values():
        assert row["command"].startswith(("python ", "keras-inception ", "nox -s ")) and row["machine"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["on"])
        for script in re.findall(r"\b(?:benchmarks|docs|examples)/\w[\w/]*\.py", row["command"]):
            assert (ROOT / script).is_file(), script


def test_tables_that_other_tests_hold_have_those_tests():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert all(f"def {name}(" in sources for name in HELD_TABLES.values())
