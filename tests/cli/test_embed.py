"""The command embed, and exports of the head embedding: what they write and say, and what they refuse."""

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from command_helpers import Command, assert_one_sentence
from killed_training import tiny_registered, with_tiny
from training_helpers import tiny_config, write_digits

from keras_inception.training import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits", each=12)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("run") / "run"
    with tiny_registered():
        train(with_tiny(tiny_config(f"folder:{data}")), folder, stop_after=1)
        yield folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = keras.Input((12, 12, 3))
    x = keras.layers.Flatten(name="values")(keras.layers.Rescaling(1 / 255)(pixels))
    file = tmp_path_factory.mktemp("model") / "small.keras"
    keras.Model(pixels, keras.layers.Dense(2, name="classes")(x)).save(file)
    return file


def test_embed_writes_a_file_and_says_what_is_in_it(command: Command, data: Path, model: Path, tmp_path: Path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "broken.png").write_bytes(b"\x89PNG")
    for path in data.glob("digit_0/*.png"):
        (tmp_path / "more" / path.name).write_bytes(path.read_bytes())
    code, out, err = command("embed", tmp_path / "more", "--model", model, "-o", tmp_path / "out.npz")
    assert code == 0, err
    assert "432 numbers each, of embedding" in out
    assert err.startswith(f"keras-inception: left out {tmp_path / 'more' / 'broken.png'}: ")
    with np.load(tmp_path / "out.npz") as kept:
        assert kept["vectors"].shape == (12, 432)
    code, out, err = command(
        "embed", data, "--model", model, "-o", tmp_path / "b.npz", "--end-point", "classes", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    assert (told["pictures"], told["features"], told["about"]["end_point"]) == (36, 2, "classes")


def test_a_run_is_embedded_and_exported_and_both_agree(command: Command, data: Path, run: Path, tmp_path: Path):
    code, out, err = command(
        "export", run, "--head", "embedding", "--output", tmp_path / "export", "--modes", "float32", "--calibration", 8
    )
    assert code == 0, err
    assert_one_sentence(command("card", tmp_path / "export"), "tells classes", "an embedding")
    code, out, err = command("verify", run, "--folder", tmp_path / "export", "--images", 6)
    assert code == 0, err
    assert "cosine" in out
    for name, handle in {"run": run, "export": tmp_path / "export"}.items():
        code, out, err = command("embed", data, "--model", handle, "-o", tmp_path / f"{name}.npz")
        assert code == 0, err
    first, second = (np.load(tmp_path / f"{name}.npz")["vectors"] for name in ("run", "export"))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_limits_of_an_embedding_are_held(command: Command, run: Path, tmp_path: Path):
    options = ["--head", "embedding", "--output", tmp_path / "export", "--modes", "int8", "--no-saved-model"]
    outcome = command("export", run, *options, "--prove", "--quantized-cosine", "0.99999999")
    assert_one_sentence(outcome, "must stay within the limits", "within a cosine of")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "nosuch", "--model", "{model}", "-o", "a.npz"], ["nosuch"]),
        (["embed", "{data}", "--model", "nosuch", "-o", "a.npz"], ["A model is", "nosuch"]),
        (["embed", "{data}", "--model", "{model}", "-o", "a.txt"], ["ends in .npz", "a.txt"]),
        (
            ["embed", "{data}", "--model", "{model}", "-o", "a.npz", "--end-point", "clases"],
            ["clases", "near it are classes"],
        ),
        (["export", "{run}", "--head", "embedding", "--learning", "float32"], ["tells no classes", "a learning file"]),
    ],
)
def test_bad_input_ends_in_a_sentence(
    command: Command, data: Path, model: Path, run: Path, tmp_path: Path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    filled = [word.format(data=data, model=model, run=run) for word in arguments]
    assert_one_sentence(command(*filled), *words)
    assert list(tmp_path.iterdir()) == []
