"""What a search shows: the report's page, its figures' places, the live table and the plain lines."""

import dataclasses
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from keras_inception.training.config import TrainConfig
from keras_inception.training.tuning import figures
from keras_inception.training.tuning.display import Display, Running
from keras_inception.training.tuning.outcomes import Goal, Outcome, differing, duration, pairs, searched, text
from keras_inception.training.tuning.report import write_report
from keras_inception.training.tuning.settings import SearchConfig, SearchPlan

VOID = {"meta", "br", "link", "img", "use", "input"}


class Page(HTMLParser):
    """What a report holds: elements, text by section heading, tables as rows of cells; unbalanced elements fail."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open or "svg" in self.open:
            return
        self.words.append(data)
        if self.open and ("td" in self.open or "th" in self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def plan(**search: object) -> SearchPlan:
    return SearchPlan(SearchConfig(**search), TrainConfig(recipe="digits"))


def completed(trial: str, accuracy: float, cost: float, **values: object) -> Outcome:
    """A trial that took cost × 10 seconds for cost million weights."""
    return Outcome(
        trial, "completed", values=values, accuracy=accuracy, loss=1 - accuracy, epochs=4,
        parameters=int(cost * 1e6), multiply_adds=int(cost * 2e7), seconds=10 * cost,
    )  # fmt: skip


def history(accuracy: float) -> list[dict[str, float]]:
    return [{"epoch": n, "val_predictions_accuracy": accuracy * n / 4, "learning_rate": 0.1} for n in range(1, 5)]


FIRST = {"alpha": 0.5, "learning_rate": 0.001, "stem": "imagenet", "fixed": 7, "tuner/epochs": 3}
TRIALS = [
    completed("0000", 0.90, 1.0, **FIRST),
    completed("0001", 0.95, 2.0, alpha=0.75, learning_rate=0.3, stem="low_resolution", fixed=7, momentum=0.9),
    completed("0002", 0.93, 3.0, alpha=0.75, learning_rate=0.03, stem="imagenet", fixed=7),
    completed("0003", 0.99, 6.0, alpha=1.0, learning_rate=0.1, stem="imagenet", fixed=7),
    Outcome("0004", "rejected", "parameters must be at most 5.00 M. Received: 9.00 M", FIRST, parameters=9_000_000),
    Outcome("0005", "out_of_memory", "ExhaustedError: <script>alert('&')</script>\nsecond line", FIRST, seconds=3.0),
    Outcome("0006", "diverged", "The loss must stay finite. Received: nan in [epoch 1]", FIRST, seconds=2.0),
    Outcome("0007", "killed", "The trial was ended by SIGKILL", FIRST),
    Outcome("0008", "crashed", "ValueError: no", FIRST),
]
LIMITED = plan(search=("alpha", "learning_rate=0.001,0.3"), limits={"parameters": 5_000_000}, max_trials=9)
HISTORIES = {o.trial: history(o.accuracy) for o in TRIALS if o.accuracy}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches") / "my search"
    folder.mkdir()
    path = write_report(folder, LIMITED, TRIALS, HISTORIES)
    assert path == folder / "report.html"
    assert [entry.name for entry in folder.iterdir()] == ["report.html"]
    return Page(path)


def test_the_report_needs_nothing_from_elsewhere(page):
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "link", "img", "iframe"} & page.counts.keys()
    assert not re.search(r"@import|url\((?!#)", page.source)


def test_the_report_leads_with_what_was_searched_and_what_came_of_it(page):
    assert (
        "A search over alpha, learning_rate, starting from recipe digits on digits, for the highest accuracy"
        " (parameters at most 5.00 M), by KerasTuner's random tuner in 9 trials."
    ) in page.text
    for words in ("95.00 % best accuracy", "4 trials completed, 1 beyond a limit", "1 rejected untrained"):
        assert words in page.text
    assert "4 failed: 1 out of memory, 1 diverged, 1 killed, 1 crashed" in page.text
    assert "2:05 min of work" in page.text


def test_the_report_gives_the_best_trial_and_the_commands_that_train_it(page):
    assert "The best trial: 0001" in page.text
    commands = re.findall(r"keras-inception (?:tune|train) .*?'/[^']*'", page.text)
    assert [re.sub(r"'.*/my search", "'my search", command) for command in commands] == [
        "keras-inception tune --best 'my search'",
        "keras-inception train --recipe 'my search/best.json'",
    ]


def test_the_report_lists_the_front(page):
    front = next(
        table for table in page.tables if table[0] == ["trial", "accuracy", "parameters", "multiply-adds", "values"]
    )
    assert [row[:3] for row in front[1:]] == [
        ["0003", "99.00 %", "6.00 M"],
        ["0001", "95.00 %", "2.00 M"],
        ["0000", "90.00 %", "1.00 M"],
    ]
    assert [row[-1].split()[0] for row in front[1:]] == ["beyond", "alpha=0.75", "alpha=0.5"]
    assert "fixed" not in front[1][-1]


def test_the_report_lists_every_trial_with_its_outcome_and_reason(page):
    table = page.tables[-1]
    assert table[0][:2] == ["trial", "outcome"]
    assert table[0][-4:] == ["alpha", "learning_rate", "stem", "momentum"]
    assert "The same in all trials: fixed 7." in page.text
    rows = {row[0]: row for row in table[1:] if row[0]}
    assert {trial: row[1] for trial, row in rows.items()} == {
        "0000": "completed", "0001": "completed", "0002": "completed", "0003": "beyond a limit", "0004": "rejected",
        "0005": "out of memory", "0006": "diverged", "0007": "killed", "0008": "crashed",
    }  # fmt: skip
    assert table[1][0] == "0001"  # the best one first
    for outcome in TRIALS[4:]:
        assert " ".join(outcome.reason.split()) in page.text  # text, not elements: the page is not what a reason says
    assert "parameters must be at most 5.00 M. Received: 6.00 M" in page.text


def test_the_report_draws_values_fronts_and_curves(page):
    assert page.counts["svg"] == 2 + 2 + 1  # both fronts, what trials came to and curves; one strip of coordinates
    assert page.source.count("<details") == 1
    assert "my search" in page.source


@pytest.mark.parametrize(
    ("outcomes", "search", "words"),
    [
        ([], {}, "No trial was completed yet."),
        (TRIALS[4:], {"tuner": "grid"}, "No trial was completed yet."),
        (TRIALS[:1], {}, "The best trial: 0000"),
        (TRIALS[:1], {"objective": "loss"}, "0.1000 best loss"),
        (TRIALS[:4], {"limits": {"accuracy": 0.999}}, "Trial 0003 comes nearest: accuracy must be at least 99.90 %."),
        (TRIALS, {"weights": {"parameters": 0.01}}, "each million parameters takes 1 % off"),
        (TRIALS, {"objective": "multiply_adds", "limits": {"accuracy": 0.92}}, "40.00 M best multiply-adds"),
    ],
    ids=["empty", "none completed", "one", "one by loss", "all beyond", "weights", "multiply-adds"],
)
def test_the_report_of_any_search_is_whole(tmp_path, outcomes, search, words):
    page = Page(write_report(tmp_path, plan(**search), outcomes, {}))
    assert words in page.text
    for outcome in outcomes:
        assert f'id="trial-{outcome.trial}"' in page.source


def test_the_report_of_a_hundred_trials_with_conditional_and_long_values(tmp_path):
    random = np.random.default_rng(0)
    outcomes, histories = [], {}
    for n in range(100):
        values: dict[str, object] = {"tuner/epochs": int(n % 3), "tuner/trial_id": "0001", "$\\odd_{name": n % 2 == 0}
        values |= {f"branch_{i}_width_of_a_module": int(2 ** random.integers(2, 7)) for i in range(12)}
        values |= {"choice": f"a rather long name of choice number {n % 40}", "none": None if n % 2 else 0.5}
        if n % 3:
            values["learning_rate"] = float(10 ** random.uniform(-5, 0))
        accuracy = 0.1 if n % 33 == 5 else float(random.uniform(0.9, 0.99))
        outcomes.append(completed(f"{n:04d}", accuracy, float(random.uniform(0.1, 9)), **values))
        histories[f"{n:04d}"] = history(accuracy) if n % 10 else []
    page = Page(write_report(tmp_path, plan(tuner="hyperband"), outcomes, histories))
    assert "tuner/" not in page.source
    assert "learning_rate=–" not in page.text  # what a trial does not have is left out
    assert len(page.tables[-1]) == 101
    assert page.tables[-1][0][-1] == "values"  # too many for columns of their own
    assert "a rather long name of choice number 39" in page.text


def test_numbers_that_span_a_decade_lie_by_their_logarithm():
    axis = figures._axis("rate", [0.001, 0.01, 0.1, 1.0], [True] * 4, np.linspace(0, 1, 4))
    np.testing.assert_allclose(axis.heights, [0, 1 / 3, 2 / 3, 1])
    assert axis.labels == [(pytest.approx(n / 3), label) for n, label in enumerate(("0.001", "0.01", "0.1", "1"))]
    even = figures._axis("alpha", [0.5, 0.75, 1.0], [True] * 3, np.linspace(0, 1, 3))
    np.testing.assert_allclose(even.heights, [0, 0.5, 1])


def test_many_numbers_are_labelled_by_round_ones_in_their_range():
    values = list(np.geomspace(0.0013, 0.27, 30))
    axis = figures._axis("rate", values, [True] * 30, np.linspace(0, 1, 30))
    assert [label for _, label in axis.labels] == ["0.003", "0.01", "0.03", "0.1"]
    for height, label in axis.labels:
        assert height == pytest.approx(math.log(float(label) / 0.0013) / math.log(0.27 / 0.0013))


def test_names_lie_in_the_order_of_what_their_trials_came_to_and_absent_values_below():
    ranks = np.linspace(0, 1, 5)
    axis = figures._axis("stem", ["b", "a", "b", "a", None], [True, True, True, True, False], ranks)
    assert [label for _, label in axis.labels] == ["b", "a", "not used"]
    assert axis.heights[0] < axis.heights[2] < 0.5 < axis.heights[1] < axis.heights[3]
    assert axis.heights[4] < 0


def test_the_front_is_drawn_as_a_step_through_its_trials(monkeypatch):
    """Read off the axes that the drawing is made of."""
    drawn = []
    monkeypatch.setattr(figures, "svg", lambda figure: drawn.append(figure) or "")
    figures.front(TRIALS, "parameters", LIMITED.search.goal, TRIALS[1])
    (axes,) = drawn[0].axes
    (step,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert step.get_xdata()[1:-1] == pytest.approx([1, 2, 6])
    assert step.get_ydata()[1:-1] == pytest.approx([90, 95, 99])
    points = {line.get_xdata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    assert {x: line.get_markerfacecolor() for x, line in points.items()} == {
        1.0: figures.TRIAL, 2.0: figures.BEST, 3.0: figures.TRIAL, 6.0: "white",
    }  # fmt: skip
    (limit,) = [line for line in axes.lines if line.get_xdata()[0] == line.get_xdata()[-1] == 5]
    assert limit.get_linestyle() == "--"
    assert {label.get_text() for label in axes.texts} == {"0000", "0001", "0003", "at most 5.00 M"}


def test_words():
    assert [duration(s) for s in (0.04, 59.94, 59.96, 250, 3599.4, 3599.6)] == [
        "0.0 s", "59.9 s", "1:00 min", "4:10 min", "59:59 min", "1:00:00 h",
    ]  # fmt: skip
    assert [text(value) for value in (True, None, 0.1, 1e-5, 7, "x")] == ["yes", "none", "0.1", "1e-05", "7", "x"]
    assert searched({"alpha": 1, "tuner/epochs": 3}) == {"alpha": 1}
    assert differing([{"a": 1, "b": 2, "tuner/bracket": 1}, {"a": 1, "b": 3, "tuner/bracket": 2}]) == ["b"]
    assert differing([{"a": 1}, {"a": 1, "b": 2}]) == ["b"]
    assert pairs({"alpha": 0.5, "flip": True}) == "alpha=0.5 flip=yes"


def console(terminal: bool, width: int = 100, height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=height, color_system=None)


def last_table(shown: Console) -> list[str]:
    """Lines of the last table that a terminal was given, without what moves its cursor."""
    written = shown.file.getvalue().replace("\r", "")
    start = re.split(r"\x1b\[\d+A", written)[-1]
    return re.sub(r"\x1b\[[\d?]*[a-zA-Z]", "", start).rstrip().splitlines()


def test_elsewhere_than_on_a_terminal_each_trial_is_one_line_when_it_ends():
    shown = console(terminal=False)
    running = Running("0002", TRIALS[2].values, 1, 4, 0.5, 3.0)
    with Display(shown, LIMITED, 9) as display:
        display.update([], [running])
        display.update(TRIALS[:1], [running])
        display.update(TRIALS[:2], [running])
        display.update(TRIALS, [])
        display.update(TRIALS, [])
    lines = shown.file.getvalue().splitlines()
    assert lines[0] == (
        "trial 0000  completed  90.00 %  1.00 M weights  20.00 M multiply-adds  10.0 s  best  "
        "alpha=0.5 learning_rate=0.001 stem=imagenet fixed=7"
    )
    assert [line.split()[1] for line in lines] == [outcome.trial for outcome in TRIALS]
    assert ["  best  " in line for line in lines] == [True, True, *[False] * 7]
    assert lines[3].startswith("trial 0003  beyond a limit  99.00 %")
    assert (
        lines[4]
        == "trial 0004  rejected  9.00 M weights  "
        + pairs(searched(FIRST))
        + "  parameters must be at most 5.00 M. Received: 9.00 M"
    )
    assert lines[5].startswith("trial 0005  out of memory  3.0 s  alpha=0.5 ")
    assert lines[5].endswith("  ExhaustedError: <script>alert('&')</script> second line")
    assert lines[6].endswith("in [epoch 1]")


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 12), (200, 60)])
def test_on_a_terminal_a_table_shows_the_latest_trials_and_the_best(width, height):
    shown = console(terminal=True, width=width, height=height)
    many = [dataclasses.replace(TRIALS[0], trial=f"{n:04d}") for n in range(10, 40)]
    running = [Running("0040", {"alpha": 1.0}, 2, 4, 0.875, 75.0), Running("0041", {"alpha": 0.5}, 0, 4, None, 0.4)]
    with Display(shown, LIMITED, 50, workers=2) as display:
        display.update([*TRIALS, *many], running)
        lines = last_table(shown)
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    assert {"trial", "outcome", "accuracy", "weights", "epochs", "time", "values"} <= set(" ".join(lines[:2]).split())
    rows = {line.split()[0]: line for line in lines if re.match(r"\d{4} ", line)}
    assert next(iter(rows)) == "0001" and " best " in rows["0001"] and "95.00 %" in rows["0001"]
    assert list(rows)[-3:] == ["0039", "0040", "0041"]
    assert "0004" not in rows
    assert (
        "running" in rows["0040"] and "87.50 %" in rows["0040"] and "2/4" in rows["0040"] and "1:15 min" in rows["0040"]
    )
    foot = " ".join(lines[-2:])
    assert "best accuracy 95.00 % (trial 0001)" in foot
    for words in ("38 / 50 trials", "1 rejected", "4 failed", "time left"):
        assert words in foot


def test_a_terminal_shows_the_costs_that_a_search_is_after():
    outcomes = [dataclasses.replace(o, size_mb=o.parameters / 2e6, latency_ms=1.25) for o in TRIALS[:3]]
    heads = []
    for width in (100, 160):
        shown = console(terminal=True, width=width)
        with Display(shown, plan(limits={"size_mb": 6.0}), None) as display:
            display.update(outcomes, [])
            heads.append(last_table(shown))
    assert "size" in " ".join(heads[0][:2]) and "weights" not in " ".join(heads[0][:2])
    assert "weights" in " ".join(heads[1][:2]) and "latency" in " ".join(heads[1][:2])
    assert "0.50 MB" in "\n".join(heads[0])
    assert "3 trials" in heads[0][-1] and "time left" not in heads[0][-1]


def test_a_terminal_is_given_back_after_an_error():
    shown = console(terminal=True)
    with pytest.raises(KeyboardInterrupt), Display(shown, LIMITED, 9) as display:
        display.update(TRIALS, [])
        raise KeyboardInterrupt
    assert shown.file.getvalue().endswith("\x1b[?25h")  # the cursor
    display.close()


def test_the_time_left_follows_from_the_mean_the_rest_and_the_workers():
    running = [Running("0009", {}, 1, 4, None, 6.0)]
    ended = TRIALS[:2]  # 10 and 20 seconds
    assert Display(console(False), LIMITED, 4).seconds_left(ended, running) == pytest.approx(2 * 15 - 6)
    assert Display(console(False), LIMITED, 6, workers=2).seconds_left(ended, []) == pytest.approx(4 * 15 / 2)
    assert Display(console(False), LIMITED, 2).seconds_left(ended, []) == 0
    assert Display(console(False), LIMITED, None).seconds_left(ended, []) is None
    assert Display(console(False), LIMITED, 4).seconds_left(TRIALS[4:5], running) is None


def test_a_goal_of_small_costs_is_drawn_with_the_smallest_as_the_best(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "svg", lambda figure: drawn.append(figure) or "")
    figures.progress(TRIALS, Goal("parameters"))
    (axes,) = drawn[0].axes
    (so_far,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert list(so_far.get_ydata()) == pytest.approx([1, 1, 1, 1, 1])
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "x"] == [5, 6, 7, 8, 9]
