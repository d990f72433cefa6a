"""The C++ kit builds in an empty folder, passes its golden test, and fails it when pictures are prepared otherwise."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_inception.apps import Kit, write_app

pytestmark = pytest.mark.slow
NEEDED = ("cmake", "c++", "make")
CHANGES = {
    "bilinear → nearest": ('"bilinear"', '"nearest"', "app.json"),
    "BGR for RGB": ("static_cast<int>(i), c)", "static_cast<int>(i), channels - 1 - c)", "src/prepare.cc"),
    "no crop": ('"central_crop": 0.875', '"central_crop": 1.0', "app.json"),
}


@pytest.fixture(scope="module")
def built(kit: Kit, pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} must be installed to build the C++ kit")
    if importlib.util.find_spec("ai_edge_litert") is None or sys.platform != "linux":
        pytest.skip("the wheel of ai-edge-litert brings LiteRT's library on Linux")
    folder = write_app(kit, "cpp", tmp_path_factory.mktemp("cpp") / "app", pictures)
    configured = subprocess.run(
        ["cmake", "-B", "build", "-DCMAKE_BUILD_TYPE=Debug", f"-DPython3_EXECUTABLE={sys.executable}"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if "Could NOT find PNG" in configured.stderr or "Could NOT find JPEG" in configured.stderr:
        pytest.skip("libpng-dev and libjpeg-dev must be installed to build the C++ kit")
    assert configured.returncode == 0, configured.stderr
    return folder


def build_and_test(folder: Path) -> subprocess.CompletedProcess[str]:
    made = subprocess.run(["cmake", "--build", "build"], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning:" not in made.stderr
    return subprocess.run(["build/golden_test"], cwd=folder, capture_output=True, text=True)


def test_it_builds_and_passes(built: Path):
    tested = build_and_test(built)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "4 of 4 pictures passed" in tested.stdout
    told = subprocess.run(["build/classify", "golden/00.png"], cwd=built, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("golden/00.png: ")
    refused = subprocess.run(["build/classify", "README.md"], cwd=built, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.endswith("A picture must be a whole PNG or JPEG file. Received: README.md\n")


@pytest.mark.parametrize("change", CHANGES)
def test_it_fails_when_pictures_are_prepared_otherwise(built: Path, change: str):
    old, new, name = CHANGES[change]
    text = (built / name).read_text("utf-8")
    assert text.count(old) == 1
    (built / name).write_text(text.replace(old, new), "utf-8")
    try:
        tested = build_and_test(built)
    finally:
        (built / name).write_text(text, "utf-8")
    assert tested.returncode == 1
    assert "FAILED" in tested.stdout
