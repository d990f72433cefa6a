"""The catalogue, and what the builders' `weights` argument makes of it."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import numerics as n
from keras_inception import weights
from keras_inception.weights import catalogue, fitting, forms
from keras_inception.weights.converters import get_converter
from keras_inception.weights.fitting import Request
from keras_inception.weights.slots import slots

ROOT = Path(__file__).resolve().parents[2]
SETS = weights.list_weights()


def test_every_row_holds_together():
    for weight_set in SETS:
        check_row(weight_set)


def check_row(weight_set):
    assert weights.get_weights(weight_set.tag) is weight_set
    assert weight_set.network in ki.list_models()
    assert set(weight_set.arguments) <= set(forms.published_arguments(weight_set.network))
    assert weight_set.url.startswith(("https://", "http://dl.caffe", "http://data.lip6"))
    assert get_converter(weight_set.converter).name == weight_set.converter
    assert re.fullmatch(r"|sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}", weight_set.digest)
    assert weight_set.digest or weight_set.url.startswith("https://")
    assert weight_set.licence
    assert weight_set.preprocessing.size
    assert weight_set.class_offset == (1 if weight_set.tag.startswith("slim/") else 0)
    assert weight_set.top1 is None or 30 < weight_set.top1 < (weight_set.top5 or 99) < 100


@pytest.mark.parametrize("network", ki.list_models())
def test_every_set_that_anyone_may_use_has_its_place_in_the_order_of_preference(network):
    preferred = [weight_set.tag for weight_set in catalogue.preferred_weights(network)]
    assert len(preferred) == len(set(preferred))
    assert set(preferred) == {s.tag for s in weights.list_weights(network) if not s.needs_acceptance}


def test_files_are_kept_apart():
    assert len({s.file_name for s in SETS}) == len(SETS)


@pytest.mark.parametrize("network", ki.list_models())
def test_every_network_has_a_default_that_anyone_may_use(network):
    chosen = fitting.default_weights(network, Request(source="imagenet"))
    assert not chosen.needs_acceptance
    assert not forms.differing_arguments(chosen, {})


@pytest.mark.parametrize(
    "network",  # its sets are many
    [pytest.param(n, marks=[pytest.mark.slow] if n.startswith("inception_resnet") else []) for n in ki.list_models()],
)
def test_every_set_names_every_weight_of_its_network(network):
    """The network in each form that weights were released for, against the converter's table."""
    different = {}
    for weight_set in weights.list_weights(network):
        key = (str(weight_set.arguments), weight_set.numerics, weight_set.aux_heads, weight_set.converter)
        different.setdefault(key, weight_set)
    narrow = [s for s in different.values() if s.arguments.get("width", 4) == 4 and "cardinality" not in s.arguments]
    seen = set()
    for weight_set in narrow:
        kind = (weight_set.converter, weight_set.arguments.get("variant"), weight_set.numerics, weight_set.aux_heads)
        if kind in seen:
            continue
        seen.add(kind)
        arguments = {**weight_set.arguments, "numerics": weight_set.numerics}
        if "alpha" in forms.published_arguments(network):
            arguments["alpha"] = 0.25
        if weight_set.aux_heads:
            arguments["aux_heads"] = True
        with keras.StatelessScope(initialize_variables=False):  # names alone
            model = ki.create_model(network, **arguments)
        named = get_converter(weight_set.converter).modules
        assert {slot.layer for slot in slots(model)} <= set(named), weight_set.tag


def test_the_default_follows_the_arguments():
    def default(network, **arguments):
        return fitting.default_weights(network, Request(source="imagenet", arguments=arguments)).tag

    assert default("inception_v3") == "keras/inception_v3"
    assert default("inception_v3", aux_heads=True) == "timm/inception_v3.tv_in1k"
    assert default("inception_v3", numerics=n.SLIM, aux_heads=True) == "slim/inception_v3"
    assert default("mobilenet_v2", alpha=0.5, input_shape=(160, 160, 3)) == "keras/mobilenet_v2_0.5_160"
    assert default("mobilenet_v2", input_shape=(333, 333, 3)) == "keras/mobilenet_v2_1.0_224"
    assert default("shufflenet", groups=8) == "tf2cv/shufflenet_g8_w1"
    assert default("resnext101", cardinality=64) == "timm/resnext101_64x4d.c1_in1k"
    with pytest.raises(ValueError, match=r"weights='imagenet' needs arguments .* Received: alpha=0.3"):
        default("mobilenet_v1", alpha=0.3)


