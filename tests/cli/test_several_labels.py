"""The command on images with several labels: from a table to proven files."""

import json
from pathlib import Path

import pytest
from command_helpers import Command, assert_one_sentence
from killed_training import tiny_registered, with_tiny
from table_helpers import SEVERAL, table, write
from training_helpers import tiny_config, with_pipeline, write_digits

from keras_inception import training


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_registered():
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_digits(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def run(photos: Path) -> training.Run:
    data = write(photos.parent, table([(photos / path, cell) for path, cell in SEVERAL], "path,labels"))
    config = with_pipeline(with_tiny(tiny_config(data, epochs=4)), test_share=0.3)
    return training.train(config, photos.parent / "run")


def test_evaluate_prints_mean_average_precision(command: Command, run: training.Run):
    code, out, _ = command("evaluate", run.folder)
    assert code == 0
    figures = json.loads((run.folder / "evaluation.json").read_text())
    assert f"{100 * figures['labels']['mean_average_precision']:.2f} %" in out
    assert "mAP" in out and "decisions right" in out and "AP  " in out


def test_predict_names_every_label_above_its_threshold(command: Command, run: training.Run, photos: Path):
    files = [photos / path for path, _ in SEVERAL]
    _, out, _ = command("predict", run.folder, *files, "--json")
    rows = json.loads(out)
    least = dict(zip(run.class_names, run.thresholds, strict=True))
    assert [row["image"] for row in rows] == list(map(str, files))
    assert all(found["probability"] > least[found["class"]] for row in rows for found in row["predictions"])
    assert any(len(row["predictions"]) != 1 for row in rows)
    _, out, _ = command("predict", run.folder, *files)
    assert ("no label" in out) == any(not row["predictions"] for row in rows)


def test_export_proves_the_decisions_at_the_thresholds(command: Command, run: training.Run):
    arguments = ("--agreement", 0.8, "--accuracy-loss", 0.2, "--precision-loss", 0.2)
    code, out, err = command("export", run.folder, "--prove", "--modes", "float32", "int8", *arguments)
    assert (code, err) == (0, ""), err
    manifest = json.loads((run.folder / "export" / "export.json").read_text())
    assert tuple(manifest["output"]["thresholds"]) == run.thresholds
    code, out, _ = command("verify", run.folder, *arguments)
    assert code == 0
    assert "mAP" in out and "proven" in out


def test_a_loss_of_the_other_kind_leaves_no_folder(command: Command, run: training.Run, tmp_path: Path):
    options = ("--recipe", "digits", "--objective.loss", "cross_entropy", "--output", tmp_path / "new")
    outcome = command("train", "--data", run.config.data, *options)
    assert_one_sentence(outcome, "objective.loss must be auto, binary or asymmetric", "Received: cross_entropy")
    assert not (tmp_path / "new").exists()
