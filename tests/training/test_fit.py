"""A whole run on real digits, and everything that may go wrong on the way to one."""

import csv
import dataclasses
import io
import json
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import tiny_registered, with_tiny
from rich.console import Console
from training_helpers import tiny_config, write_digits

from keras_inception.training import DivergedError, Run, TrainConfig, evaluate, resume, train
from keras_inception.training.config import OptimizerConfig
from keras_inception.training.engine.checkpoints import Place
from keras_inception.training.engine.watching import Record, Steps, StopOnNaN
from keras_inception.training.evaluation.result import summarise
from keras_inception.training.files import remove_half_written, write_atomically
from keras_inception.training.pipeline.training import names_of_step
from keras_inception.training.runs.history import read_history


def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(autouse=True)
def tiny():
    """A tiny network of two auxiliary heads, while a test of this file runs."""
    with tiny_registered("aux1", "aux2"):
        yield


def config_of(data, **changes):
    """A configuration of the tiny network."""
    return with_tiny(tiny_config(f"folder:{data}", **changes))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """75 real digits of three classes, a text file named .jpg among them."""
    folder = write_digits(tmp_path_factory.mktemp("data"), classes=3, each=25)
    (folder / "digit_1" / "text.jpg").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def output():
    return io.StringIO()


@pytest.fixture(scope="module")
def run(data, output, tmp_path_factory):
    """Two epochs with auxiliary heads."""
    with tiny_registered("aux1", "aux2"):
        console = Console(file=output, width=200)
        return train(config_of(data, epochs=2), tmp_path_factory.mktemp("runs") / "first", console=console)


def same_files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_run_folder_explains_itself(run, data):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "config.json", "environment.json", "class_names.txt", "data.json", "metrics.json", "history.csv",
        "evaluation.json", "calibration.json", "tensorboard", "checkpoints", "quarantine.txt", "report.html",
    }  # fmt: skip
    assert {path.name for path in (run.folder / "checkpoints").iterdir()} == {"best.keras", "last.keras", "state"}
    assert any((run.folder / "tensorboard").rglob("events.out.tfevents.*"))
    assert (run.folder / "class_names.txt").read_text() == "digit_0\ndigit_1\ndigit_2\n"
    assert (run.folder / "quarantine.txt").read_text() == (
        f"{data / 'digit_1' / 'text.jpg'}\tnot a JPEG, PNG, GIF, BMP or WebP image\n"
    )
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["seed"] == run.config.seed
    assert environment["versions"]["keras"] == keras.version()
    assert TrainConfig.from_json((run.folder / "config.json").read_text()) == run.config


def test_training_leaves_deterministic_kernels_off(run):
    with tf.Graph().as_default():
        tf.random.uniform([1])  # an error while they are on, since the graph has no seed


def test_the_history_has_a_row_an_epoch_with_every_head(run):
    rows = list(csv.DictReader((run.folder / "history.csv").read_text().splitlines()))
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    for head in ("predictions", "aux1", "aux2"):
        assert 0 <= float(rows[1][f"val_{head}_accuracy"]) <= 1
        assert float(rows[1][f"{head}_loss"]) > 0
    metrics = json.loads((run.folder / "metrics.json").read_text())
    best = min(rows, key=lambda row: float(row["val_predictions_cross_entropy"]))
    assert metrics["best_epoch"] == float(best["epoch"])
    assert metrics["validation_accuracy"] == pytest.approx(float(best["val_predictions_accuracy"]))


def test_away_from_a_terminal_there_is_one_line_an_epoch_and_one_a_bad_file(run, output):
    lines = output.getvalue().splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"warning: left out .*text\.jpg: not a JPEG, PNG, GIF, BMP or WebP image", lines[0])
    assert re.match(r"epoch +1/2  loss \d+\.\d+  accuracy \d+\.\d+%  validation .* images/s  ", lines[1])


