"""Weights of torchvision: `.pth`, read with PyTorch. Its Inception weights want [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING, Preprocessing
from keras_inception.weights.sets import BSD, WeightSet, sized

INCEPTION, TORCH = PREPROCESSING["inception"], PREPROCESSING["torch"]
_TORCHVISION = "https://download.pytorch.org/models/"


def sets() -> Iterator[WeightSet]:
    """The rows of the catalogue."""
    new = sized(TORCH, 224, 224 / 232)
    v3, googlenet = sized(INCEPTION, 299, 299 / 342), sized(INCEPTION, 224)
    plain = sized(TORCH, 224)
    r8, r64 = {"width": 8}, {"cardinality": 64}
    rows: list[tuple[str, str, str, dict[str, Any], n.Numerics, Preprocessing, float, float]] = [
        # tag, file, network, arguments, numerics, preprocessing, top-1, top-5
        ("googlenet", "googlenet-1378be20", "inception_v1", {}, n.TORCHVISION_GOOGLENET, googlenet, 69.778, 89.530),
        (
            "inception_v3",
            "inception_v3_google-0cc3c7bd",
            "inception_v3",
            {},
            n.TORCHVISION_INCEPTION,
            v3,
            77.294,
            93.450,
        ),
        ("resnext50_32x4d.v1", "resnext50_32x4d-7cdf4587", "resnext50", {}, n.TORCH, plain, 77.618, 93.698),
        ("resnext50_32x4d.v2", "resnext50_32x4d-1a0047aa", "resnext50", {}, n.TORCH, new, 81.198, 95.340),
        ("resnext101_32x8d.v1", "resnext101_32x8d-8ba56ff5", "resnext101", r8, n.TORCH, plain, 79.312, 94.526),
        ("resnext101_32x8d.v2", "resnext101_32x8d-110c445d", "resnext101", r8, n.TORCH, new, 82.834, 96.228),
        ("resnext101_64x4d", "resnext101_64x4d-173b62eb", "resnext101", r64, n.TORCH, new, 83.246, 96.454),
        ("mobilenet_v2.v1", "mobilenet_v2-b0353104", "mobilenet_v2", {}, n.TORCH, plain, 71.878, 90.286),
        ("mobilenet_v2.v2", "mobilenet_v2-7ebf99e0", "mobilenet_v2", {}, n.TORCH, new, 72.154, 90.822),
    ]
    converters = {"inception_v1": "torchvision/googlenet", "mobilenet_v2": "torchvision/mobilenet_v2"}
    for name, file, network, arguments, numerics, preprocessing, top1, top5 in rows:
        yield WeightSet(
            tag=f"torchvision/{name}",
            network=network,
            arguments=arguments,
            numerics=numerics,
            url=f"{_TORCHVISION}{file}.pth",
            converter=converters.get(network, f"torch/{network}"),
            digest=f"sha256:{file.rpartition('-')[2]}",
            licence=BSD,
            preprocessing=preprocessing,
            aux_heads=name == "inception_v3",  # GoogLeNet's heads are in the file, untrained
            top1=top1,
            top5=top5,
            accuracy_source="torchvision",
        )
