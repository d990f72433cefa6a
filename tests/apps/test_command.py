"""The command app: runs and exports become projects, and what is neither gets a sentence."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_helpers import Command, assert_one_sentence
from killed_training import tiny_registered, with_tiny
from training_helpers import tiny_config, write_digits

from keras_inception.photos.shipping import export_run
from keras_inception.training import train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("data") / "digits", each=12)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("run") / "three digits"
    with tiny_registered():
        trained = train(with_tiny(tiny_config(f"folder:{data}")), folder)
        export_run(trained, folder / "export", modes=("float32",), saved_model=False)
        yield folder


def test_a_run_becomes_an_app_of_its_own_test_pictures(command: Command, run: Path, tmp_path: Path):
    code, out, _ = command("app", run, "--for", "python")
    assert code == 0
    assert str(run / "app-python") in out
    assert "model_float32.tflite" in out
    expected = json.loads((run / "app-python" / "golden" / "expected.json").read_text("utf-8"))
    assert 1 <= len(expected["pictures"]) <= 16
    tested = subprocess.run([sys.executable, "-m", "unittest"], cwd=run / "app-python", capture_output=True, text=True)
    assert tested.returncode == 0, tested.stderr
    again = command("app", run, "--for", "python")
    assert_one_sentence(again, "must be a new or empty folder", str(run / "app-python"))
    other = command("app", run, "--for", "python", "--mode", "int8", "-o", tmp_path / "app")
    assert_one_sentence(other, "(float32)", "int8")


def test_an_export_alone_becomes_an_app_of_any_pictures(command: Command, run: Path, data: Path, tmp_path: Path):
    output = tmp_path / "app"
    given = ("app", run / "export", "--for", "cpp", "-o", output)
    assert_one_sentence(command(*given), "--data names real pictures", "alone")
    assert not output.exists()
    code, out, _ = command(*given, "--data", f"folder:{data}")
    assert code == 0
    assert "cmake" in out
    assert len(list((output / "golden").glob("*.seen.png"))) == 16


def test_what_is_neither_run_nor_export_gets_a_sentence(command: Command, data: Path, run: Path, tmp_path: Path):
    assert_one_sentence(
        command("app", data, "--for", "web"), "a run folder with its export, or of an export", str(data)
    )
    (tmp_path / "config.json").write_text("{}")
    assert_one_sentence(command("app", tmp_path, "--for", "web"), "exported before an app is made", str(tmp_path))
    assert_one_sentence(command("app", run, "--for", "ios", "--serve"), "--for web", "--for ios")
    assert_one_sentence(command("app", run, "--for", "web", "--port", 9000), "are of --serve", "9000")


@pytest.mark.slow
def test_a_page_is_served_once_it_is_whole(run: Path, tmp_path: Path):
    """Without what npm would bring: the network is not asked."""
    app = tmp_path / "app"
    script = f"""
import sys
from keras_inception.cli import apps, main
apps._install = lambda folder: None
arguments = ["app", {str(run)!r}, "--for", "web", "-o", {str(app)!r}, "--serve", "--port", "0"]
sys.exit(main(arguments))
"""
    serving = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        lines = iter(serving.stdout.readline, "")
        page = next(line.split()[1] for line in lines if line.startswith("page"))
        assert page.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(page + "app.json", timeout=10) as response:
            assert json.load(response)["name"] == "three digits"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(page + "%2e%2e/config.json", timeout=10)
    finally:
        time.sleep(0.1)
        serving.terminate()
        serving.wait(10)
        assert serving.stdout is not None
        serving.stdout.close()
