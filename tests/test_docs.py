"""The code in the documentation runs, and what the read-me says of networks and commands is so."""

import dataclasses
import re
import runpy
import sys
from pathlib import Path

import pytest

import keras_inception as ki
from keras_inception import training, weights
from keras_inception.apps.golden import tolerance
from keras_inception.training import TrainConfig, load_recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SLOW_PAGES = {"docs/quickstart.md", "docs/training.md"}  # they train a network
SHORTENED = {  # what would take minutes: by fewer steps, smaller networks, or without tracing a large one
    "docs/quickstart.md": {'training.load_recipe("digits")': "cell"},
    "docs/training.md": {'training.load_recipe("digits")': "cell", "> 0.98": "> 0.0"},
    "docs/tuning.md": {
        '"digits",': 'cell, choices={"alpha": [0.5]},',
        "max_trials=10": "max_trials=1",
        "=5": "=1",
    },
    "docs/deploy.md": {"ki.InceptionV1(": 'ki.create_model("inception_cell", modules=1, width=32, '},
    "docs/fine_tuning.md": {
        'metrics=["accuracy"])': 'metrics=["accuracy"], run_eagerly=True)',
        "batch_size=8": "batch_size=24",
    },
    "docs/quantization.md": {"jit_compile=False": "run_eagerly=True"},
}
NEEDED = {"docs/tuning.md": "keras_tuner"}


def python_blocks(page: Path, fence: str = "python") -> list[str]:
    return re.findall(rf"^```{fence}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def pages_with_code() -> list:
    names = [str(page.relative_to(ROOT)) for page in PAGES if python_blocks(page)]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_PAGES else []) for name in names]


# Keras Tuner asks for a thread's name in an old way.
@pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")
@pytest.mark.parametrize("page", pages_with_code())
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    variables: dict[str, object] = {"cell": digits_of_a_cell()}
    if page in NEEDED:
        pytest.importorskip(NEEDED[page])
    blocks = python_blocks(ROOT / page)
    for long, short in SHORTENED.get(page, {}).items():
        assert any(long in block for block in blocks)
        blocks = [block.replace(long, short) for block in blocks]
    for block in blocks:
        exec(compile(block, page, "exec"), variables)


def digits_of_a_cell() -> TrainConfig:
    """The recipe `digits`, of a network of one Inception module."""
    recipe = load_recipe("digits")
    options = {"stem": "low_resolution", "modules": 1, "width": 16}
    model = dataclasses.replace(
        recipe.model, name="inception_cell", alpha=1.0, image_size=12, aux_heads=False, options=options
    )
    return dataclasses.replace(recipe, model=model)


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES if python_blocks(page, "py")])
def test_what_would_download_uses_names_that_exist(page: str):
    """Blocks fenced `py` fetch released weights: they are compiled, and their calls are looked up."""
    for block in python_blocks(ROOT / page, "py"):
        compile(block, page, "exec")
        for owner, name in re.findall(r"\b(ki|weights)\.(\w+)\(", block):
            assert hasattr(ki if owner == "ki" else weights, name)


def test_options_that_are_named_beside_those_of_other_makers_exist():
    text = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")
    nested = re.findall(r"--([a-z]+(?:\.[a-z-]+)+)", text)
    assert len(nested) > 20
    for option in nested:
        value: object = TrainConfig()
        for name in option.replace("-", "_").split("."):
            value = getattr(value, name)


def test_an_example_runs(capsys: pytest.CaptureFixture[str]):
    runpy.run_path(str(ROOT / "examples" / "backbone.py"), run_name="__main__")
    assert "P5: stride 32, shape (2, 4, 4, 1024)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_training_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(training, "load_recipe", lambda _: digits_of_a_cell())  # `nox -s quickstart` trains GoogLeNet
    monkeypatch.setattr(sys, "argv", ["train_and_export.py", str(tmp_path / "run"), "2"])
    runpy.run_path(str(ROOT / "examples" / "train_and_export.py"), run_name="__main__")
    assert "model_int8.tflite" in capsys.readouterr().out


def test_the_readme_lists_every_network():
    rows = ["| network | input | parameters | multiply-adds | top-1 / top-5 | paper |", "|---|--:|--:|--:|--:|---|"]
    for entry in map(ki.get_entry, ki.list_models()):
        accuracies = " / ".join("–" if share is None else f"{share:.1f}" for share in (entry.top1, entry.top5))
        paper = f"[{entry.title}]({entry.url})"
        size = f"{entry.input_size}x{entry.input_size}"
        cells = [f"`{entry.name}`", size, f"{entry.parameters:,}", f"{entry.multiply_adds:,}", f"{accuracies} %", paper]
        rows.append(f"| {' | '.join(cells)} |")
    table = "\n".join(rows)
    assert table in README, f"README.md's table of networks should be:\n{table}"


def test_the_page_of_apps_has_the_tolerances_of_the_kits():
    text = (ROOT / "docs" / "apps.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w, ]+) \| ([\d.]+) \| ([\d.]+) \|$", text, flags=re.MULTILINE)
    told = {mode: (float(cpu), float(gpu)) for modes, cpu, gpu in rows for mode in modes.split(", ")}
    assert set(told) == {"float32", "float16", "dynamic", "int8", "int16x8"}
    for mode, shares in told.items():
        assert shares == tuple(tolerance(mode)[processor]["probability"] for processor in ("cpu", "gpu"))


def test_every_proof_that_is_named_exists():
    """conftest.py sees to it that every proof is named."""
    named = [
        re.findall(r"`(tests/\w[\w/]*\.py|test_\w+)`", row)
        for row in (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8").splitlines()
        if row.startswith("| ")
    ]
    found = 0
    for names in named:
        source = ""
        for name in names:
            if name.endswith(".py"):
                source = (ROOT / name).read_text(encoding="utf-8")
            else:
                assert f"def {name}(" in source
                found += 1
    assert found > 20


def test_every_session_that_is_named_exists():
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(encoding="utf-8")))
    named = {
        name
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / ".ci" / "run"]
        for names in re.findall(r"nox -s ((?:[a-z]+ ?)+)", page.read_text(encoding="utf-8"))
        for name in names.split()
    }
    assert {"quickstart", "tests"} <= named & sessions
