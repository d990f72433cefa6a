"""Arguments and weights held against one another: the builders and `weights.build` by the same rules."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_inception as ki
from keras_inception import numerics as n
from keras_inception import weights
from keras_inception.weights import fitting, forms
from keras_inception.weights.fitting import Request

EQUAL_FORMS = [(network, *pair) for network, pairs in forms._SAME_NETWORK.items() for pair in pairs]


@pytest.mark.parametrize(("network", "written", "usual"), EQUAL_FORMS, ids=str)
def test_forms_that_count_as_one_are_one_network(network: str, written: dict, usual: dict):
    shared = {"include_top": network == "inception_resnet_v1", "input_shape": (75, 75, 3), "classes": 2}
    shared |= {"alpha": 0.25} if network == "inception_v2" else {}
    with keras.StatelessScope(initialize_variables=False):  # forms alone
        first, second = (ki.create_model(network, **shared, **arguments) for arguments in (written, written | usual))
    assert json.loads(first.to_json()) == json.loads(second.to_json())


@pytest.mark.parametrize(
    ("network", "arguments", "tag"),
    [
        ("inception_resnet_v1", {"bottleneck": 512}, "tf2cv/inceptionresnetv1"),
        ("inception_v2", {"stem": "separable"}, "slim/inception_v2"),
        ("shufflenet", {"variant": "pytorchcv"}, "tf2cv/shufflenet_g3_w1"),
        ("shufflenet", {"variant": "pytorchcv", "alpha": 0.5}, "tf2cv/shufflenet_g3_wd2"),
    ],
)
def test_the_default_form_written_out_has_the_default_weights(network: str, arguments: dict, tag: str):
    for source in ("imagenet", tag):
        found = fitting.resolve(Request(source=source, network=network, arguments=arguments))
        assert found.weight_set.tag == tag


def test_shufflenet_of_another_stem_has_none():
    with pytest.raises(ValueError, match="arguments that weights were released for"):
        fitting.resolve(
            Request(source="imagenet", network="shufflenet", arguments={"variant": "pytorchcv", "alpha": 1.5})
        )


def resolved_by(make, monkeypatch) -> str:
    """The tag that a builder or `weights.build` resolves a request to, before anything is downloaded."""
    tags = []

    def stop(weight_set):
        tags.append(weight_set.tag)
        raise weights.DownloadError(weight_set.tag)

    monkeypatch.setattr("keras_inception.weights.resolved.fetch", stop)
    with pytest.raises(weights.DownloadError):
        make()
    return tags[0]


@pytest.mark.parametrize("size", [96, 224, 100])
def test_builders_and_build_choose_the_same_set(size: int, monkeypatch):
    arguments = {"input_shape": (size, size, 3)}
    by_builder = resolved_by(lambda: ki.MobileNetV2(weights="imagenet", **arguments), monkeypatch)
    by_build = resolved_by(lambda: weights.build("imagenet", network="mobilenet_v2", **arguments), monkeypatch)
    assert by_builder == by_build == f"keras/mobilenet_v2_1.0_{96 if size == 96 else 224}"


@pytest.mark.parametrize("arguments", [{"input_shape": (224, 224, 1)}, {"classes": 7}, {"alpha": 0.3}])
def test_builders_and_build_refuse_the_same_before_a_download(arguments: dict, monkeypatch):
    monkeypatch.setattr("keras_inception.weights.resolved.fetch", None)
    sentences = []
    for make in (
        lambda: ki.MobileNetV2(weights="imagenet", **arguments),
        lambda: weights.build("imagenet", network="mobilenet_v2", **arguments),
    ):
        with pytest.raises(ValueError, match="Received") as caught:
            make()
        sentences.append(str(caught.value).replace("alpha=0.3, variant='slim', ", ""))
    assert sentences[0].partition("Received")[0] == sentences[1].partition("Received")[0]


@pytest.mark.parametrize("source", ["", ".", "/", False, 0, 3.5, ["imagenet"], np.array(["imagenet"])], ids=repr)
def test_what_names_no_weights_gets_the_one_sentence(source):
    for make in (lambda: ki.MobileNetV2(weights=source), lambda: weights.build(source, network="mobilenet_v2")):
        with pytest.raises(ValueError, match="weights must be None, 'imagenet', the tag of a released"):
            make()


def test_load_weights_says_who_knows_imagenet():
    with pytest.raises(ValueError, match="'imagenet' is, a builder and weights.build know"):
        weights.load_weights(None, "imagenet")


def test_a_folder_does_not_hide_a_tag(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("keras/inception_v3").mkdir(parents=True)
    assert fitting.find("keras/inception_v3").weight_set.tag == "keras/inception_v3"


@pytest.mark.parametrize(
    ("numerics", "words"),
    [
        (n.TORCH, None),
        (n.KERAS, "under epsilon=1e-05, padding='torch'"),
        (n.Numerics(epsilon=1e-5), "under padding='torch'. Received: a model of padding='same'"),
    ],
)
def test_known_weights_in_a_model_of_other_numerics_are_warned_of(numerics, words, tmp_path: Path):
    source = ki.MobileNetV2(alpha=0.5, input_shape=(32, 32, 3), numerics=n.TORCH)
    weights.save_weights(source, tmp_path / "torch.h5", source=weights.get_weights("timm/mobilenetv2_050.lamb_in1k"))
    model = ki.MobileNetV2(alpha=0.5, input_shape=(32, 32, 3), numerics=numerics)
    if words is None:
        weights.load_weights(model, tmp_path / "torch.h5")
    else:
        with pytest.warns(UserWarning, match=words):
            weights.load_weights(model, tmp_path / "torch.h5")


@pytest.mark.parametrize(
    ("tag", "shorter"),
    [
        ("timm/inception_v4.tf_in1k", 341),  # floor(299 / 0.875)
        ("timm/resnext50_32x4d.a1_in1k", 235),  # floor(224 / 0.95)
        ("torchvision/resnext50_32x4d.v2", 232),
        ("torchvision/inception_v3", 342),
        ("tf2cv/inceptionv4", 342),
        ("keras/mobilenet_v2_1.0_224", 256),
    ],
)
def test_pictures_are_resized_as_the_weights_were_evaluated(tag: str, shorter: int, tmp_path: Path, monkeypatch):
    Image.new("RGB", (400, 500)).save(tmp_path / "one.png")
    sizes, resize = [], Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, size, *a: sizes.append(size) or resize(self, size, *a))
    preprocessing = weights.get_weights(tag).preprocessing
    assert weights.read_picture(tmp_path / "one.png", preprocessing).shape == (preprocessing.size,) * 2 + (3,)
    assert sizes == [(shorter, round(shorter * 1.25))]


def test_a_picture_of_any_size_gets_a_sentence(tmp_path: Path, monkeypatch):
    Image.new("L", (300, 300)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ValueError, match="at most 20,000 pixels"):
        weights.read_picture(tmp_path / "huge.png", weights.get_weights("keras/xception").preprocessing)
