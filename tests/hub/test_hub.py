"""Push and fetch against a hub on this machine: what comes back is what went, or one sentence says why not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_helpers import assert_one_sentence
from hub_server import Hub
from tflite_helpers import tiny

pytest.importorskip("huggingface_hub")

from huggingface_hub import ModelCard, constants

import keras_inception as ki
from keras_inception import hub as room
from keras_inception.hub import HubError
from keras_inception.hub.handle import Handle

# huggingface_hub 2.4 hands httpx2 a file in a way that it announces as deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")
PRIVATE = ("my_pictures", "private", "000.png", "007.png")


def pixels(count: int = 4, shape: tuple[int, int, int] = (32, 32, 1)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def held(hub: Hub, name: str) -> dict[str, bytes]:
    repository = hub.repositories[name]
    return repository.commits[repository.refs["main"]]


def test_a_run_comes_back_as_the_network_that_it_is(hub: Hub, run_folder: Path, tmp_path: Path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    calibrated = {"temperature": 2.5, "images": 60, "error_before": 0.2, "error": 0.1}
    (run / "calibration.json").write_text(json.dumps(calibrated))
    pushed = room.push(run, "hf://ada/three", license="MIT")
    assert hub.repositories["ada/three"].messages == ["initial commit", "Upload with keras-inception"]
    fetched = ki.open_model("hf://ada/three")
    assert (fetched.handle, fetched.kind) == ("hf://ada/three", "run")
    original = ki.open_model(run)
    np.testing.assert_array_equal(fetched(pixels()), original(pixels()))
    assert fetched.class_names == original.class_names and fetched.fitting == original.fitting
    assert fetched.run.temperature == 2.5
    file = ki.open_model(f"hf://ada/three@{pushed.revision}/export/model_float32.tflite")
    np.testing.assert_allclose(file(pixels()), ki.open_model(run_folder)(pixels()), atol=1e-5)
    data = ModelCard(held(hub, "ada/three")["README.md"].decode()).data
    assert "fell from 20.0 % to 10.0 %" in held(hub, "ada/three")["README.md"].decode()
    assert (data.license, data.eval_results[0].task_type) == ("mit", "image-classification")
    assert b'"hf://ada/three"' in held(hub, "ada/three")["README.md"]


def test_the_python_of_a_card_runs(hub: Hub, run_folder: Path, tmp_path: Path, monkeypatch, capsys):
    from PIL import Image

    room.push(run_folder, "hf://ada/three")
    folder = room.fetch("hf://ada/three")
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "three"))
    Image.fromarray(pixels(1)[0, ..., 0]).resize((40, 30)).save("picture.jpg")
    blocks = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    capsys.readouterr()
    for block in blocks:
        exec(block, {})
        assert capsys.readouterr().out.startswith("digit_")


def test_no_picture_no_path_and_no_command_line_goes_along(hub: Hub, run_folder: Path):
    room.push(run_folder, "hf://ada/three")
    files = held(hub, "ada/three")
    assert not [name for name in files if name.endswith((".png", ".html")) or "tensorboard" in name]
    texts = {name: content.decode() for name, content in files.items() if name.endswith((".json", ".md", ".txt"))}
    for name, text in texts.items():
        assert str(run_folder.parent) not in text and "command" not in text, name
        assert not [word for word in PRIVATE[1:] if word in text], name
    evaluation = json.loads(files["evaluation.json"])
    assert evaluation["misclassified"] == []
    assert evaluation["accuracy"] == json.loads((run_folder / "evaluation.json").read_text())["accuracy"]
    assert room.push(run_folder, "hf://ada/three", report=True).files["report.html"] > 0  # where it is asked for


def test_a_second_push_replaces_the_first_and_leaves_what_is_not_ours(hub: Hub, run_folder: Path):
    first = room.push(run_folder, "hf://ada/three")
    here = held(hub, "ada/three")
    hub.put("ada/three", {**here, "notes/mine.txt": b"kept"})
    second = room.push(run_folder / "export", "hf://ada/three")
    assert {"checkpoints/best.keras", "config.json", "export/export.json"} <= set(second.removed)
    assert set(held(hub, "ada/three")) == {*second.files, ".gitattributes", "notes/mine.txt"}
    assert ki.open_model("hf://ada/three").kind == "export"
    assert ki.open_model(f"hf://ada/three@{first.revision}").kind == "run"  # the first one stays in its commit
    same = room.push(run_folder / "export", "hf://ada/three")
    assert same.revision == second.revision and same.removed == ()


def test_what_was_fetched_is_opened_without_the_hub(hub: Hub, run_folder: Path, monkeypatch: pytest.MonkeyPatch):
    room.push(run_folder, "hf://ada/three")
    folder = room.fetch("hf://ada/three")
    hub.requests.clear()
    monkeypatch.setenv("KERAS_INCEPTION_OFFLINE", "1")
    assert room.fetch("hf://ada/three") == folder and not hub.requests
    with pytest.raises(HubError, match="Offline.*hf://ada/other"):
        room.fetch("hf://ada/other")
    monkeypatch.delenv("KERAS_INCEPTION_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert room.fetch("hf://ada/three") == folder and not hub.requests
    with pytest.raises(HubError, match="Offline.*hf://ada/other"):
        room.fetch("hf://ada/other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert room.fetch("hf://ada/three") == folder
    with pytest.raises(HubError, match="must be reached.*hf://ada/other"):
        room.fetch("hf://ada/other")
    with pytest.raises(HubError, match="cannot be reached.*hf://ada/three"):
        room.push(run_folder / "export", "hf://ada/three")


def test_the_hubs_refusals_are_sentences(hub: Hub, run_folder: Path, monkeypatch: pytest.MonkeyPatch):
    export = run_folder / "export"
    room.push(export, "hf://ada/secret", private=True)
    assert hub.repositories["ada/secret"].private
    assert room.fetch("hf://ada/secret").is_dir()
    shutil.rmtree(constants.HF_HUB_CACHE)
    with pytest.raises(HubError, match="revision is a branch.*@v9"):
        room.fetch("hf://ada/secret@v9")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    for handle in ("hf://ada/secret", "hf://ada/nothing"):
        with pytest.raises(HubError, match="must exist and be yours to see"):
            room.fetch(handle)
    with pytest.raises(HubError, match="right to do this.*hf://ada/new"):
        room.push(export, "hf://ada/new")
    hub.put("ada/open", {"README.md": b""})
    with pytest.raises(HubError, match="right to do this.*hf://ada/open"):
        room.push(export, "hf://ada/open")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="hf auth login"):
        room.fetch("hf://ada/secret")
    with pytest.raises(HubError, match="a token that it knows"):
        room.push(export, "hf://ada/new")
    assert set(hub.repositories) == {"ada/secret", "ada/open"}


def test_an_upload_that_breaks_off_changes_nothing(hub: Hub, run_folder: Path):
    first = room.push(run_folder / "export", "hf://ada/three")
    hub.full = True
    with pytest.raises(HubError, match="must arrive whole.*hf://ada/three"):
        room.push(run_folder, "hf://ada/three")
    assert hub.repositories["ada/three"].refs["main"] == first.revision


def test_a_damaged_file_is_told_and_not_opened(hub: Hub, run_folder: Path):
    room.push(run_folder / "export", "hf://ada/three")
    hub.damaged.add("model_float32.tflite")
    with pytest.raises(HubError, match="model_float32.tflite cut off or damaged: remove") as caught:
        room.fetch("hf://ada/three")
    hub.damaged.clear()
    Path(str(caught.value).partition("remove ")[2].partition(" to have")[0]).unlink()
    assert ki.open_model("hf://ada/three")(pixels()).shape == (4, 3)  # as the sentence says


def test_a_damaged_run_or_export_is_not_pushed(hub: Hub, run_folder: Path, tmp_path: Path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    model = run / "export" / "model_float32.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ValueError, match="model_float32.tflite changed, cut off or damaged"):
        room.push(run, "hf://ada/three")
    shutil.rmtree(run / "export")
    (run / "checkpoints" / "best.keras").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="whole .keras file"):
        room.push(run, "hf://ada/three")
    assert not hub.requests


def test_models_of_others_are_found_in_their_repositories(hub: Hub, run_folder: Path, tmp_path: Path):
    tiny().save(tmp_path / "own.keras")
    own = (tmp_path / "own.keras").read_bytes()
    hub.put("eve/one", {"README.md": b"mine", "nested/own.keras": own, "pytorch_model.bin": b"not for us"})
    assert ki.open_model("hf://eve/one").kind == "keras"
    assert not [request for request in hub.requests if "pytorch_model.bin" in request]
    hub.put("eve/two", {"a.keras": own, "b.keras": own})
    with pytest.raises(HubError, match="one is named, as in hf://eve/two/a.keras"):
        room.fetch("hf://eve/two")
    assert room.fetch("hf://eve/two/b.keras").name == "b.keras"
    with pytest.raises(HubError, match="A path must be one of its repository"):
        room.fetch("hf://eve/two/c.keras")
    hub.put("eve/none", {"README.md": b"words"})
    with pytest.raises(HubError, match="with none of them"):
        room.fetch("hf://eve/none")


def test_code_of_others_is_refused_and_never_run(hub: Hub, run_folder: Path, tmp_path: Path):
    import keras

    ran = tmp_path / "ran"
    pictures = keras.Input((12, 12, 1))
    x = keras.layers.Flatten()(pictures)
    written = str(ran)
    x = keras.layers.Lambda(lambda value: (open(written, "w").close(), value)[1], name="evil")(x)  # noqa: PTH123 (a path is not written down)
    keras.Model(pictures, keras.layers.Dense(3, activation="softmax")(x)).save(tmp_path / "evil.keras")
    ran.unlink()
    evil = (tmp_path / "evil.keras").read_bytes()
    hub.put("eve/file", {"model.keras": evil})
    room.push(run_folder, "hf://ada/three")
    hub.put("eve/run", {**held(hub, "ada/three"), "checkpoints/best.keras": evil})
    for handle in ("hf://eve/file", "hf://eve/run"):
        with pytest.raises(ValueError, match="must be|code"):
            ki.open_model(handle)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("text", "repository", "revision", "path"),
    [
        ("hf://ada/three", "ada/three", None, ""),
        ("hf://ada/three@v1.0", "ada/three", "v1.0", ""),
        ("hf://ada/three@v1.0/export/", "ada/three", "v1.0", "export"),
        ("hf://a.d-a/th_ree/x y.keras", "a.d-a/th_ree", None, "x y.keras"),
    ],
)
def test_a_handle_is_read(text: str, repository: str, revision: str | None, path: str):
    assert Handle.parse(text) == Handle(repository, revision, path)


@pytest.mark.parametrize(
    "text",
    ["hf://ada", "hf://", "hf:///three", "hf://ada/../three", "hf://ada/three/../../x", "hf://ada/three@", "ada/three",
     "hf://ada/three@v1@v2", "hf://ada/three//x", "hf://ada/thr ee", "hf://ada/three/."],
)  # fmt: skip
def test_what_is_no_handle_is_refused(text: str):
    with pytest.raises(HubError, match="hf://USER/NAME"):
        Handle.parse(text)


def test_the_command_lists_then_pushes_then_opens(hub: Hub, run_folder: Path, command, monkeypatch):
    code, out, _ = command("push", run_folder, "hf://ada/three", "--dry-run")
    assert code == 0 and "checkpoints/best.keras" in out and "hf://ada/three" in out
    assert not hub.requests
    code, out, err = command("push", run_folder, "hf://ada/three", "--private", "--json")
    pushed = json.loads(out)
    assert not err  # progress is for terminals
    assert code == 0 and pushed["revision"] == hub.repositories["ada/three"].refs["main"]
    code, out, _ = command("card", "hf://ada/three")
    assert code == 0 and out.startswith("---\n") and "\n# three\n" in out
    picture = next(run_folder.parents[1].glob("private*/my_pictures/digit_0/000.png"))
    code, out, _ = command("predict", "hf://ada/three", picture, "--json")
    assert code == 0 and "digit_" in out
    assert_one_sentence(command("evaluate", "hf://ada/three"), "--data")  # the cache is not written to
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", False)  # whose server is not here
        assert_one_sentence(command("push", run_folder, "hf://ada/other"), "hf://ada/other")
    assert_one_sentence(command("push", run_folder, "ada/three"), "hf://USER/NAME")
    assert_one_sentence(command("push", run_folder, "hf://ada/three@v1"), "as a whole")
    assert_one_sentence(command("push", run_folder.parent, "hf://ada/three"), "config.json")
    assert_one_sentence(command("card", "hf://ada/nothing"), "hf://ada/nothing")


def test_the_settings_of_huggingface_hub_hold(hub: Hub, run_folder: Path, tmp_path: Path):
    """In a process of its own, which reads them as a user's does: endpoint, token, cache."""
    room.push(run_folder / "export", "hf://ada/secret", private=True)
    environment = {
        **os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": "hf_writer",
    }  # fmt: skip
    code = "from keras_inception import hub; print(hub.fetch('hf://ada/secret'))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    folder = Path(result.stdout.strip())
    assert folder.is_relative_to(tmp_path / "home") and (folder / "export.json").is_file()
