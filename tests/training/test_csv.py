"""Tables of images: CSV files as people have them, data frames, and several sources as one."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from killed_training import with_tiny
from rich.console import Console
from table_helpers import DIGITS, PATHS, SPLIT, parts_of, table, write
from training_helpers import tiny_config, with_pipeline

from keras_inception.cli import main
from keras_inception.training import Run, evaluate, pack, resume, scan, train, write_frame
from keras_inception.training.data.sources import open_labelled, open_splits


def test_a_table_is_split_like_the_folder_that_it_lists_whatever_the_order_of_its_rows(here):
    rows = [(path, path.split("/")[0]) for path in PATHS]
    of_folder = open_splits(tiny_config(f"folder:{here}"))
    for order in (rows, rows[::-1]):
        splits = open_splits(tiny_config(write(here, table(order))))
        assert splits.class_names == of_folder.class_names == ["digit_0", "digit_1", "digit_2"]
        for part in ("train", "validation", "test"):
            assert splits[part].names == of_folder[part].names
            assert splits.describe(part) == of_folder.describe(part)


@pytest.mark.parametrize(
    ("header", "separator", "end", "before"),
    [
        ("path,label", ",", "\n", b""),
        ("File Name;Class", ";", "\r\n", b"\xef\xbb\xbf"),  # Excel where a comma is the decimal sign
        ("IMAGE\tCategory", "\t", "\r\n", b""),
        ("  file ,  target ", ",", "\r", b"\xef\xbb\xbf"),
        ('"image-path","class_name"', ",", "\n", b"\n\n"),
        ("id,label", ",", "\n", b""),
    ],
)
def test_headers_separators_and_ends_of_lines_as_programs_write_them(here, header, separator, end, before):
    text = before + table(header=header, separator=separator, end=end).encode()
    splits = open_splits(tiny_config(write(here, text)))
    assert parts_of(splits) == parts_of(open_splits(tiny_config(f"folder:{here}")))


def test_a_spreadsheet_of_windows_is_read_as_it_is(here):
    """Backslashes, quotes, a semicolon, a comma as decimal sign, columns of no concern, and rows that were cleared."""
    rows = [(f'"{path}"'.replace("/", "\\"), f'"{path[6]}; a ""digit"""', "0,5", "x", "") for path in PATHS]
    text = "\ufeff" + table([*rows, ("", "", "", "", "")], "Filename;Label;Weight;Remark;", ";", "\r\n")
    splits = open_splits(tiny_config(write(here, text)))
    assert splits.class_names == [f'{digit}; a "digit"' for digit in range(3)]
    assert set(splits.train.weights) == {0.5}
    assert all(Path(name).is_file() for name in splits.train.names)


def test_columns_of_other_uses_are_left_alone(here):
    rows = [(i, path, path.split("/")[0], "https://x.org/?a;b") for i, path in enumerate(PATHS)]
    splits = open_splits(tiny_config(write(here, table(rows, "id,image,label,source"))))
    assert len(splits.train.names) + len(splits.validation.names) + len(splits.test.names) == 24


