"""The commands about networks and their weights: plot, weights, convert, and predict without a run."""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import keras
import numpy as np
import pytest
from command_helpers import Command, assert_one_sentence
from PIL import Image

import keras_inception as ki
from keras_inception.weights import get_weights, list_weights, save_weights

TAG = "keras/mobilenet_v2_0.35_96"


def test_plot_draws_every_block(command: Command, tmp_path: Path):
    code, out, _ = command("plot", "inception_v1", "-o", tmp_path / "v1.svg", "--aux-heads", "--options", "alpha=0.25")
    assert code == 0 and "v1.svg" in out
    drawn = {text.strip() for text in ET.parse(tmp_path / "v1.svg").getroot().itertext()}
    assert {"inception_3a", "inception_5b", "aux1", "aux2", "predictions"} <= drawn


def test_weights_lists_the_catalogue(command: Command):
    code, out, _ = command("weights", "--json")
    assert code == 0
    assert [row["tag"] for row in json.loads(out)] == [weight_set.tag for weight_set in list_weights()]
    code, out, _ = command("weights", "--model", "inception_v4")
    assert code == 0 and "timm/inception_v4.tf_in1k" in out and "mobilenet" not in out


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small network as a file of ours that tells where it comes from."""
    weight_set = get_weights(TAG)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_weights(ki.create_model(weight_set.network, **weight_set.arguments), path, source=weight_set)
    return path


def test_convert_keeps_every_weight(command: Command, weights_file: Path, tmp_path: Path):
    code, out, _ = command("convert", weights_file, "-o", tmp_path / "mine.h5")
    assert code == 0 and "mine.h5" in out
    first, second = (ki.weights.build(path)[0] for path in (weights_file, tmp_path / "mine.h5"))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_predict_takes_a_weights_file(command: Command, weights_file: Path, tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "one.png")
    code, out, err = command("predict", weights_file, tmp_path / "one.png", "--top", "3", "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    model, found = ki.weights.build(weights_file)
    image = ki.preprocess_input(ki.weights.read_picture(tmp_path / "one.png", found.preprocessing), found.preprocessing)
    (expected,) = ki.decode_predictions(model.predict_on_batch(image[None]), top=3)
    assert [named["class"] for named in row["predictions"]] == [prediction.class_name for prediction in expected]
    np.testing.assert_allclose([n["probability"] for n in row["predictions"]], [p.probability for p in expected], 1e-5)


def test_predict_names_a_photograph(command: Command, shared: Path):
    picture = shared / "data" / "imagenet_sample" / "n01440764.jpg"
    weights = shared / "weights" / "mobilenet_v2_1.0_224.h5"
    code, out, _ = command("predict", "mobilenet_v2", picture, "--weights", weights)
    assert code == 0 and out.split("n01440764.jpg")[1].split()[0] == "tench"


def test_a_file_that_does_not_tell_its_network_names_the_option(command: Command, tmp_path: Path):
    save_weights(ki.create_model("mobilenet_v1", alpha=0.25), tmp_path / "silent.h5")
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    assert_one_sentence(command("predict", tmp_path / "silent.h5", tmp_path / "one.png"), "--weights")


def test_convert_without_torch_is_one_sentence(command: Command, tmp_path: Path, monkeypatch):
    (tmp_path / "m.pth").write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = command("convert", tmp_path / "m.pth", "-o", tmp_path / "x.h5", "--model", "mobilenet_v1")
    assert_one_sentence(outcome, "pip install torch")


def test_predict_with_auxiliary_heads_and_labels_of_ones_own(command: Command, tmp_path: Path):
    form = {"alpha": 0.1, "classes": 3}  # of the default size, on which the width of the heads' dense layers depends
    save_weights(ki.InceptionV1(**form, aux_heads=True), tmp_path / "heads.h5")
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\n")
    options = ["--options", "alpha=0.1", "classes=3", "aux_heads=true"]
    arguments = ["--model", "inception_v1", "--labels", tmp_path / "labels.txt", *options]
    code, _, err = command("convert", tmp_path / "heads.h5", "-o", tmp_path / "own.h5", *arguments)
    assert code == 0, err
    Image.new("RGB", (80, 70)).save(tmp_path / "one.png")
    for more in ([], ["--options", "aux_heads=true"]):
        code, out, err = command("predict", tmp_path / "own.h5", tmp_path / "one.png", "--json", *more)
        assert code == 0, err
        assert {named["class"] for named in json.loads(out)[0]["predictions"]} == {"ant", "bee", "cat"}


def test_summary_and_plot_work_channels_first(command: Command, tmp_path: Path):
    keras.config.set_image_data_format("channels_first")
    try:
        code, out, err = command("summary", "mobilenet_v1", "--options", "alpha=0.25")
        assert code == 0 and "3x224x224" in out, err
        code, _, err = command("plot", "mobilenet_v1", "-o", tmp_path / "x.svg", "--options", "alpha=0.25")
        assert code == 0, err
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["predict", "mobilenet_v2", "no.jpg"], ["no.jpg"]),
        (["plot", "inception_v7", "-o", "x.svg"], ["'inception_v4'?"]),
        (["plot", "inception_v1", "-o", "/proc/x.svg"], ["/proc"]),
        (["plot", "inception_v1", "-o", "x.png"], ["ends in .svg"]),
        (["summary", "inception_v1", "--image-size", "0"], ["at least 32x32"]),
        (["weights", "--model", "mobilenet"], ["mobilenet_v"]),
        (["convert", "keras/inception_v3", "-o", "x.txt"], [".safetensors", "x.txt"]),
        (["convert", "keras/inception_v33", "-o", "x.h5"], ["keras/inception_v3"]),
        (["convert", "timm/resnext50_32x4d.fb_ssl_yfcc100m_ft_in1k", "-o", "x.h5"], ["CC-BY-NC", "--accept-license"]),
    ],
)
def test_mistakes_get_one_sentence(command: Command, arguments: list[str], words: list[str], tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(command(*arguments), *words)
    assert not list(tmp_path.iterdir())
