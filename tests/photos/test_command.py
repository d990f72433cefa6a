"""The command fit: what is mistyped ends in a sentence, and nothing is left behind."""

from pathlib import Path

import pytest
from command_helpers import assert_one_sentence

from keras_inception.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], ["must be a folder", "nosuch"]),
        (["PHOTOS", "--under", "latency=3"], ["latency_ms=NUMBER", "latency"]),
        (["PHOTOS", "--under", "size_mb=small"], ["size_mb must be a number", "small"]),
        (["PHOTOS", "--over", "accuracy=-1"], ["accuracy must be a number", "-1"]),
        (["PHOTOS", "--weights", "nosuch.h5"], ["nosuch.h5"]),
        (["PHOTOS", "--weights", "xception=FILE"], ["must hold weights of xception"]),
        (["PHOTOS", "--weights", "FILE", "--networks", "mobilnet"], ["Did you mean"]),
        (["PHOTOS", "--weights", "FILE", "--choose", "mobilenet_v1-65"], ["--choose names one of", "mobilenet_v1-224"]),
        (["PHOTOS", "--weights", "FILE", "--sizes", "8"], ["at least 32 pixels", "8"]),
    ],
    ids=lambda value: "-".join(value).replace("/", "") if isinstance(value[0], str) else None,
)
def test_whatever_is_mistyped_ends_in_a_sentence(
    arguments: list[str], words: list[str], digits_folder: Path, narrow: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    known = {
        "PHOTOS": str(digits_folder),
        "FILE": str(narrow),
        "xception=FILE": f"xception={narrow.with_name('bare.h5')}",
    }
    code = main(["fit", *(known.get(word, word) for word in arguments)])
    out, err = capsys.readouterr()
    assert_one_sentence((code, "", err), *words)
    assert "Traceback" not in out
    kept = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert kept in ([], ["scan.json"])