def test_the_report_stands_alone_and_names_what_was_missed(run):
    page = (run.folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "@import" not in page
    assert page.count("<svg") == 7  # five curves, the confusion matrix and the reliability diagram
    assert "Accuracy of the auxiliary heads" in page
    for heading in ("Training images", "Confidence", "What the network looks at", "Misclassified images"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count('class="smooth"') >= 6  # a map an explained image, two for a miss
    evaluation = json.loads((run.folder / "evaluation.json").read_text())
    assert f"{100 * evaluation['accuracy']:.2f}%" in page
    assert page.count("data:image/png") >= len(evaluation["misclassified"])
    assert "text.jpg" in page


def test_the_run_opens_again_with_the_same_splits_and_a_model_of_raw_pixels(run):
    again = Run.open(run.folder)
    assert again.config == run.config
    assert again.class_names == ["digit_0", "digit_1", "digit_2"]
    images = {
        split: sum(len(labels) for _, labels in again.batches(split)) for split in ("train", "validation", "test")
    }
    assert images == {"train": 54, "validation": 6, "test": 15}
    model = again.model()
    hits = 0
    for pixels, labels in again.batches("test", batch_size=4):
        assert pixels.dtype == np.float32
        assert pixels.max() > 200
        np.testing.assert_array_equal(pixels, np.round(pixels))
        hits += int((np.asarray(model(pixels)["predictions"]).argmax(axis=1) == labels).sum())
    assert hits / 15 == pytest.approx(json.loads((run.folder / "evaluation.json").read_text())["accuracy"])


def test_a_seeded_choice_of_images_is_the_same_again(run):
    chosen = [np.concatenate([pixels for pixels, _ in run.batches("train", 4, count=10, seed=3)]) for _ in range(2)]
    assert chosen[0].shape == (10, 12, 12, 1)
    np.testing.assert_array_equal(chosen[0], chosen[1])
    other = np.concatenate([pixels for pixels, _ in run.batches("train", 4, count=10, seed=4)])
    assert not np.array_equal(chosen[0], other)


def test_a_single_image_is_read_as_evaluation_reads_it(run):
    pixels, _ = next(run.batches("test", batch_size=1))
    np.testing.assert_array_equal(run.read_image(run.splits.test.names[0]), pixels[0])


def test_evaluation_adds_up(run):
    result = evaluate(run, split="validation")
    confusion = np.array(result.confusion)
    assert result.images == confusion.sum() == 6
    assert result.accuracy == pytest.approx(np.trace(confusion) / 6)
    assert len(result.misclassified) == 6 - np.trace(confusion)
    assert json.loads((run.folder / "evaluation-validation.json").read_text()) == result.to_dict()
    (run.folder / "evaluation-validation.json").unlink()


def test_evaluation_on_other_data_goes_by_class_name(run, tmp_path):
    write_digits(tmp_path / "more", classes=2, each=4)
    result = evaluate(run, data=f"folder:{tmp_path / 'more'}")
    assert result.images == 8
    assert result.per_class["digit_2"] is None
    (run.folder / "evaluation-data.json").unlink()


def test_the_figures_of_an_evaluation_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    result = summarise(probabilities, np.array([0, 1, 2]), ["a", "b", "c"], ["x", "y", "z"], "test")
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.loss == pytest.approx(-np.log([0.7, 0.3, 0.8]).mean())
    assert result.top5 is None
    assert result.confusion == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert result.per_class == {"x": 1.0, "y": 0.0, "z": 1.0}
    [miss] = result.misclassified
    assert (miss.index, miss.name, miss.label, miss.predicted, miss.confidence) == (1, "b", "y", "x", 0.6)


def test_top5_counts_the_five_likeliest():
    probabilities = np.tile(np.linspace(0.1, 0.2, 7), (2, 1))
    result = summarise(probabilities, np.array([1, 2]), ["a", "b"], list("abcdefg"), "test")
    assert result.top5 == 0.5


def test_a_run_folder_that_cannot_be_written_is_refused_before_training(data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    config = config_of(data)
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match="run folder must be") as caught:
            train(config, place, overwrite=True, console=quiet())
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_bad_data_leaves_no_run_folder_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Received: no images in"):
        train(config_of(tmp_path / "empty"), tmp_path / "run", console=quiet())
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds config.json and class_names.txt. Received: .*nowhere"):
        Run.open(tmp_path / "nowhere")


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    return Run.open(tmp_path / "copy")


def test_an_occupied_run_folder_is_left_alone(copy):
    before = same_files(copy.folder)
    with pytest.raises(ValueError, match="must be new or empty, or overwrite must be set"):
        train(copy.config, copy.folder, console=quiet())
    assert same_files(copy.folder) == before


@pytest.mark.slow
def test_an_older_run_survives_a_new_one_that_diverges(copy, tmp_path):
    before = same_files(copy.folder)
    config = dataclasses.replace(copy.config, optimizer=OptimizerConfig(learning_rate=1e30))
    with pytest.raises(DivergedError, match=r"The loss must stay finite.*Received: (nan|inf) in epoch 1, ") as caught:
        train(config, copy.folder, overwrite=True, console=quiet())
    step, images = re.search(r"step (\d) of 6, on the images (.*)$", str(caught.value)).groups()
    assert images.split(", ") == names_of_step(copy.splits.train, config, 0, int(step) - 1)
    assert same_files(copy.folder) == before
    assert {path.name for path in tmp_path.iterdir()} == {"copy", ".copy.partial"}


@pytest.mark.slow
def test_the_same_seed_replaces_an_older_run_by_its_equal_and_shows_it_on_a_terminal(run, copy, tmp_path):
    (copy.folder / "evaluation-data.json").write_text("of the older run")
    (tmp_path / ".copy.partial").mkdir()
    (tmp_path / ".copy.partial" / "left.txt").write_text("by an attempt that was killed")
    screen = io.StringIO()
    new = train(copy.config, copy.folder, overwrite=True, console=Console(file=screen, force_terminal=True, width=160))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert not (copy.folder / "evaluation-data.json").exists()
    first, second = (keras.saving.load_model(r.folder / "checkpoints" / "last.keras") for r in (run, new))
    for old_weight, new_weight in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(old_weight, new_weight, atol=1e-6)
    text = screen.getvalue()
    assert "images/s" in text
    assert "time left" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") > -1


def test_a_run_without_a_checkpoint_is_refused(copy):
    (copy.folder / "checkpoints" / "best.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold a checkpoint, checkpoints/best.keras. Received: .*copy"):
        evaluate(copy)


def test_a_damaged_checkpoint_is_refused_in_one_sentence(copy):
    path = copy.folder / "checkpoints" / "best.keras"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="must be a whole .keras file") as caught:
        copy.model()
    assert "\n" not in str(caught.value)


def test_a_changed_byte_of_a_checkpoint_is_refused_in_one_sentence(copy):
    path = copy.folder / "checkpoints" / "best.keras"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must be a whole .keras file") as caught:
        copy.model()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b'{"epochs": "\xff"}', "config.json must be text in UTF-8"),
        ("config.json", b"[" * 200_000, "A training configuration is a JSON object"),
        ("class_names.txt", b"\xff\n", "class_names.txt must be text in UTF-8"),
        ("metrics.json", b'{"epochs": 1', "metrics.json must hold a JSON object"),
        ("metrics.json", b"[" * 200_000, "metrics.json must hold a JSON object.*nested too deeply"),
        ("metrics.json", b"[1]", "metrics.json must hold a JSON object.* with a list"),
        ("data.json", b'{"splits": {"train": {}}}', "data.json must describe a run's splits"),
        ("data.json", b'{"splits": {}}', "data.json must describe a run's splits"),
        ("history.csv", b"epoch,loss\n1,2,3\n", "history.csv must hold a number for each name"),
        ("history.csv", b"epoch,loss\n1\n", "history.csv must hold a number for each name"),
        ("history.csv", b"epoch,loss\n1,low\n", "history.csv must hold a number for each name"),
        ("history.csv", b"epoch,loss\n1,\xff\n", "history.csv must hold a number for each name"),
    ],
)
def test_a_damaged_file_of_a_run_is_refused_in_one_sentence(copy, name, content, message):
    (copy.folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        run = Run.open(copy.folder)
        run.read_json("metrics.json")
        read_history(copy.folder / "history.csv")
        assert run.splits
    assert "\n" not in str(caught.value) and "Received: " in str(caught.value)


def test_a_class_count_that_disagrees_with_the_checkpoint_is_refused(copy):
    (copy.folder / "class_names.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"Received: 3 outputs in .*best.keras for 2 names"):
        evaluate(Run.open(copy.folder))


def test_data_that_has_changed_since_training_is_refused(copy, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    (copy.folder / "quarantine.txt").write_text(f"{tmp_path / 'data' / 'digit_1' / 'text.jpg'}\tno image\n")
    moved = dataclasses.replace(copy.config, data=f"folder:{tmp_path / 'data'}")
    (copy.folder / "config.json").write_text(moved.to_json())
    assert len(Run.open(copy.folder).splits.train.labels) == 54
    next((tmp_path / "data" / "digit_2").iterdir()).unlink()
    with pytest.raises(ValueError, match="data must be what it was trained on"):
        evaluate(Run.open(copy.folder))


def test_images_that_cannot_be_read_are_refused(run, tmp_path):
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(FileNotFoundError, match=r"An image file must exist. Received: .*nothing.jpg"):
        run.read_image(tmp_path / "nothing.jpg")
    with pytest.raises(ValueError, match=r"must be a whole JPEG, PNG, GIF, BMP or WebP file. Received: .*text.jpg"):
        run.read_image(tmp_path / "text.jpg")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")

    def fail(temporary):
        assert temporary.suffix == ".keras"
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_are_whole_archives(run):
    for name in ("best", "last"):
        assert zipfile.ZipFile(run.folder / "checkpoints" / f"{name}.keras").testzip() is None


def test_only_a_run_folder_is_overwritten(data, copy, tmp_path):
    photos = write_digits(tmp_path / "photos")
    before = same_files(photos)
    with pytest.raises(ValueError, match="must be a run folder. Received: .*photos without config.json"):
        train(config_of(photos), photos, overwrite=True, console=quiet())
    assert same_files(photos) == before
    (copy.folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="must hold nothing else. Received: 'notes.txt'"):
        train(copy.config, copy.folder, overwrite=True, console=quiet())
    assert (copy.folder / "notes.txt").read_text() == "mine"


def test_a_run_in_progress_is_not_taken_for_another(copy, tmp_path):
    partial = tmp_path / ".new.partial"
    shutil.copytree(copy.folder, partial)
    (partial / "report.html").unlink()
    with pytest.raises(ValueError, match="free of another run in progress"):
        train(copy.config, tmp_path / "new", console=quiet())
    shutil.copytree(partial, tmp_path / "new")
    with pytest.raises(ValueError, match="One run at a time is resumed"):
        resume(tmp_path / "new", console=quiet())
    assert partial.is_dir() and (tmp_path / "new").is_dir()


def test_only_what_was_half_written_is_removed(tmp_path):
    kept = [".ipynb_checkpoints", ".mine", ".config.json"]
    (tmp_path / kept[0]).mkdir()
    for name in kept[1:]:
        (tmp_path / name).write_text("")
    (tmp_path / ".history.4711.csv").write_text("")
    remove_half_written(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_validation_loss_leaves_the_penalty_out_with_one_head_too(data, tmp_path):
    config = config_of(data)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, aux_heads=False),
        optimizer=dataclasses.replace(config.optimizer, decay="l2", weight_decay=0.05),
        objective=dataclasses.replace(config.objective, label_smoothing=0.0),
    )
    run = train(config, tmp_path / "run", stop_after=1, console=quiet())
    told = run.read_json("metrics.json")["validation_loss"]
    assert told == pytest.approx(evaluate(run, split="validation").loss, rel=1e-4)


def test_nan_is_never_the_best_nor_the_end_of_an_epoch():
    record = Record()
    for epoch, loss in enumerate([float("nan"), 0.5, 0.3]):
        record.on_epoch_end(epoch, {record.loss: loss})
    assert record.best_epoch == 3
    stop = StopOnNaN(Steps(1, Place()), lambda: "none", lambda place: [])
    stop.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    with pytest.raises(DivergedError, match="validation loss must stay finite.* Received: nan after epoch 2"):
        stop.on_epoch_end(1, {"loss": 1.0, "val_loss": float("nan")})
