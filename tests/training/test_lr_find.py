"""The range test for learning rates: how far it goes, what it suggests, what it writes, and that it changes nothing."""

import csv
import dataclasses
import io
import math
import os
import signal
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from killed_training import config, tiny_registered
from PIL import Image
from rich.console import Console

from keras_inception.cli import main
from keras_inception.training import LearningRates, find_learning_rate, learning_rate
from keras_inception.training.learning_rate import smooth, suggest


@pytest.fixture(autouse=True)
def tiny():
    """The tiny network, while a test of this file runs."""
    with tiny_registered():
        yield


def quiet() -> Console:
    return Console(file=io.StringIO())


def losses_of_a_valley(rates, lowest=0.1, noise=0.02):
    """Flat, down to a valley at a rate, and then up fourfold."""
    rng = np.random.default_rng(0)
    distance = np.log10(np.array(rates)) - np.log10(lowest)
    clean = np.where(distance < 0, 2.3 - 1.3 * np.exp(-(distance**2)), 1 + 8 * distance**2)
    return (clean + rng.normal(0, noise, len(rates))).tolist()


def test_the_suggestion_is_a_third_of_the_rate_of_the_lowest_loss_or_less_where_the_loss_climbs_steeply():
    rates = np.geomspace(1e-6, 10, 100).tolist()
    for noise in (0.0, 0.02, 0.1):  # the climb behind the valley, which is steeper, weighs a little before it
        assert 0.01 < suggest(rates, losses_of_a_valley(rates, noise=noise)) <= 0.0337
    assert suggest(rates, [1.0 + i for i in range(100)]) is None
    assert suggest([], []) is None


def test_smoothing_shifts_nothing_and_a_last_peak_spoils_nothing():
    valley = [50 + abs(i - 50.0) for i in range(101)]
    assert int(np.argmin(smooth(valley))) == 50
    np.testing.assert_allclose(smooth(valley), smooth(valley[::-1])[::-1])
    np.testing.assert_allclose(smooth([2.0] * 9), 2.0)
    assert max(smooth([2.0] * 20 + [1e9])) <= 8.0


class Rates:
    """Stands for a network in training: the loss follows from the rate."""

    def __init__(self, loss_of):
        self.optimizer, self.loss_of, self.seen = self, loss_of, []
        self.learning_rate = 0.0

    def train_on_batch(self, pixels, targets, return_dict):
        self.seen.append(self.learning_rate)
        return {"loss": self.loss_of(len(self.seen))}


@pytest.mark.parametrize(
    ("loss_of", "accumulate", "steps", "ended"),
    [
        (lambda count: 1.0, 1, 20, "complete"),
        (lambda count: 1.0, 3, 20, "complete"),
        (lambda count: 1.0 if count < 9 else math.nan, 1, 8, "diverged"),
        (lambda count: 1.0 if count < 9 else 100.0, 1, 9, "diverged"),
        (lambda count: 1.0 if count != 9 else os.kill(os.getpid(), signal.SIGINT) or 1.0, 1, 9, "interrupted"),
    ],
)
def test_it_ends_at_the_highest_rate_where_the_loss_breaks_or_at_ctrl_c(loss_of, accumulate, steps, ended):
    network, rates = Rates(loss_of), np.geomspace(1e-3, 1.0, 20).tolist()
    batches = [(np.zeros(1), np.zeros(1))] * 60
    found, losses, how = learning_rate._rise(network, batches, rates, accumulate, quiet())
    assert (found, len(losses), how) == (rates[:steps], steps, ended)
    assert all(map(math.isfinite, losses))
    assert network.seen[: steps * accumulate] == [rate for rate in rates[:steps] for _ in range(accumulate)]


def test_a_real_network_and_the_same_twice(tmp_path, monkeypatch):
    """Deterministic, and nothing is left in the working folder."""
    monkeypatch.chdir(tmp_path)
    base = config()
    settings = dataclasses.replace(base, optimizer=dataclasses.replace(base.optimizer, accumulate_steps=2))
    first, second = (find_learning_rate(settings, steps=15, lowest=1e-4, highest=1e4, console=quiet()) for _ in "ab")
    assert first == second
    assert first.rates == np.geomspace(1e-4, 1e4, 15).tolist()[: len(first.rates)]
    assert len(first.losses) == len(first.rates) == len(first.smoothed)
    assert first.losses[0] == pytest.approx(1.3 * math.log(10), rel=0.3)  # of the head and 0.3 of the auxiliary one
    assert list(tmp_path.iterdir()) == []


FOUND = LearningRates([0.1, 1.0, 10.0], [2.0, 1.0, 3.0], [2.0, 1.5, 2.5], 0.1, "diverged")


def test_the_curve_is_a_picture_or_a_table(tmp_path):
    for name in ("curve.svg", "curve.png", "curve.csv"):
        FOUND.write(tmp_path / name)
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 800
    svg = (tmp_path / "curve.svg").read_text("utf-8")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert "prefers-color-scheme: dark" in svg
    assert "suggestion 1.0e-01" in svg
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == FOUND.losses
    with pytest.raises(ValueError, match=r"must end in .svg, .png or .csv. Received: curve.pdf"):
        FOUND.write("curve.pdf")


@pytest.mark.parametrize(
    ("found", "code", "lines"),
    [
        (
            FOUND,
            0,
            ["--optimizer.learning-rate 1.0e-01 (the run has 1.0e-01)", "1.500 at 1.0e+00, ten times as high"],
        ),
        (dataclasses.replace(FOUND, suggestion=None), 0, ["none: the loss never fell"]),
        (dataclasses.replace(FOUND, ended="interrupted"), 130, ["interrupted", "after 3 steps"]),
        (LearningRates([], [], [], None, "diverged"), 0, ["none: the loss never fell", "after no step"]),
        (LearningRates([1.0, 2.0], [2.0, 1.0], [2.0, 1.0], 0.2, "complete"), 0, ["raise --highest"]),
    ],
)
def test_the_command_says_what_was_found_and_writes_where_asked(tmp_path, monkeypatch, capsys, found, code, lines):
    asked = []

    def find(config, **settings):
        asked.append((config, settings))
        return found

    monkeypatch.setattr(learning_rate, "find_learning_rate", find)
    arguments = [
        "lr-find",
        "--recipe",
        "digits",
        "--epochs",
        "3",
        "--steps",
        "20",
        "--out",
        str(tmp_path / "rates.csv"),
    ]
    assert main([*arguments, "--out", str(tmp_path / "rates.csv")]) == code
    [(config, settings)] = asked
    assert (config.recipe, config.epochs, config.model.options) == ("digits", 3, {"stem": "low_resolution"})
    assert settings == {"steps": 20, "lowest": 1e-6, "highest": 10.0}
    out = capsys.readouterr().out
    for line in lines:
        assert line in out
    assert (tmp_path / "rates.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "9"], "A range test must have at least 10 steps. Received: 9"),
        (["--lowest", "0"], "The rates must rise from more than 0. Received: 0 to 10"),
        (["--lowest", "2", "--highest", "1"], "The rates must rise from more than 0. Received: 2 to 1"),
        (["--out", "curve.pdf"], "A curve's file must end in .svg, .png or .csv. Received: curve.pdf"),
        (["--out", "nosuch/c.csv"], "A curve's file must lie in a folder that exists. Received: nosuch/c.csv"),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_sentence(arguments, sentence, capsys):
    assert main(["lr-find", *arguments]) == 1
    assert capsys.readouterr().err == f"keras-inception: {sentence}\n"
