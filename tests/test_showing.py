"""What notebooks show: results as tables, and progress that moves in its place."""

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

import keras_inception as ki
from keras_inception import showing, tflite
from keras_inception.showing import can_move, html_of, html_table, in_place, tracked
from keras_inception.training.evaluation.result import Calibration, Evaluation
from keras_inception.training.tuning.display import html_of_trials
from keras_inception.training.tuning.outcomes import Goal, Outcome


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table; HTML that is not well-formed, or holds anything but what is ours, fails."""
    root = ET.fromstring(f"<page>{text}</page>")
    kinds = {element.tag for element in root.iter()}
    assert kinds <= {"page", "div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def test_whatever_a_cell_holds_is_text():
    evil = "<script>alert('&')</script>"
    text = html_table([[evil, 1], ["sum", 1]], [evil, "n"], title=evil, notes=[evil], bold=[1])
    assert rows_of(text) == [[evil, "n"], [evil, "1"], ["sum", "1"]]
    assert "<script" not in text and text.count("font-weight:bold") == 2
    assert 'text-align:left">&lt;script' in text and 'text-align:right">1' in text
    assert "color:inherit" in text and "color:#" not in text  # the page's own, light or dark


def test_a_table_for_terminals_becomes_one_of_html():
    table = Table(title="all <of> it")
    table.add_column("name", justify="left")
    table.add_column("share", justify="right")
    table.add_row("[bold]a.tflite[/bold]")
    table.add_row("x < y", "1 %")
    assert rows_of(html_of(table)) == [["name", "share"], ["a.tflite", ""], ["x < y", "1 %"]]


def test_a_table_of_blocks_is_a_list_and_shows_its_sums():
    model = ki.InceptionV1(classes=10, input_shape=(32, 32, 3), alpha=0.25, stem="low_resolution")
    rows = ki.block_table(model)
    assert isinstance(rows, list) and rows == list(rows) and rows[1:] == list(rows)[1:]
    cells = rows_of(rows._repr_html_())
    assert cells[0] == ["block", "output", "weights", "multiply-adds"]
    assert [row[0] for row in cells[1:-2]] == [row.name for row in rows]
    assert cells[-2][:3] == ["kernels", "", f"{sum(row.weights for row in rows):,}"]
    assert cells[-1] == ["all trainable", "", f"{sum(row.parameters for row in rows):,}", ""]


def test_an_evaluation_shows_its_figures_and_weakest_classes():
    classes = {"rose": 0.5, "<b>": 0.25, "iris": 1.0, "none": None}
    found = Evaluation("test", 8, 0.25, 0.75, None, classes, [], [], Calibration(0.125, []))
    assert rows_of(found._repr_html_()) == [
        ["images", "8 (test)"], ["accuracy", "75.00 %"], ["loss", "0.2500"], ["calibration error", "12.50 %"],
        ["misclassified", "0"], ["class <b>", "25.0 %"], ["class rose", "50.0 %"],
    ]  # fmt: skip


def test_a_proof_shows_its_rows_and_what_failed():
    row = tflite.Row("int8", "model_int8.tflite", "", 2_500_000, 0.01, 0.9, 1.0, None, 1.5, 1.0, 2.0, 2)
    proof = tflite.Proof(Path("export"), (row,), ("agreement is <0.98",), 20, tflite.Limits(), {})
    text = proof._repr_html_()
    first = dict(zip(*rows_of(text), strict=True))
    assert (first["file"], first["size"], first["agreement"]) == ("model_int8.tflite", "2.50 MB", "90.00%")
    assert "agreement is &lt;0.98" in text and "20 images" in text


def test_a_search_shows_all_its_trials():
    values = [{"alpha": 0.25}, {"alpha": 0.5}]
    done = Outcome("0", "completed", "", values[0], 0.9, 0.3, 4, parameters=1_000_000, seconds=3.0)
    bad = Outcome("1", "crashed", "it <broke>", values[1])
    cells = rows_of(html_of_trials(Goal(), [done, bad]))
    assert cells[0] == ["trial", "outcome", "accuracy", "weights", "epochs", "time", "values"]
    assert cells[1] == ["0", "best", "90.00 %", "1.00 M", "4", "3.0 s", "alpha=0.25"]
    assert cells[2] == ["1", "crashed", "", "", "", "", "it <broke>  alpha=0.5"]


def test_progress_moves_in_one_output_of_a_notebook(monkeypatch: pytest.MonkeyPatch):
    import IPython.display

    shown: list[str] = []
    outputs: list[object] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(data["text/plain"])
        outputs.append(Handle())
        return outputs[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    console = Console(force_jupyter=True)
    assert can_move(console) and not can_move(Console(file=io.StringIO(), force_jupyter=False))
    with warnings.catch_warnings(), in_place(Progress(console=console, transient=True, auto_refresh=False)) as progress:
        warnings.simplefilter("error")  # rich's own would ask for ipywidgets
        task = progress.add_task("halfway", total=2)
        progress.update(task, advance=1, refresh=True)
    assert len(outputs) == 1
    assert any("halfway" in text and "50%" in text for text in shown)
    assert shown[-1] == ""


def test_a_bar_passes_all_items_on(capsys: pytest.CaptureFixture[str]):
    assert list(tracked([1, 2, 3], "counting")) == [1, 2, 3]
    assert capsys.readouterr().out == ""
    assert showing.in_place(Progress(disable=True)) is not None


def command(*words: str, **environment: str) -> str:
    code = "import sys; from keras_inception.cli import main; sys.exit(main())"
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env={**kept, **environment}
    )
    return done.stdout


def test_a_narrow_terminal_loses_nothing_and_a_pipe_has_no_colours():
    wide, narrow = command("models", COLUMNS="80"), command("models", COLUMNS="40")
    assert "\x1b" not in wide + narrow
    assert len(wide.splitlines()) < 20 < len(narrow.splitlines())
    assert max(len(line) for line in narrow.splitlines()) <= 40
    for entry in map(ki.get_entry, ki.list_models()):
        assert f"{entry.parameters / 1e6:,.2f} M" in narrow and f"{entry.multiply_adds / 1e6:,.0f} M" in wide
        assert entry.name in narrow.splitlines()
    rule = wide.splitlines()[2].strip()
    assert set(wide.split()) - {rule} <= set(narrow.split()) | {"model"}


def test_colours_are_left_out_where_nobody_wants_them():
    coloured = command("models", COLUMNS="40", FORCE_COLOR="1")
    plain = command("models", COLUMNS="40", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)


def test_a_table_that_fits_stays_one():
    table = Table(Column("name", no_wrap=True), Column("value", no_wrap=True), title="all")
    table.add_row("[bold]first[/bold]", "1")
    table.add_row("", "2")
    for width, expected in ((40, False), (12, True)):
        console = Console(file=io.StringIO(), width=width, force_terminal=False)
        showing.print_table(console, table)
        lines = console.file.getvalue().splitlines()
        assert (lines == ["all", "first", "  value  1", "  value  2"]) == expected
