"""Data sets of Hugging Face's library: what is found in them, what is set aside, and what is refused."""

import io
import shutil
import sys
from pathlib import Path

import pytest
from killed_training import with_tiny
from rich.console import Console
from table_helpers import DIGITS, PATHS, parts_of
from training_helpers import tiny_config, with_pipeline

from keras_inception.training import Run, pack, resume, train
from keras_inception.training.data import hf
from keras_inception.training.data.sources import open_splits


class TestHuggingFace:
    @pytest.fixture
    def datasets(self, tmp_path, monkeypatch):
        datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        return datasets

    @pytest.fixture
    def saved(self, datasets, here, tmp_path):
        """A function that saves rows of (path, class) with further splits and columns, and returns the place."""

        def save(rows=DIGITS, features=None, **parts):
            names = ["digit_0", "digit_1", "digit_2"]
            features = features or {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}

            def part(rows):
                columns = {"image": [str(here / path) for path, _ in rows], "label": [label for _, label in rows]}
                values = dict(zip(features, columns.values(), strict=True))
                return datasets.Dataset.from_dict(values, features=datasets.Features(features))

            made = part(rows) if not parts else datasets.DatasetDict({name: part(rows) for name, rows in parts.items()})
            place = tmp_path / "saved"
            shutil.rmtree(place, ignore_errors=True)
            made.save_to_disk(str(place))
            return f"hf:{place}"

        return save

    def test_columns_are_found_by_their_types_and_splits_by_their_names(self, datasets, saved, here):
        features = {"picture": datasets.Image(), "digit": datasets.ClassLabel(names=["digit_0", "digit_1", "digit_2"])}
        rows = {"train": DIGITS, "dev": DIGITS[::4], "extra": DIGITS[:1]}
        splits = open_splits(tiny_config(saved(features=features, **rows)))
        assert [len(splits[part].labels) for part in ("train", "validation", "test")] == [21, 3, 6]
        assert splits.class_names == ["digit_0", "digit_1", "digit_2"]
        single = open_splits(tiny_config(saved()))
        assert parts_of(single) == parts_of(open_splits(tiny_config(f"folder:{here}")))
        for part in ("train", "validation", "test"):
            assert single.describe(part) == open_splits(tiny_config(f"folder:{here}")).describe(part)

    def test_a_folder_of_images_is_read_by_the_library(self, datasets, here, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        config = tiny_config("hf:./photos").resolved()
        assert config.data == f"hf:{here}"
        assert parts_of(open_splits(config)) == parts_of(open_splits(tiny_config(f"folder:{here}")))

    def test_damaged_and_unlabelled_images_are_set_aside(self, saved, here):
        (here / PATHS[3]).write_bytes(b"no image")
        config = with_pipeline(
            tiny_config(saved(train=DIGITS, test=[(path, -1) for path in PATHS[:3]])), max_bad_share=0.1
        )
        splits = open_splits(config)
        assert [(Path(bad.path).name, bad.reason) for bad in splits.bad_files] == [
            ("003.png", "not a JPEG, PNG, GIF, BMP or WebP image")
        ]
        assert sum(len(splits[part].labels) for part in ("train", "validation", "test")) == 23
        again = open_splits(config, known_bad=[bad.path for bad in splits.bad_files])
        assert again.train.names == splits.train.names
        with pytest.raises(ValueError, match="At most 1.0% .* Received: 1 of 24 in"):
            open_splits(with_pipeline(config, max_bad_share=0.01))

    @pytest.fixture
    def loaded(self, datasets, here, monkeypatch):
        """A function that has the library load rows of (path or None, class): files, not their bytes."""

        def load(**parts):
            features = datasets.Features(
                {"image": datasets.Image(), "label": datasets.ClassLabel(names=["digit_0", "digit_1", "digit_2"])}
            )
            made = {
                part: datasets.Dataset.from_dict(
                    {"image": [path and str(here / path) for path, _ in rows], "label": [label for _, label in rows]},
                    features=features,
                )
                for part, rows in parts.items()
            }
            monkeypatch.setattr(hf, "_load", lambda _: made)
            return tiny_config("hf:loaded")

        return load

    def test_a_file_may_be_named_twice_and_a_part_be_empty(self, loaded):
        splits = open_splits(loaded(train=[*DIGITS, DIGITS[0]], test=[]))
        names = [name for part in ("train", "validation", "test") for name in splits[part].names]
        assert len(names) == len(set(names)) == len(DIGITS) + 1

    @pytest.mark.parametrize(("row", "told"), [((None, 0), "neither"), (("gone.png", 0), "gone.png")])
    def test_an_image_that_is_nowhere_gets_a_sentence(self, loaded, row, told):
        with pytest.raises(ValueError, match=rf"its bytes or a file. Received: row 24 of loaded/train with .*{told}"):
            open_splits(loaded(train=[*DIGITS, row]))

    def test_what_cannot_be_trained_on_is_refused(self, datasets, saved, tmp_path, monkeypatch):
        image, names = datasets.Image(), datasets.ClassLabel(names=["digit_0", "digit_1", "digit_2"])
        for data, message in (
            (
                {"features": {"image": image, "text": datasets.Value("string")}},
                "one column of the type ClassLabel, .* none in",
            ),
            (
                {"features": {"file": datasets.Value("string"), "label": names}},
                "one column of the type Image, .* none in",
            ),
            ({"test": DIGITS, "val": DIGITS}, "must have a split named train. Received: .*'test', 'validation'"),
            ({"train": DIGITS, "val": DIGITS, "dev": DIGITS}, "one split for validation. Received: another, 'dev'"),
            ({"rows": [*DIGITS, (PATHS[0], -1)]}, "every image .* 3 classes and 1 images without one"),
        ):
            with pytest.raises(ValueError, match=message) as caught:
                open_splits(tiny_config(saved(**data)))
            assert "\n" not in str(caught.value)
        with pytest.raises(FileNotFoundError, match="hf:PATH must name a folder. Received: "):
            open_splits(tiny_config(f"hf:{tmp_path / 'absent'}"))
        asked = []

        def load(*place):
            asked.append(place)
            raise ConnectionError("no hub\nat all")

        monkeypatch.setattr(datasets, "load_dataset", load)
        for place in ("someone/flowers", "someone/flowers:small"):
            with pytest.raises(ValueError, match=rf"the library datasets can load. Received: '{place}' \(no hub\)"):
                open_splits(tiny_config(f"hf:{place}"))
        assert asked == [("someone/flowers", None), ("someone/flowers", "small")]

    @pytest.mark.slow
    def test_a_run_is_trained_resumed_and_packed(self, tiny, saved, tmp_path):
        config = with_pipeline(with_tiny(tiny_config(saved(), epochs=2)), cache_mb=0)
        train(config, tmp_path / "run", stop_after=1, console=Console(file=io.StringIO()))
        run = resume(tmp_path / "run", console=Console(file=io.StringIO()))
        assert (run.folder / "report.html").is_file()
        pack(config.data, tmp_path / "packed", shuffle_seed=None)
        packed = open_splits(tiny_config(f"tfrecord:{tmp_path / 'packed'}"))
        assert parts_of(packed) == parts_of(run.splits)
        saved([(path, "digit_0" if path == PATHS[-1] else label) for path, label in DIGITS])
        with pytest.raises(ValueError, match="A run's data must be what it was trained on"):
            Run.open(run.folder).splits  # noqa: B018
        with pytest.raises(ValueError, match="service needs images that are addressed by index"):
            train(with_pipeline(config, service="grpc://localhost:1"), tmp_path / "other", console=Console(quiet=True))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-inception\[hf\]'"):
        open_splits(tiny_config("hf:beans"))
