"""Decoded images on disk: the same batches, shared and checked, whatever happens to the files or the process."""

import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from training_helpers import tiny_config, with_pipeline

from keras_inception.training import pack, write_arrays
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.images import PictureImages
from keras_inception.training.data.mapped import MappedFile
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline import disk
from keras_inception.training.pipeline.preparing import cached, evaluation_batches
from keras_inception.training.pipeline.training import training_batches

CROPS = AugmentConfig(min_area=0.2, flip=True, brightness=0.1, contrast=0.5, saturation=0.5, hue=0.2)


def photos(folder: Path) -> Path:
    """24 coloured pictures of two classes and several sizes."""
    rng = np.random.default_rng(0)
    for i in range(24):
        path = folder / "ab"[i % 2] / f"{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = tf.constant(rng.uniform(0, 255, (9, 9, 3)))
        pixels = tf.image.resize(coarse, (30 + i, 46 - i // 2)).numpy().astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=80)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    return f"folder:{photos(tmp_path_factory.mktemp('photos'))}"


def config_for(data: str, kept: Path | str = "", **pipeline):
    config = with_pipeline(tiny_config(data), **{"batch_size": 5, "augment": CROPS, "cache_dir": str(kept), **pipeline})
    return dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3, image_size=24), epochs=3)


def batches_of(config, **arguments):
    images = open_splits(config, known_bad=()).train
    return [pixels for pixels, _ in training_batches(images, config, 2, **arguments).as_numpy_iterator()]


def sets_in(folder: Path) -> set[Path]:
    return set(folder.iterdir())


SQUARES = AugmentConfig(flip=True)


@pytest.mark.parametrize("kind, augment", [("files", CROPS), ("files", SQUARES), ("shards", CROPS), ("array", SQUARES)])
def test_batches_are_the_same_bits_wherever_decoded_images_are_kept(tmp_path: Path, kind: str, augment):
    if kind == "array":
        pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 40, 3), np.uint8)
        source = write_arrays(tmp_path / "pictures", pixels, np.arange(24) % 2)
    else:
        source = f"folder:{photos(tmp_path / 'photos')}"
    if kind == "shards":
        pack(source, tmp_path / "packed")
        source = f"tfrecord:{tmp_path / 'packed'}"
    expected = batches_of(config_for(source, cache_mb=0, augment=augment))
    ways = {"memory": {}, "disk": {"kept": tmp_path / "kept"}, "the same again": {"kept": tmp_path / "kept"}}
    for way, where in ways.items():
        found = batches_of(config_for(source, augment=augment, **where))
        np.testing.assert_array_equal(found, expected, err_msg=way)
    assert len(sets_in(tmp_path / "kept")) == 1


def test_any_step_of_any_epoch_is_entered_with_the_same_bits(tmp_path: Path, data: str):
    config = config_for(data, tmp_path)
    everything = batches_of(config)
    per_epoch = len(everything) // 3
    assert per_epoch >= 3
    np.testing.assert_array_equal(batches_of(config, first_epoch=1, first_step=2), everything[per_epoch + 2 :])


def test_evaluation_sees_the_same(tmp_path: Path, data: str):
    config = config_for(data, tmp_path)
    images = open_splits(config, known_bad=()).validation
    found = evaluation_batches(cached(images, config), config).as_numpy_iterator()
    for (pixels, labels), (expected, others) in zip(
        found, evaluation_batches(images, config).as_numpy_iterator(), strict=True
    ):
        np.testing.assert_array_equal(pixels, expected)
        np.testing.assert_array_equal(labels, others)


def key_of(config, whole: bool = True) -> str:
    return disk._key(open_splits(config, known_bad=()).train, config, whole)


def test_runs_share_what_does_not_depend_on_them_and_nothing_else(tmp_path: Path):
    config = config_for(f"folder:{photos(tmp_path / 'photos')}")
    copy = shutil.copytree(tmp_path / "photos", tmp_path / "copy")
    like = with_pipeline(config, batch_size=3, threads=1, augment=dataclasses.replace(CROPS, min_area=0.5))
    assert key_of(dataclasses.replace(like, seed=5, epochs=9, data=f"folder:{copy}")) == key_of(config)
    smaller = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=16))
    assert key_of(smaller) == key_of(config)
    grey = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=1))
    keys = [key_of(config), key_of(with_pipeline(config, split_seed=1)), key_of(grey)]
    for other in (
        config,
        smaller,
        with_pipeline(config, central_crop=0.5),
        with_pipeline(config, interpolation="area"),
    ):
        keys.append(key_of(other, whole=False))
    first, second = map(Path, open_splits(config, known_bad=()).train.names[:2])
    contents = first.read_bytes(), second.read_bytes()
    for content, path in zip(contents, (second, first), strict=True):  # another order
        path.write_bytes(content)
    keys.append(key_of(config))
    stat = first.stat()
    first.write_bytes(contents[1][:-3] + bytes([contents[1][-3] ^ 1]) + contents[1][-2:])  # of the same size and time
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    keys.append(key_of(config))
    assert len(set(keys)) == len(keys)


