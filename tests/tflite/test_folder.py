"""What may be overwritten: an export, and nothing that somebody put beside or inside it."""

import json
from pathlib import Path

import pytest
from tflite_helpers import digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.folder import sha256, strangers

IMAGES, _ = digits()


def export(folder: Path, **options) -> kt.Export:
    return kt.export(tiny(), folder, **{"modes": "float32", "saved_model": False, **options})


@pytest.mark.parametrize("manifest", ['{"some": "other tool"}', "[1]", "no json", '{"format": 2, "files": []}'])
def test_a_folder_of_another_tool_is_never_replaced(tmp_path: Path, manifest: str):
    target = tmp_path / "out"
    (target / "src").mkdir(parents=True)
    (target / "src" / "main.py").write_text("years of work")
    (target / "export.json").write_text(manifest)
    before = sha256(target)
    with pytest.raises(kt.ExportError, match="is something else"):
        export(target, overwrite=True)
    assert sha256(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", ["notes.txt", "saved_model/notes.txt", "saved_model/variables/mine", "model_int8.tflite"]
)
def test_an_export_with_a_file_of_the_users_is_not_replaced(tmp_path: Path, name: str):
    target = tmp_path / "out"
    export(target, saved_model=True)
    (target / name).write_text("years of work")
    before = sha256(target)
    with pytest.raises(kt.ExportError, match=rf"holds nothing else\. Received: .*out with {name}\.$"):
        export(target, overwrite=True)
    assert sha256(target) == before


def test_what_export_and_verify_wrote_is_replaced_even_if_damaged(tmp_path: Path):
    target = tmp_path / "out"
    written = export(target, saved_model=True, modes=("float32", "int8"), calibration=IMAGES[:20])
    kt.verify(tiny(), target, [IMAGES[:20]], limits=kt.Limits(difference=None, agreement=None), runs=1)
    assert strangers(target) == []
    written.files["int8"].write_bytes(b"cut off")
    (target / "labels.txt").unlink()
    (target / ".proof.json.partial-17").write_text("killed")
    (target / ".DS_Store").write_text("a desktop")
    export(target, overwrite=True)
    assert sorted(path.name for path in target.iterdir()) == ["export.json", "labels.txt", "model_float32.tflite"]
    assert json.loads((target / "export.json").read_text())["format"] == 1


def test_many_strangers_are_counted(tmp_path: Path):
    export(tmp_path / "out")
    for index in range(5):
        (tmp_path / "out" / f"{index}.txt").write_text("")
    with pytest.raises(kt.ExportError, match=r"with 0\.txt, 1\.txt, 2\.txt and 2 more\.$"):
        export(tmp_path / "out", overwrite=True)
