"""A folder appears whole or not at all: failures, kills, and what must not be overwritten."""

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keras_inception.tflite import atomic
from keras_inception.tflite.atomic import whole_folder
from keras_inception.tflite.errors import ExportError

# Rewrites one folder for ever; each generation is twenty files that hold the same number.
WRITER = """
import sys
from keras_inception.tflite.atomic import whole_folder
generation = 0
while True:
    generation += 1
    with whole_folder(sys.argv[1], marker="0", overwrite=True) as folder:
        for index in range(20):
            (folder / str(index)).write_text(str(generation))
    if generation == 1:
        print("ready", flush=True)
"""


def write(target: Path, text: str, **options) -> None:
    with whole_folder(target, marker="marker", **options) as folder:
        (folder / "marker").write_text(text)


def siblings(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_folder_appears_with_its_files_and_nothing_beside_it(tmp_path: Path):
    write(tmp_path / "deep" / "out", "one")
    assert (tmp_path / "deep" / "out" / "marker").read_text() == "one"
    assert siblings(tmp_path / "deep" / "out") == []


def test_an_empty_folder_may_be_filled(tmp_path: Path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "one")
    assert (tmp_path / "out" / "marker").read_text() == "one"


def test_a_replaced_folder_leaves_nothing_behind(tmp_path: Path):
    write(tmp_path / "out", "one")
    write(tmp_path / "out", "two", overwrite=True)
    assert (tmp_path / "out" / "marker").read_text() == "two"
    assert siblings(tmp_path / "out") == []


def test_a_file_system_without_an_exchange_still_ends_with_the_new_folder(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("keras_inception.tflite.atomic._exchange", lambda one, other: False)
    write(tmp_path / "out", "one")
    write(tmp_path / "out", "two", overwrite=True)
    assert (tmp_path / "out" / "marker").read_text() == "two"
    assert siblings(tmp_path / "out") == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path: Path, overwrite: bool):
    if overwrite:
        write(tmp_path / "out", "old")
    with (
        pytest.raises(RuntimeError, match="half way"),
        whole_folder(tmp_path / "out", marker="marker", overwrite=overwrite) as folder,
    ):
        (folder / "marker").write_text("new")
        raise RuntimeError("half way")
    assert [path.read_text() for path in (tmp_path / "out").glob("*")] == (["old"] if overwrite else [])
    assert siblings(tmp_path / "out") == []


def test_an_existing_export_is_kept_without_overwrite(tmp_path: Path):
    write(tmp_path / "out", "old")
    with pytest.raises(ExportError, match=r"only with overwrite\. Received: .*out exists"):
        write(tmp_path / "out", "new")
    assert (tmp_path / "out" / "marker").read_text() == "old"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_an_export_is_never_replaced(tmp_path: Path, kind: str):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    elif kind == "file":
        target.write_text("years of work")
    else:
        write(tmp_path / "elsewhere", "old")
        target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="is something else"):
        write(target, "new", overwrite=True)
    assert target.exists()


def test_an_output_below_a_file_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="must be writable"):
        write(tmp_path / "file" / "out", "new")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the exchange may not exist")
def test_a_kill_at_any_moment_leaves_one_whole_generation(tmp_path: Path):
    target, moments = tmp_path / "out", random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0, 0.05))
        writer.kill()
        writer.wait()
        writer.stdout.close()
        generations = {path.read_text() for path in target.iterdir()}
        assert len(generations) == 1
        assert len(list(target.iterdir())) == 20
    with whole_folder(target, marker="0", overwrite=True) as folder:
        (folder / "0").write_text("last")
    assert siblings(target) == []  # what the killed writers left was cleared away


def test_a_folder_that_is_being_written_is_not_cleared_away(tmp_path: Path):
    with whole_folder(tmp_path / "out", marker="marker") as first:
        write(tmp_path / "out", "second")
        assert first.is_dir()
        (first / "marker").write_text("first")
        (tmp_path / "out" / "marker").unlink()
    assert (tmp_path / "out" / "marker").read_text() == "first"


def test_a_clean_up_between_making_and_locking_takes_nothing(tmp_path: Path, monkeypatch):
    lock, cleared = atomic._lock, []

    def late(folder: Path, **options) -> int | None:
        if not cleared:
            cleared.append(folder)
            folder.rmdir()
        return lock(folder, **options)

    monkeypatch.setattr(atomic, "_lock", late)
    write(tmp_path / "out", "one")
    assert cleared
    assert (tmp_path / "out" / "marker").read_text() == "one"
    assert siblings(tmp_path / "out") == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_that_comes_first_is_replaced_or_a_sentence(tmp_path: Path, monkeypatch, overwrite: bool):
    replace, others = os.replace, []

    def late(source: Path, target: Path) -> None:
        if not others:
            others.append(source)
            write(tmp_path / "out", "other")
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    if overwrite:
        write(tmp_path / "out", "own", overwrite=True)
    else:
        with pytest.raises(ExportError, match=r"only with overwrite\. Received: .*out exists"):
            write(tmp_path / "out", "own")
    assert (tmp_path / "out" / "marker").read_text() == ("own" if overwrite else "other")
    assert siblings(tmp_path / "out") == []


@pytest.mark.parametrize("exchange", [True, False])
def test_many_at_once_replace_one_folder_without_an_error(tmp_path: Path, monkeypatch, exchange: bool):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)

    def overwrite(writer: int) -> None:
        for index in range(60):
            write(tmp_path / "out", f"{writer} {index}", overwrite=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(overwrite, range(4)))
    assert (tmp_path / "out" / "marker").read_text() in {f"{writer} 59" for writer in range(4)}
    assert siblings(tmp_path / "out") == []


def test_leftovers_are_told_by_name_and_not_by_pattern(tmp_path: Path):
    own, foreign = tmp_path / ".run[1].partial-00", tmp_path / ".run1.partial-00"
    own.mkdir()
    foreign.mkdir()
    write(tmp_path / "run[1]", "one")
    assert siblings(tmp_path / "run[1]") == [".run1.partial-00"]


# Exports into a file system that has room for the first export and not for the next ones.
FULL_DISK = """
import sys
import keras
from tflite_helpers import tiny
from keras_inception.tflite import Export, ExportError, export
folder = sys.argv[1] + "/out"
export(tiny(), folder, modes="float32", saved_model=False)
large = tiny(last=keras.layers.Dense(50_000))
for options in ({"modes": "float32", "saved_model": False}, {"modes": (), "saved_model": True}):
    try:
        export(large, folder, overwrite=True, **options)
    except ExportError as error:
        print(error)
files = Export.open(folder).files
print(list(files), files["float32"].stat().st_size > 0, sorted(__import__("os").listdir(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_old_export_stays(tmp_path: Path):
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user make name spaces")
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "script.py").write_text(FULL_DISK)
    script = f"mount -t tmpfs -o size=1m none {disk}; {sys.executable} {tmp_path}/script.py {disk}"
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "helpers")},
    )
    *sentences, rest = result.stdout.splitlines()
    assert sentences == [f"The disk of the output folder is full. Received: {disk}/out."] * 2, result.stderr
    assert rest == "['float32'] True ['out']"