@pytest.mark.parametrize(
    ("network", "arguments", "match"),
    [
        ("inception_v3", {"weights": "keras/xception"}, "belong to Xception. Received: InceptionV3"),
        ("inception_v3", {"weights": "keras/inception_v4"}, "Did you mean 'keras/inception_v3'"),
        ("inception_v3", {"weights": "keras/inception_v3", "aux_heads": True}, "no trained auxiliary heads"),
        ("inception_v3", {"weights": "keras/inception_v3", "classes": 10}, "are for 1000 classes"),
        ("inception_v3", {"weights": "imagenet", "input_shape": (299, 299, 1)}, "3 colour channels. Received: 1"),
        ("inception_v3", {"weights": "keras/inception_v3", "numerics": n.TORCH}, "exact under Numerics"),
        ("inception_v2", {"weights": "bvlc/googlenet"}, "belong to InceptionV1"),
        ("inception_v1", {"weights": "bvlc/googlenet"}, "need variant='paper'. Received: variant='slim'"),
        ("mobilenet_v2", {"weights": "keras/mobilenet_v2_0.5_224"}, "need alpha=0.5. Received: alpha=1.0"),
        ("resnext50", {"weights": "keras/resnext50"}, "CC-BY-NC-4.0, which forbids commercial use"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_built(network, arguments, match, monkeypatch):
    monkeypatch.setenv("KERAS_INCEPTION_OFFLINE", "1")
    monkeypatch.setattr("keras.Model.__init__", None)
    with pytest.raises(ValueError, match=match) as caught:
        ki.create_model(network, **arguments)
    assert "\n" not in str(caught.value)


def test_a_non_commercial_licence_has_to_be_accepted(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_INCEPTION_OFFLINE", "1")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="accept_license=True"):
        weights.build("keras/resnext50")
    with pytest.raises(weights.DownloadError, match="by hand and put it at"):
        weights.build("keras/resnext50", accept_license=True)


@pytest.mark.parametrize("to", ["safetensors", "h5"])
def test_a_file_of_ours_chooses_like_its_tag(to, tmp_path):
    weight_set = weights.get_weights("timm/mobilenetv2_050.lamb_in1k")
    model = ki.MobileNetV2(alpha=0.5, numerics=n.TORCH, input_shape=(32, 32, 3))
    path = tmp_path / f"model.{to}"
    weights.save_weights(model, path, to, source=weight_set)
    again, found = weights.build(path, input_shape=(32, 32, 3))
    assert found.preprocessing == weight_set.preprocessing
    assert found.numerics == n.TORCH
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(again(images)), np.asarray(model(images)), atol=1e-6)
    with pytest.raises(ValueError, match="need alpha=0.5"):
        ki.MobileNetV2(weights=path)
    converted = weights.convert(path, tmp_path / "again.safetensors")
    np.testing.assert_array_equal(
        weights.build(converted)[0].get_layer("conv1_conv").kernel, model.get_layer("conv1_conv").kernel
    )


def test_the_weights_preprocessing_goes_into_the_model(tmp_path):
    weight_set = weights.get_weights("bvlc/googlenet")
    small = {"variant": "paper", "input_shape": (32, 32, 3)}
    model = ki.InceptionV1(numerics=n.CAFFE, **small)
    weights.save_weights(model, tmp_path / "caffe.safetensors", source=weight_set)
    whole = ki.InceptionV1(weights=tmp_path / "caffe.safetensors", include_preprocessing=True, **small)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    expected = model(ki.preprocess_input(pixels, weight_set.preprocessing))
    np.testing.assert_allclose(np.asarray(whole(pixels)), np.asarray(expected), atol=1e-5)


def test_bvlc_googlenet_is_read_with_its_heads(tmp_path):
    """A `.caffemodel` written with the protobuf library, in the old and in the new message."""
    from keras_inception.weights import caffe, caffemodel

    model = ki.InceptionV1(variant="paper", numerics=n.CAFFE, aux_heads=True, input_shape=(224, 224, 3))
    values = {}
    for slot in slots(model):
        value = np.random.default_rng(len(values)).normal(size=slot.variable.shape).astype("float32")
        slot.variable.assign(value)
        values.setdefault(slot.layer, {})[slot.name] = value
    for field, old in (("layers", True), ("layer", False)):
        net = caffemodel.net_parameter()()
        for layer, parts in values.items():
            message = getattr(net, field).add(name=caffe.GOOGLENET.modules[layer])
            kernel = parts["kernel"]
            if layer.endswith("fullyconnected"):
                kernel = kernel.reshape(4, 4, 128, -1).transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)
            else:
                kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
            for array in (kernel, parts["bias"]):
                blob = message.blobs.add(data=array.ravel())
                if old:
                    four = (1,) * (4 - array.ndim) + array.shape
                    blob.num, blob.channels, blob.height, blob.width = four
                else:
                    blob.shape.dim.extend(array.shape)
        (tmp_path / "net.caffemodel").write_bytes(net.SerializeToString())
        for variable in model.weights:
            variable.assign(np.zeros(variable.shape))
        weights.load_weights(model, tmp_path / "net.caffemodel")
        for slot in slots(model):
            np.testing.assert_array_equal(slot.variable, values[slot.layer][slot.name])


def test_the_documentation_lists_the_catalogue():
    text = (ROOT / "docs" / "weights.md").read_text("utf-8")
    for weight_set in SETS:
        if "_224" in weight_set.tag or not re.search(r"_\d+$", weight_set.tag):
            (row,) = re.findall(rf"^\| `{re.escape(weight_set.tag)}` \|.*", text, flags=re.MULTILINE)
            published = ("" if share is None else f"{share:.2f}" for share in (weight_set.top1, weight_set.top5))
            assert [cell.strip() for cell in row.split("|")][4:6] == list(published), weight_set.tag
    for network in ki.list_models():
        assert f"| `{network}` | `{fitting.default_weights(network, Request(source='imagenet')).tag}` |" in text
