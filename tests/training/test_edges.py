"""Data at the edges: names that mean two things, classes of few images, and what is kept of TFDS."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from killed_training import tiny_registered, with_tiny
from rich.console import Console
from training_helpers import tiny_config, with_pipeline, write_digits

from keras_inception.training import Run, scan, train, write_arrays
from keras_inception.training.data import tfds as tfds_source
from keras_inception.training.data.sources import open_labelled, open_splits
from keras_inception.training.runs import folder as run_folder


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TFDS data set of 40 pictures with file names, written here, and a home of Keras's own."""
    import tensorflow_datasets as tfds

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return _write_tfds(tfds, tmp_path / "sets", range(40))


def _write_tfds(tfds, folder: Path, numbers) -> Path:
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
            "file_name": tfds.features.Text(),
        }
    )
    rows = [
        {"image": np.full((8, 8, 1), i, np.uint8), "label": np.int64(i % 2), "file_name": f"é{i}.png"} for i in numbers
    ]
    signature = {
        "image": tf.TensorSpec((8, 8, 1), tf.uint8),
        "label": tf.TensorSpec((), tf.int64),
        "file_name": tf.TensorSpec((), tf.string),
    }
    dataset = tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        "numbers", "1.0.0", features, {"train": dataset}, data_dir=folder
    )
    return Path(builder.data_path)


def test_the_labels_of_a_tfds_data_set_are_read_once(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tiny_config(f"tfds:{prepared}")
    first = open_splits(config)
    reads = []
    original = tfds_source._kept
    monkeypatch.setattr(
        tfds_source, "_kept", lambda info, split, read: original(info, split, lambda: reads.append(split) or read())
    )
    again = open_splits(config)
    assert reads == []
    assert again.train.names == first.train.names
    assert again.train.names[0].startswith("numbers/train/é")
    np.testing.assert_array_equal(again.train.labels, first.train.labels)
    [kept] = (tmp_path / "home").rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: read anew
    assert open_splits(config).train.names == first.train.names
    assert reads == ["train"]
    import tensorflow_datasets as tfds

    other = _write_tfds(tfds, tmp_path / "others", range(1, 41))  # of the same name, version and size
    labels = open_splits(tiny_config(f"tfds:{other}")).train
    numbers = [int(name.rpartition("é")[2].removesuffix(".png")) for name in labels.names]
    assert labels.labels.tolist() == [number % 2 for number in numbers]
    assert reads == ["train", "train"]


def test_a_home_that_cannot_be_written_to_keeps_nothing(prepared: Path, tmp_path: Path):
    (tmp_path / "home").write_text("not a folder")
    assert len(open_splits(tiny_config(f"tfds:{prepared}")).train.labels) > 0


def test_a_folder_may_be_called_like_a_data_set_or_like_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("imagenet", "cifar10"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.h5").write_bytes(b"")
    config = tiny_config("tfds:cifar10")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, weights="imagenet"))
    resolved = config.resolved()
    assert (resolved.data, resolved.model.weights) == ("tfds:cifar10", "imagenet")
    file = dataclasses.replace(config, model=dataclasses.replace(config.model, weights="mine.h5"))
    assert file.resolved().model.weights == str(tmp_path / "mine.h5")


def test_what_is_evaluated_may_be_of_one_class_or_lack_some(tmp_path: Path):
    names = ["digit_0", "digit_1", "digit_2"]
    write_digits(tmp_path / "one", classes=1, each=3)
    images, _ = open_labelled(f"folder:{tmp_path / 'one'}", tiny_config(), names)
    assert images.labels.tolist() == [0, 0, 0]
    write_digits(tmp_path / "some", classes=3, each=2)
    for path in (tmp_path / "some" / "digit_1").iterdir():
        path.unlink()
    images, _ = open_labelled(f"folder:{tmp_path / 'some'}", tiny_config(), names)
    assert images.labels.tolist() == [0, 0, 2, 2]
    data = write_arrays(tmp_path / "a", np.zeros((2, 8, 8), np.uint8), np.zeros(2, int), class_names=["digit_2"])
    images, _ = open_labelled(data, tiny_config(), names)
    assert images.labels.tolist() == [2, 2]
    for place in ("one", "some"):
        with pytest.raises(ValueError, match="at least two classes|must hold images"):
            open_splits(tiny_config(f"folder:{tmp_path / place}"))


