"""Silence around native code that several threads ask for at a time, and sentences in place of bare errors."""

import os
import threading
import warnings
from pathlib import Path

import pytest
from tflite_helpers import digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.errors import quiet
from keras_inception.tflite.proving import verification

IMAGES, _ = digits()


def identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_threads_that_ask_for_quiet_one_into_the_other_give_standard_error_back(capfd):
    before, filters = identity(2), list(warnings.filters)
    second_inside, first_outside = threading.Event(), threading.Event()

    def second() -> None:
        with quiet():
            second_inside.set()
            assert first_outside.wait(10)
            os.write(2, b"still held back")

    thread = threading.Thread(target=second)
    with quiet():
        thread.start()
        assert second_inside.wait(10)
    first_outside.set()
    thread.join()
    assert identity(2) == before
    assert list(warnings.filters) == filters
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_many_threads_leave_standard_error_and_no_descriptors(capfd):
    before = identity(2), descriptors()

    def often() -> None:
        for _ in range(100):
            with quiet():
                os.write(2, b"noise")

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (identity(2), descriptors()) == before
    assert capfd.readouterr().err == ""


def test_what_was_held_back_is_written_once_when_blocks_in_each_other_raise(capfd):
    with pytest.raises(RuntimeError), quiet(), quiet():
        os.write(2, b"the cause")
        raise RuntimeError
    assert capfd.readouterr().err == "the cause"
    with pytest.raises(kt.ExportError), quiet():
        os.write(2, b"noise")
        raise kt.ExportError("a sentence")
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> kt.Export:
    return kt.export(tiny(), tmp_path_factory.mktemp("errors") / "out", modes="float32", saved_model=False)


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_measured(exported: kt.Export, monkeypatch):
    def read_only(**options):
        raise OSError(30, "Read-only file system", options["dir"])

    def never():
        raise AssertionError
        yield

    monkeypatch.setattr(verification.tempfile, "TemporaryFile", read_only)
    with pytest.raises(kt.ExportError, match=r"proof\.json is written.*out \(Read-only file system\)"):
        kt.verify(tiny(), exported.folder, never())


def test_a_full_disk_leaves_no_half_of_a_proof(exported: kt.Export, monkeypatch):
    write, before = Path.write_text, sorted(exported.folder.iterdir())

    def half(path: Path, text: str, encoding: str) -> None:
        write(path, text[:100], encoding)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(kt.ExportError, match=r"proof\.json is written.*No space left on device"):
        kt.verify(tiny(), exported.folder, [IMAGES[:9]], runs=1)
    assert sorted(exported.folder.iterdir()) == before


LONE = "half of a pair \ud83d"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "at least one image, or None for any number. Received: 0"),
        ({"batch": -1}, "Received: -1"),
        ({"class_names": [LONE] * 10}, r"UTF-8 can hold. Received: 'half of a pair \\ud83d'"),
    ],
)
def test_arguments_that_no_file_can_hold_are_a_sentence(options, message: str, tmp_path: Path):
    with pytest.raises(kt.ExportError, match=message):
        kt.export(tiny(), tmp_path / "out", modes="float32", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [LONE, None, 2])
def test_what_a_file_says_of_itself_is_text(text):
    with pytest.raises(kt.ExportError, match="What a file says of its licence is text that UTF-8 can hold"):
        kt.About(licence=text)
