"""The files of figures, from which the pages are made, are whole and are those of what is written today."""

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