@pytest.mark.skipif(os.name == "nt", reason="such names are none there")
@pytest.mark.parametrize("name", [b"caf\xe9.png", b"caf\n.png"], ids=["bytes", "lines"])
def test_a_name_that_is_no_line_of_utf8_is_left_out_and_named(tmp_path: Path, name: bytes):
    write_digits(tmp_path / "photos", classes=3, each=8)
    strange = os.fsencode(tmp_path / "photos" / "digit_1") + b"/" + name
    try:
        os.link(tmp_path / "photos" / "digit_1" / "000.png", strange)
    except OSError:
        pytest.skip("this file system takes no such names")
    config = with_pipeline(tiny_config(f"folder:{tmp_path / 'photos'}"), max_bad_share=0.2)
    splits = open_splits(config)
    run = Run(tmp_path / "run", config, splits.class_names, splits)
    run_folder.begin(run)
    shown = str(tmp_path / "photos" / "digit_1" / "caf\ufffd.png")
    assert (run.folder / "quarantine.txt").read_text("utf-8") == f"{shown}\ta name that is not one line of UTF-8\n"
    assert shown not in open_splits(config).train.names
    assert Run.open(run.folder).splits.train.names == run.splits.train.names
    [finding] = [finding for finding in scan(tmp_path / "photos").findings if finding.kind != "duplicate"]
    assert (finding.kind, finding.path, finding.detail) == ("unreadable", shown, "a name that is not one line of UTF-8")
    (tmp_path / "photos" / "digit_2").rename(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/\xe9t\xe9"))
    with pytest.raises(ValueError, match="name of a class folder must be one line of UTF-8"):
        open_splits(config)


def test_a_report_names_files_with_tabs_that_were_left_out(tmp_path: Path):
    write_digits(tmp_path / "photos", classes=3, each=8)
    (tmp_path / "photos" / "digit_1" / "bro\tken.png").write_bytes(b"")
    config = with_pipeline(tiny_config(f"folder:{tmp_path / 'photos'}"), max_bad_share=0.2)
    with tiny_registered():
        run = train(with_tiny(config), tmp_path / "run", console=Console(quiet=True))
    assert [(Path(path).name, reason) for path, reason in run.left_out] == [("bro\tken.png", "empty file")]
    assert "bro\tken.png</td><td>empty file</td>" in (run.folder / "report.html").read_text("utf-8")


def test_arrays_are_written_under_the_name_that_is_given(tmp_path: Path):
    (tmp_path / "cifar-10.npz").write_bytes(b"another file")
    data = write_arrays(tmp_path / "cifar-10.1", np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2)
    assert data == f"array:{tmp_path / 'cifar-10.1.npz'}"
    assert (tmp_path / "cifar-10.npz").read_bytes() == b"another file"
    assert write_arrays(tmp_path / "b.npz", np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2).endswith("/b.npz")


def test_two_classes_of_one_name_are_refused(tmp_path: Path):
    images, labels, names = np.zeros((30, 8, 8), np.uint8), np.arange(30) % 3, ["cat", "cat", "dog"]
    with pytest.raises(ValueError, match="Each class must have a name of its own. Received: 'cat' more than once"):
        write_arrays(tmp_path / "pets", images, labels, class_names=names)
    np.savez(tmp_path / "pets.npz", images=images, labels=labels, class_names=np.array(names))
    with pytest.raises(ValueError, match="Each class must have a name of its own"):
        open_splits(tiny_config(f"array:{tmp_path / 'pets.npz'}"))


@pytest.mark.parametrize(("held_out", "least"), [((), 3), (("test",), 2), (("validation",), 2)])
def test_a_class_of_too_few_images_is_named_with_the_number_that_it_needs(tmp_path: Path, held_out, least):
    for part in ("train", *held_out):
        write_digits(tmp_path / part, classes=2, each=least - 1 if part == "train" else 2)
    place = tmp_path if held_out else tmp_path / "train"
    with pytest.raises(
        ValueError, match=f"at least {least} readable images to be split. Received: {least - 1} in class"
    ):
        open_splits(tiny_config(f"folder:{place}"))


def test_a_run_is_read_as_utf8_whatever_the_locale(tmp_path: Path):
    config = tiny_config(f"folder:{write_digits(tmp_path / 'photos')}")
    (tmp_path / "config.json").write_text(config.to_json(), encoding="utf-8")
    (tmp_path / "class_names.txt").write_text("犬\nčáp\n", encoding="utf-8")
    code = "import sys; from keras_inception.training import Run; print(ascii(Run.open(sys.argv[1]).class_names))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == [ascii(["犬", "čáp"])], done.stderr