def damage_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "a bit of the pixels": lambda kept: damage_bit(kept / disk.PIXELS),
    "cut pixels": lambda kept: os.truncate(kept / disk.PIXELS, 100),
    "more pixels": lambda kept: os.truncate(kept / disk.PIXELS, (kept / disk.PIXELS).stat().st_size + 1),
    "no pixels": lambda kept: (kept / disk.PIXELS).unlink(),
    "a bit of the shapes": lambda kept: damage_bit(kept / disk.SHAPES),
    "an index that is none": lambda kept: (kept / disk.INDEX).write_text("{"),
    "an empty index": lambda kept: (kept / disk.INDEX).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_told_and_made_anew(tmp_path: Path, data: str, damage):
    config = config_for(data, tmp_path)
    images = open_splits(config, known_bad=()).train
    expected = cached(images, config, whole=True).values.tobytes()
    (kept,) = sets_in(tmp_path)
    damage(kept)
    with pytest.warns(UserWarning, match="must be as it was written, and is made anew. Received: ") as told:
        assert cached(images, config, whole=True).values.tobytes() == expected
    assert len(told) == 1
    assert cached(images, config, whole=True).values.tobytes() == expected  # without a warning


def test_what_is_broken_off_counts_for_nothing(tmp_path: Path, data: str):
    config = config_for(data, tmp_path / "kept")
    images = open_splits(config, known_bad=()).train

    def broken_off():
        yield np.zeros((30, 30, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.kept_on_disk(images, config, True, broken_off)
    (kept,) = sets_in(tmp_path / "kept")
    assert not sets_in(kept)
    (kept / ".pixels.12345").write_bytes(b"of a killed process")
    cached(images, config, whole=True)
    assert {path.name for path in kept.iterdir()} == {disk.PIXELS, disk.SHAPES, disk.INDEX}


def test_room_is_asked_for_before_it_begins(tmp_path: Path, data: str, monkeypatch):
    usage, config = namedtuple("usage", "free"), config_for(data, tmp_path)
    images = open_splits(config, known_bad=()).train
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(free=20_000))
    for whole in (True, False):
        with pytest.raises(ValueError, match="cache_dir must have room for about .* MB of decoded images. Received: "):
            cached(images, config, whole=whole)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path, data: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cache_dir must be a folder that can be written to. Received: "):
        batches_of(config_for(data, tmp_path / "file"))


def test_it_excludes_the_service():
    with pytest.raises(ValueError, match="cache_dir and pipeline.service exclude each other"):
        config_for("folder:x", "kept", service="grpc://localhost:1").validate()


def test_a_relative_folder_holds_in_any_working_directory(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_for("digits", "kept").resolved().pipeline.cache_dir == str(tmp_path / "kept")


# ---- mapped files


def test_a_file_larger_than_32_bits_count_is_read_at_its_end(tmp_path: Path):
    size, end = 2**32 + 4096, np.arange(300, dtype=np.uint8)
    with (tmp_path / "large").open("wb") as file:  # takes hardly any room
        file.truncate(size)
        file.seek(size - 300)
        file.write(end.data)
    mapped = MappedFile(tmp_path / "large")
    starts, shapes = np.array([0, size - 300]), np.array([(1, 1, 3), (10, 10, 3)])
    images = PictureImages(mapped.values, starts, shapes, np.zeros(2, np.int64), ["a", "b"], None, mapped)
    np.testing.assert_array_equal(images.decode(tf.constant(1, tf.int64)), end.reshape(10, 10, 3))
    part = images.decode_window(tf.constant(1, tf.int64), lambda _: tf.constant([7, 2, 3, 4]), 1)
    np.testing.assert_array_equal(part, end.reshape(10, 10, 3)[7:, 2:6])


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="Linux tells what takes memory")
def test_what_was_looked_at_takes_no_memory_once_it_is_forgotten(tmp_path: Path):
    def megabytes() -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
        return int(line.split()[1]) / 1024

    (tmp_path / "file").write_bytes(bytes(2**26))
    mapped = MappedFile(tmp_path / "file")
    before = megabytes()
    assert mapped.values.max() == 0
    assert megabytes() > before + 50
    assert int(mapped.forget(tf.constant(7))) == 7
    assert megabytes() < before + 10


@pytest.mark.slow
def test_processes_wait_for_one_another_and_outlive_a_kill(tmp_path: Path, data: str):
    kept = tmp_path / "kept"
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from test_disk import batches_of, config_for, disk\n"
        "write = disk._write\n"
        "def slowly(folder, pictures, *rest):\n"
        "    print('writes', flush=True)\n"
        "    def slow():\n"
        "        for picture in pictures:\n"
        "            time.sleep(0.3)\n"
        "            yield picture\n"
        "    return write(folder, slow(), *rest)\n"
        "disk._write = slowly\n"
        "print(sum(int(batch.sum()) for batch in batches_of(config_for(*sys.argv[2:]))), flush=True)\n"
    )
    helpers = Path(__file__).parents[1] / "helpers"
    environment = {**os.environ, "PYTHONPATH": str(helpers), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", script, str(Path(__file__).parent), data, str(kept)]

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    first = started()
    assert first.stdout.readline() == "writes\n"
    others = [started(), started()]
    for _ in itertools.takewhile(lambda _: not list(kept.rglob(".pixels.*")), itertools.count()):
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    told = [process.communicate(timeout=300)[0].split() for process in others]
    expected = str(sum(int(batch.sum()) for batch in batches_of(config_for(data))))
    assert sorted(told) == sorted([[expected], ["writes", expected]])
