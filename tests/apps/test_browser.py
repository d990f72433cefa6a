"""The web kit in headless Chromium: golden pictures chosen as files, on CPU and GPU, offline, for everybody."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from keras_inception.apps import Kit, write_app
from keras_inception.apps.golden import tolerance
from keras_inception.apps.serving import server

pytestmark = pytest.mark.slow
DRIVER = Path(__file__).resolve().parents[1] / "helpers" / "web_app.mjs"
TOOLS = ("puppeteer-core@24", "axe-core@4")


def npm(folder: Path, *arguments: str) -> None:
    """Has npm bring packages, or skips the test: where tests run there may be no network."""
    command = [shutil.which("npm") or "npm", *arguments, "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm {arguments[0]} took too long")
    if done.returncode:
        pytest.skip(f"npm {arguments[0]} cannot bring its packages here")


@pytest.fixture(scope="module")
def found(kit: Kit, pictures, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    absent = [name for name in ("node", "npm") if shutil.which(name) is None] + ([] if chromium else ["chromium"])
    if absent:
        pytest.skip(f"{', '.join(absent)} must be installed to try the page")
    folder = write_app(kit, "web", tmp_path_factory.mktemp("web") / "app", pictures)
    npm(folder, "ci")
    tools = tmp_path_factory.mktemp("tools")
    npm(tools, "install", "--no-save", *TOOLS)
    named = os.environ.get("KERAS_INCEPTION_SCREENSHOTS")
    screenshots = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    with server(folder, port=0) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        try:
            url = f"http://127.0.0.1:{serving.server_port}/"
            arguments = ["node", DRIVER, tools, chromium, url, folder / "golden", screenshots]
            driven = subprocess.run(arguments, capture_output=True, text=True, timeout=240)
        finally:
            serving.shutdown()
            thread.join()
    assert driven.returncode == 0, driven.stderr
    told = json.loads(driven.stdout)
    told["expected"] = json.loads((folder / "golden" / "expected.json").read_text("utf-8"))["pictures"]
    return told | {"url": url, "kit": kit}


@pytest.mark.parametrize(("backend", "processor"), [("wasm", "cpu"), ("webgpu", "gpu")])
def test_golden_pictures_get_the_proven_answers(found: dict[str, Any], backend: str, processor: str):
    outcome = found["backends"][backend]
    if backend == "webgpu" and "GPU" not in outcome["processor"]:
        pytest.skip("this Chromium has no WebGPU")
    labels, most = found["kit"].description["labels"], tolerance("int8")[processor]["probability"]
    assert len(outcome["answers"]) == len(found["expected"])
    for shown, row in zip(outcome["answers"], found["expected"], strict=True):
        assert len(shown) == 5
        for label, percent in shown:
            share = float(percent.removesuffix(" %")) / 100
            assert share == pytest.approx(row["probabilities"][labels.index(label)], abs=most + 0.0006)
    assert "ms median" in outcome["measured"]


def test_the_camera_and_what_is_dropped_are_answered_too(found: dict[str, Any]):
    assert found["camera"].endswith(" %")
    labels, probabilities = found["kit"].description["labels"], found["expected"][0]["probabilities"]
    assert found["dropped"] == labels[probabilities.index(max(probabilities))]


def test_the_kits_own_test_passes(found: dict[str, Any]):
    assert found["test"].startswith("Passed: 4 pictures on wasm")


def test_no_request_leaves_the_machine_and_nothing_goes_wrong(found: dict[str, Any]):
    assert found["requests"]
    assert {request.removeprefix("blob:").startswith(found["url"]) for request in found["requests"]} == {True}
    assert found["problems"] == []


def test_it_works_without_a_network_once_loaded(found: dict[str, Any]):
    assert found["offline"].startswith("Ready")


def test_it_is_for_everybody(found: dict[str, Any]):
    assert [problem for problem in found["axe"] if problem["impact"] in ("serious", "critical")] == []
    assert "file" in found["focused"]
    assert "camera-on" in found["focused"]
