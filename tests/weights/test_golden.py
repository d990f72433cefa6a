"""Every network against public implementations: their checkpoints converted, their outputs reproduced."""

import csv
from pathlib import Path

import numpy as np
import pytest
from foreign import Golden

import keras_inception as ki
from keras_inception import numerics as n
from keras_inception import weights

TORCHVISION_V3 = {"numerics": n.TORCHVISION_INCEPTION}
CASES = {
    "pytorchcv__bninception": ("inception_v2", {"variant": "paper", "numerics": n.BN_INCEPTION}),
    "pytorchcv__inceptionresnetv1": ("inception_resnet_v1", {}),
    "pytorchcv__shufflenet_g3_w1": ("shufflenet", {"groups": 3}),
    "pytorchcv__xception": ("xception", {"numerics": n.TORCH}),
    "slim__inception_resnet_v2": ("inception_resnet_v2", {"aux_heads": True, "classes": 1001}),
    "slim__inception_v1": ("inception_v1", {"classes": 1001}),
    "slim__inception_v2": ("inception_v2", {"classes": 1001}),
    "slim__inception_v3": ("inception_v3", {"aux_heads": True, "classes": 1001}),
    "slim__inception_v4": ("inception_v4", {"aux_heads": True, "classes": 1001}),
    "slim__mobilenet_v1_1.0_224": ("mobilenet_v1", {"classes": 1001}),
    "slim__mobilenet_v2_1.0_224": ("mobilenet_v2", {"classes": 1001}),
    "timm__inception_resnet_v2": ("inception_resnet_v2", {"numerics": n.KERAS}),
    "timm__inception_v3": ("inception_v3", TORCHVISION_V3),
    "timm__inception_v4": ("inception_v4", {"numerics": n.KERAS}),
    "timm__legacy_xception": ("xception", {"numerics": n.TORCH}),
    "timm__mobilenetv1_100": ("mobilenet_v1", {"numerics": n.TORCH}),
    "timm__mobilenetv2_100": ("mobilenet_v2", {"numerics": n.TORCH}),
    "torchvision__googlenet": ("inception_v1", {"numerics": n.TORCHVISION_GOOGLENET, "aux_heads": True}),
    "torchvision__inception_v3": ("inception_v3", TORCHVISION_V3 | {"aux_heads": True}),
    "torchvision__mobilenet_v2": ("mobilenet_v2", {"numerics": n.TORCH}),
    "torchvision__resnext50_32x4d": ("resnext50", {}),
}


SLOW = {
    "slim__inception_resnet_v2",
    "slim__inception_v3",
    "slim__inception_v4",
    "slim__mobilenet_v2_1.0_224",
    "timm__legacy_xception",
    "timm__mobilenetv1_100",
    "timm__mobilenetv2_100",
}
PROOF = {
    "slim__inception_v1",
    "timm__inception_resnet_v2",
    "timm__inception_v3",
    "timm__inception_v4",
}  # the networks and their other sources are tested anyway
MARKS = dict.fromkeys(SLOW, pytest.mark.slow) | dict.fromkeys(PROOF, pytest.mark.proof)
PARAMETERS = [pytest.param(name, marks=MARKS.get(name, [])) for name in CASES]


def difference_of(name, folder):
    """By output the largest difference from the source's, relative to the largest value of that."""
    network, arguments = CASES[name]
    golden = Golden(name)
    height, width = golden.told["input_size"]
    model = ki.create_model(network, classifier_activation=None, input_shape=(height, width, 3), **arguments)
    weights.load_weights(model, golden.checkpoint(folder))
    outputs = model(golden.images(), training=False)
    outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
    outputs = {"logits" if key == "predictions" else key: np.asarray(value) for key, value in outputs.items()}
    assert set(outputs) == set(golden.outputs)
    return {
        key: float(np.abs(outputs[key] - expected).max() / np.abs(expected).max())
        for key, expected in golden.outputs.items()
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_outputs_of_the_source(name, tmp_path):
    for key, difference in difference_of(name, tmp_path).items():
        print(f"{name} {key}: {difference:.1e}")
        assert difference < 2e-5


def test_the_background_class_is_dropped(tmp_path):
    golden = Golden("slim__inception_v1")
    model = ki.InceptionV1(classifier_activation=None)
    weights.load_weights(model, golden.checkpoint(tmp_path))
    expected = golden.outputs["logits"][:, 1:]
    assert np.abs(np.asarray(model(golden.images())) - expected).max() < 2e-5 * np.abs(expected).max()


def test_the_figures_of_the_pages_are_of_these_sources():
    with (Path(__file__).parents[2] / "docs" / "figures" / "sources.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    outputs = [network for name, (network, _) in CASES.items() for _ in Golden(name).outputs]
    assert sorted(row["network"] for row in rows) == sorted(outputs)
    assert all(float(row["difference"]) < 2e-5 for row in rows)