def test_paths_begin_at_the_table_and_may_be_absolute_or_in_the_home(here, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    begin = {0: "../photos/", 1: f"{here}/", 2: "~/photos/"}
    (tmp_path / "tables").mkdir()
    rows = [(begin[i % 3] + path, path.split("/")[0]) for i, path in enumerate(PATHS)]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tables", table(rows))
    config = tiny_config("csv:tables/photos.csv").resolved()
    assert config.data == f"csv:{tmp_path}/tables/photos.csv"
    assert sum(len(open_splits(config)[part].names) for part in ("train", "validation", "test")) == 24
    assert open_splits(tiny_config("csv:~/tables/photos.csv")).class_names == ["digit_0", "digit_1", "digit_2"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_table_that_is_a_link_lists_what_lies_beside_the_link(here, tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    write(tmp_path / "store", table(), "0af3")
    (here / "photos.csv").symlink_to(tmp_path / "store" / "0af3")
    monkeypatch.chdir(here)
    config = tiny_config("csv:photos.csv").resolved()
    assert config.data == f"csv:{here}/photos.csv"
    assert len(open_splits(config).class_names) == 3


def test_splits_of_a_table_are_used_by_the_names_that_people_give_them(here):
    names = ["Train", "training", "TRAIN", "valid", "DEV", "val", "testing", "Test"]
    rows = [(path, path.split("/")[0], names[int(path[-5])]) for path in PATHS]
    splits = open_splits(tiny_config(write(here, table(rows, "path,label,Subset"))))
    assert [len(splits[part].labels) for part in ("train", "validation", "test")] == [9, 9, 6]
    rows = [(path, label, "test" if split in ("testing", "Test") else "train") for path, label, split in rows]
    splits = open_splits(tiny_config(write(here, table(rows, "path,label,set"))))
    assert [len(splits[part].labels) for part in ("train", "validation", "test")] == [15, 3, 6]


def test_weights_stay_with_their_images(here):
    rows = [(path, path.split("/")[0], i / 8) for i, path in enumerate(PATHS)]
    splits = open_splits(tiny_config(write(here, table(rows[::-1], "path,label,weight"))))
    expected = [PATHS.index("/".join(Path(name).parts[-2:])) / 8 for name in splits.train.names]
    np.testing.assert_array_equal(splits.train.weights, np.array(expected, np.float32))


def test_undecodable_files_of_a_table_are_set_aside_as_a_folders_are(here):
    (here / "digit_1" / "003.png").write_bytes(b"")
    data = write(here, table())
    with pytest.raises(ValueError, match=r"At most 4.0% .* Received: 1 of 24 in .*photos.csv, the first .*003.png"):
        open_splits(with_pipeline(tiny_config(data), max_bad_share=0.04))
    splits = open_splits(tiny_config(data))
    assert [(Path(bad.path).name, bad.reason) for bad in splits.bad_files] == [("003.png", "empty file")]
    (here / "digit_1" / "003.png").unlink()  # it was left out: it is not missed
    again = open_splits(tiny_config(data), known_bad=[bad.path for bad in splits.bad_files])
    assert again.train.names == splits.train.names
    with pytest.raises(ValueError, match="Every image of a table must be a file"):
        open_splits(tiny_config(data))


def test_what_is_no_file_is_refused(here):
    with pytest.raises(FileNotFoundError, match="csv:FILE must name a file. Received: .*absent.csv"):
        open_splits(tiny_config(f"csv:{here / 'absent.csv'}"))
    with pytest.raises(ValueError, match="csv:FILE must name a file, and folder:PATH a folder. Received: .*, a folder"):
        open_splits(tiny_config(f"csv:{here}"))


def test_single_letters_are_classes_of_their_own_in_either_case(here):
    splits = open_splits(tiny_config(write(here, table([(path, "aAb"[int(path[6])]) for path in PATHS]))))
    assert splits.class_names == ["A", "a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="folders differ by more than case there")
def test_class_folders_that_differ_by_case_are_refused_and_the_scan_names_them(here):
    shutil.copytree(here / "digit_1", here / "Digit_1")
    if len(list(here.iterdir())) == 3:
        pytest.skip("folders differ by more than case on this file system")
    with pytest.raises(ValueError, match="more than case and blanks. Received: 'Digit_1' and 'digit_1' in .*photos"):
        open_splits(tiny_config(f"folder:{here}"))
    [found] = [finding for finding in scan(here).errors if finding.kind == "twins"]
    assert (found.path, found.detail) == (str(here / "digit_1"), "as Digit_1")


def test_other_data_may_be_tested_on_whatever_its_split_is_called(here):
    names = ["digit_0", "digit_1", "digit_2"]
    for header, rows in (("path,label", DIGITS), ("path,label,split", [(*row, "val") for row in DIGITS])):
        images, _ = open_labelled(write(here, table(rows, header)), tiny_config(), names)
        assert len(images.labels) == 24
    images, _ = open_labelled(write(here, table(DIGITS[8:9])), tiny_config(), names)
    assert images.labels.tolist() == [1]
    with pytest.raises(
        ValueError, match=r"classes of csv:.* must be among the 3 classes trained on. .*'digit_3' unknown"
    ):
        open_labelled(write(here, table([(PATHS[0], "digit_3")])), tiny_config(), names)


def halves(here: Path, folder: Path) -> tuple[Path, Path]:
    """Two folders of a flat one's images: the first four of each class, and the others."""
    for path in PATHS:
        half = folder / ("a" if int(path[-5]) < 4 else "b") / path
        half.parent.mkdir(parents=True, exist_ok=True)
        os.link(here / path, half)
    return folder / "a", folder / "b"


def test_several_folders_and_tables_are_one(here, tmp_path):
    a, b = halves(here, tmp_path)
    whole = open_splits(tiny_config(f"folder:{here}"))
    table_of_b = write(b, table([row for row in DIGITS if int(row[0][-5]) >= 4]))
    for data in (f"folder:{a},folder:{b}", f"folder:{b},folder:{a}", f"{table_of_b},folder:{a}"):
        assert parts_of(open_splits(tiny_config(data))) == parts_of(whole)
    shutil.rmtree(b / "digit_2")
    for path in (b / "digit_1").iterdir():  # an empty class is filled by another folder
        path.unlink()
    splits = open_splits(tiny_config(f"folder:{a},folder:{b}"))
    assert splits.class_names == ["digit_0", "digit_1", "digit_2"]
    assert sum(len(splits[part].labels) for part in ("train", "validation", "test")) == 16


def test_several_sources_are_found_again_from_anywhere_and_commas_in_paths_are_their_own(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = tmp_path / "roses, and folders:all"
    odd.mkdir()
    halves(here, odd)
    config = tiny_config(f"folder:{odd.name}/a,folder:{odd.name}/b").resolved()
    assert config.data == f"folder:{odd}/a,folder:{odd}/b"
    config.validate()
    assert len(open_splits(config).train.labels) == 16
    with pytest.raises(FileNotFoundError, match=r"A folder of images must exist. Received: .*/c$"):
        open_splits(tiny_config(f"folder:{odd}/a,folder:{odd}/c"))


def test_an_image_of_two_sources_is_refused(here):
    data = f"folder:{here},{write(here, table())}"
    with pytest.raises(ValueError, match=r"listed once, .*000.png' first \(.*/photos\) and again \(line 2 of .*csv\)"):
        open_splits(tiny_config(data))


def test_a_scan_of_several_folders_names_what_is_in_both(here, tmp_path, capsys):
    a, b = halves(here, tmp_path)
    for name in ("digit_0/100.png", "digit_1/100.png"):
        (b / name).write_bytes((a / PATHS[0]).read_bytes())
    result = scan(f"folder:{a},folder:{b}")
    assert {(f.kind, f.path, f.detail) for f in result.findings if "100" in f.path} == {
        ("duplicate", str(b / "digit_0/100.png"), f"the same file as {a}/digit_0/000.png"),
        ("conflict", str(b / "digit_1/100.png"), f"the same file as {a}/digit_0/000.png"),
    }
    assert (result.files, result.per_class[str(b / "digit_1")]) == (26, 5)
    assert main(["scan", f"folder:{a},folder:{b}"]) == 1
    assert "conflict" in capsys.readouterr().out


def test_a_scan_of_a_table_names_every_missing_file_and_goes_by_its_labels_and_splits(here):
    rows = [*SPLIT, ("digit_0/404.png", "digit_0", "train"), ("digit_0/405.png", "digit_0", "train")]
    shutil.copy(here / PATHS[0], here / "copy.png")
    shutil.copy(here / PATHS[1], here / "other.png")
    rows += [("copy.png", "digit_0", "test"), ("other.png", "digit_1", "train")]
    result = scan(write(here, table(rows, "path,label,split")))
    assert result.per_class["train/digit_0"] == 7 and result.per_class["test/digit_0"] == 2
    found = {Path(f.path).name: f.kind for f in result.errors}
    assert found["404.png"] == found["405.png"] == "missing"
    assert found["copy.png" if "copy.png" in found else "000.png"] == "overlap"
    assert found["other.png"] == "conflict"
    with pytest.raises(ValueError, match="every quote closed"):
        scan(write(here, 'path,label\n"a'))


def test_one_class_in_nested_folders_is_no_conflict(here):
    (here / "digit_0" / "more").mkdir()
    shutil.copy(here / PATHS[0], here / "digit_0" / "more" / "again.png")
    [found] = scan(here).findings
    assert found.kind == "duplicate"


@pytest.mark.slow
def test_a_run_notices_that_its_table_has_changed_or_is_gone(tiny, here, tmp_path, monkeypatch):
    monkeypatch.chdir(here)
    rows = [(*row, 1 + i % 2) for i, row in enumerate(DIGITS)]
    write(here, table(rows, "path,label,weight"))
    config = with_tiny(tiny_config("csv:photos.csv", epochs=2))
    run = train(config, tmp_path / "run", stop_after=1, console=Console(file=io.StringIO()))
    monkeypatch.chdir(tmp_path)
    file = here / "photos.csv"
    changed = [(*rows[0][:2], 1.5), *rows[1:]]
    relabelled = [(PATHS[0], "digit_1", 1), *rows[1:]]
    for text in (
        table(changed, "path,label,weight"),
        table(relabelled, "path,label,weight"),
        table(rows[1:], "path,label,weight"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match="A run's data must be what it was trained on"):
            Run.open(run.folder).splits  # noqa: B018
    file.unlink()
    with pytest.raises(FileNotFoundError, match="csv:FILE must name a file. Received: .*photos.csv"):
        resume(tmp_path / "run", console=Console(file=io.StringIO()))
    write(here, table(rows[::-1], "Path,Class,Weight", end="\r\n"))  # the same images, labels and weights
    finished = resume(tmp_path / "run", console=Console(file=io.StringIO()))
    assert finished.read_json("metrics.json")["test_accuracy"] >= 0
    assert evaluate(finished, data=f"csv:{file}").images == 24


def test_a_table_is_packed_with_its_splits_and_weights(here, tmp_path):
    rows = [(*row, 1 + i / 100) for i, row in enumerate(SPLIT)]
    data = write(here, table(rows, "path,label,split,weight"))
    index = pack(data, tmp_path / "packed", shuffle_seed=None)
    assert index["images"] == {
        part: dict.fromkeys(["digit_0", "digit_1", "digit_2"], n) for part, n in (("train", 7), ("test", 1))
    }
    packed, plain = (open_splits(tiny_config(source)) for source in (f"tfrecord:{tmp_path / 'packed'}", data))
    np.testing.assert_array_equal(packed.train.weights, plain.train.weights)
    assert parts_of(packed) == parts_of(plain)


class TestFrames:
    @pytest.fixture
    def pandas(self):
        return pytest.importorskip("pandas")

    def test_a_frame_becomes_a_table_that_is_found_from_anywhere(self, pandas, here, tmp_path, monkeypatch):
        monkeypatch.chdir(here)
        frame = pandas.DataFrame(SPLIT, columns=["File", "class", "split"]).assign(note="a,b")
        frame["File"] = frame["File"].map(Path)
        data = write_frame(tmp_path / "photos", frame)
        assert data == f"csv:{tmp_path / 'photos.csv'}"
        monkeypatch.chdir(tmp_path)
        text = (tmp_path / "photos.csv").read_text()
        assert text.splitlines()[:2] == ["path,label,split", f"{here}/digit_0/000.png,digit_0,train"]
        assert parts_of(open_splits(tiny_config(data))) == parts_of(
            open_splits(tiny_config(write(here, table(SPLIT, "path,label,split"))))
        )
        frame["weight"] = np.float32(0.1)
        frame = frame[frame["split"] == "train"]
        splits = open_splits(tiny_config(write_frame(tmp_path / "b.csv", frame, folder=here)))
        assert set(splits.train.weights) == {np.float32(0.1)}
        assert [len(splits[part].labels) for part in ("train", "validation", "test")] == [14, 3, 4]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"label": None}, "must have a label .* Received: row 3 with '' in the data frame"),
            ({"label": float("nan")}, "must have a label .* Received: row 3 with '' in the data frame"),
            (
                {"path": "digit_0/404.png"},
                "must be a file. Received: row 3 '.*404.png', of 24 images in the data frame",
            ),
            ({"weight": -1.0}, "A weight must be .* Received: row 3 with '-1.0' in the data frame"),
        ],
    )
    def test_a_frame_with_a_fault_is_not_written(self, pandas, here, tmp_path, change, message):
        frame = pandas.DataFrame(DIGITS, columns=["path", "label"]).assign(weight=1.0)
        for column, value in change.items():
            frame.loc[3, column] = value
        with pytest.raises(ValueError, match=message):
            write_frame(tmp_path / "photos.csv", frame, folder=here)
        assert not (tmp_path / "photos.csv").exists()

    def test_columns_are_looked_for_by_name(self, pandas, tmp_path):
        with pytest.raises(ValueError, match="must name a column path .* Received: 'a' in the data frame"):
            write_frame(tmp_path / "photos.csv", pandas.DataFrame({"a": [1]}))

    def test_any_frame_that_writes_csv_will_do(self, here, tmp_path):
        class Frame:  # as Polars has it
            def write_csv(self):
                return table()

        assert write_frame(tmp_path / "photos.csv", Frame(), folder=here) == f"csv:{tmp_path / 'photos.csv'}"
        with pytest.raises(ValueError, match="must be one of pandas or Polars. Received: a list"):
            write_frame(tmp_path / "photos.csv", DIGITS)


@pytest.mark.slow
def test_the_command_trains_on_a_table(here, tmp_path, capsys):
    data = write(here, table(header="image;class", separator=";", end="\r\n"))
    overrides = ["--epochs", "1", "--model.image-size", "12", "--pipeline.batch-size", "8"]
    overrides += ["--model.name", "inception_cell", "--model.no-aux-heads", "--model.options", "modules=1", "width=32"]
    assert main(["train", "--recipe", "digits", "--data", data, "--output", str(tmp_path / "run"), *overrides]) == 0
    assert Run.open(tmp_path / "run").config.data == data
    assert main(["evaluate", str(tmp_path / "run"), "--data", data]) == 0
    write(here, "path,label\n")
    assert main(["evaluate", str(tmp_path / "run"), "--data", data]) == 1
    assert "A table must list images below its header" in capsys.readouterr().err
