"""A whole fit, from pictures to proven files, and what happens when it is called again."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from repeats import REPEATS
from rich.console import Console

from keras_inception import training
from keras_inception.photos import costs, fit, making
from keras_inception.photos.making import FEATURES, PICTURE, STATE


def run_fit(photos: Path, output: Path, weights: Path, **changes) -> tuple[making.Fitted, str]:
    told = io.StringIO()
    arguments = {"weights": [str(weights)], "sizes": [48, 32], "epochs": 2, **changes}
    return fit(photos, output, console=Console(file=told, width=160), **arguments), told.getvalue()


@pytest.fixture(scope="module")
def made(digits_folder: Path, narrow: Path, tmp_path_factory: pytest.TempPathFactory):
    output = tmp_path_factory.mktemp("made") / "out"
    return output, *run_fit(digits_folder, output, narrow)


@pytest.mark.slow
def test_it_ends_in_a_trained_run_and_proven_files(made):
    output, fitted, told = made
    assert fitted.run.folder == output / fitted.chosen.name
    assert (fitted.run.folder / "report.html").is_file()
    assert {file["file"] for file in fitted.export.manifest["files"]} > {"model_float32.tflite", "model_int8.tflite"}
    assert fitted.proof.rows
    assert (fitted.export.folder / "proof.json").is_file()
    summary = json.loads((output / STATE).read_text())
    assert summary["chosen"] == fitted.chosen.name
    assert {row["name"] for row in summary["candidates"]} == {"mobilenet_v1-48", "mobilenet_v1-32"}
    best = max(summary["candidates"], key=lambda row: (row["accuracy"], -row["costs"]["latency_ms"]))
    assert summary["chosen"] == best["name"]
    assert "<svg" in (output / PICTURE).read_text()
    for words in ("42 in 3 classes", "mobilenet_v1-48", "its features are the most accurate", "--choose NAME"):
        assert words in told


@pytest.mark.slow
def test_called_again_it_uses_all_that_is_there(made, digits_folder: Path, narrow: Path, monkeypatch):
    output, fitted, _ = made

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed twice")

    for owner, name in ((training, "train"), (training, "resume"), (costs, "_int8_file"), (making, "export_run")):
        monkeypatch.setattr(owner, name, never, raising=True)
    before = {path: path.stat().st_mtime_ns for path in (output / FEATURES).iterdir()}
    again, told = run_fit(digits_folder, output, narrow)
    assert "trained already" in told
    assert again.chosen == fitted.chosen
    assert {path: path.stat().st_mtime_ns for path in (output / FEATURES).iterdir()} == before


@pytest.mark.slow
def test_another_limit_takes_another_trunk_of_the_same_features(made, digits_folder: Path, narrow: Path):
    output, fitted, _ = made
    other = next(c for c in fitted.candidates if c != fitted.chosen)
    again, _ = run_fit(digits_folder, output, narrow, named=other.name, epochs=1)
    assert again.run.folder == output / other.name
    assert (output / fitted.chosen.name / "report.html").is_file()
    with pytest.raises(ValueError, match=r"No trunk keeps --under latency_ms 1e-06. Received: the nearest is"):
        run_fit(digits_folder, output, narrow, under={"latency_ms": 1e-6})


@pytest.mark.slow
def test_other_pictures_need_another_output(made, digits_folder: Path, narrow: Path, tmp_path: Path):
    folder = tmp_path / "digits"
    for path in sorted(digits_folder.rglob("*.png"))[1:]:
        copy = folder / path.relative_to(digits_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="another --output begins anew"):
        run_fit(folder, made[0], narrow)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: (folder / "only").mkdir(parents=True), "holds one sub-folder of images a class"),
        (lambda folder: _write(folder, ["a/one.pdf", "b/two.pdf"]), "holds one sub-folder of images a class"),
    ],
    ids=["empty", "documents"],
)
def test_what_is_not_photographs_gets_a_sentence_and_leaves_nothing(prepare, words, narrow: Path, tmp_path: Path):
    prepare(tmp_path / "photos")
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run_fit(tmp_path / "photos", tmp_path / "out", narrow)
    assert not (tmp_path / "out").exists()


def test_one_class_gets_a_sentence(digits_folder: Path, narrow: Path, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "digit_0").symlink_to(digits_folder / "digit_0")
    with pytest.raises(ValueError, match="at least two classes. Received: one, 'digit_0'"):
        run_fit(tmp_path / "photos", tmp_path / "out", narrow)


def test_several_labels_a_photograph_get_a_sentence(digits_folder: Path, narrow: Path, tmp_path: Path):
    rows = [f"{path},{path.parent.name}|some digit" for path in sorted(digits_folder.rglob("*.png"))]
    (tmp_path / "photos.csv").write_text("\n".join(["path,labels", *rows]))
    with pytest.raises(ValueError, match=r"photographs of one label each; .* Received: several labels in csv:.*photos"):
        run_fit(tmp_path / "photos.csv", tmp_path / "out", narrow)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_things_is_left_alone(digits_folder: Path, narrow: Path, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"must be a new folder, or an earlier fit's. Received: .*thesis.tex"):
        run_fit(digits_folder, tmp_path, narrow)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("changes", [{"pictures": 0}, {"epochs": 0}, {"named": "mobilenet_v1-999"}])
def test_arguments_are_checked_first(digits_folder: Path, narrow: Path, tmp_path: Path, changes):
    with pytest.raises(ValueError, match="Received"):
        run_fit(digits_folder, tmp_path / "out", narrow, **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.proof
def test_a_fit_killed_at_random_moments_ends_as_one_that_was_not(digits_folder: Path, narrow: Path, tmp_path: Path):
    def start(output: Path) -> subprocess.Popen[bytes]:
        program = "import sys; from keras_inception.cli import main; sys.exit(main())"
        arguments = [digits_folder, "--output", output, "--weights", narrow, "--sizes", "48", "32", "--epochs", "2"]
        # Which of two is quicker is a matter of the moment; which is named is not.
        words = [sys.executable, "-c", program, "fit", *map(str, arguments), "--choose", "mobilenet_v1-48"]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(tmp_path / "whole").wait() in (0, 1)
    seconds, chosen = time.monotonic() - began, random.Random(0)
    kills = 0
    while kills < max(REPEATS // 2, 3):
        process = start(tmp_path / "killed")
        try:
            process.wait(chosen.uniform(0.2, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        kills += 1
    assert start(tmp_path / "killed").wait() in (0, 1)
    for path in sorted((tmp_path / "whole" / FEATURES).glob("*.npy")):
        np.testing.assert_array_equal(np.load(path), np.load(tmp_path / "killed" / FEATURES / path.name))
    models = [
        training.Run.open(tmp_path / name / "mobilenet_v1-48").model().get_weights() for name in ("whole", "killed")
    ]
    for first, second in zip(*models, strict=True):
        np.testing.assert_array_equal(first, second)
    results = [json.loads((tmp_path / name / STATE).read_text()) for name in ("whole", "killed")]
    for result in results:
        del result["run"], result["costs"]
        for row in result["candidates"]:
            del row["costs"]
    assert results[0] == results[1]


def _write(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"%PDF-1.7")
