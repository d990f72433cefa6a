"""TF-Slim's checkpoints, read with TensorFlow; 1,001 classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING
from keras_inception.weights.sets import APACHE, WeightSet, sized

INCEPTION = PREPROCESSING["inception"]
_SLIM = "https://storage.googleapis.com/download.tensorflow.org/models/"
_SLIM_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints/"


def sets() -> Iterator[WeightSet]:
    """The rows of the catalogue."""
    rows = [  # network, archive, size, numerics, auxiliary head, top-1, top-5
        ("inception_v1", "inception_v1_2016_08_28.tar.gz", 224, n.SLIM, False, 69.8, 89.6),
        ("inception_v2", "inception_v2_2016_08_28.tar.gz", 224, n.SLIM, False, 73.9, 91.8),
        ("inception_v3", "inception_v3_2016_08_28.tar.gz", 299, n.SLIM, True, 78.0, 93.9),
        ("inception_v4", "inception_v4_2016_09_09.tar.gz", 299, n.SLIM, True, 80.2, 95.2),
        ("inception_resnet_v2", "inception_resnet_v2_2016_08_30.tar.gz", 299, n.SLIM, True, 80.4, 95.3),
    ]
    for network, archive, size, numerics, aux_heads, top1, top5 in rows:
        yield _slim(network, network, {}, numerics, _SLIM + archive, size, top1, top5, aux_heads)
    v1: dict[float, list[tuple[float, float]]] = {  # by alpha, for 224, 192, 160 and 128 pixels
        1.0: [(70.9, 89.9), (70.0, 89.2), (68.0, 87.7), (65.2, 85.8)],
        0.75: [(68.4, 88.2), (67.2, 87.3), (65.3, 86.0), (62.1, 83.9)],
        0.5: [(63.3, 84.9), (61.7, 83.6), (59.1, 81.9), (56.3, 79.4)],
        0.25: [(49.8, 74.2), (47.7, 72.3), (45.5, 70.3), (41.5, 66.3)],
    }
    for alpha, accuracies in v1.items():
        for size, (top1, top5) in zip((224, 192, 160, 128), accuracies, strict=True):
            url = f"{_SLIM}mobilenet_v1_2018_02_22/mobilenet_v1_{alpha}_{size}.tgz"
            name = f"mobilenet_v1_{alpha}_{size}"
            yield _slim(name, "mobilenet_v1", {"alpha": alpha}, n.KERAS, url, size, top1, top5)
    v2 = {
        1.0: (71.8, 91.0),
        0.75: (69.8, 89.6),
        0.5: (65.4, 86.4),
        0.35: (60.3, 82.9),
        1.3: (74.4, 92.1),
        1.4: (75.0, 92.5),
    }
    for alpha, figures in v2.items():
        for size in (224,) if alpha > 1 else (224, 192, 160, 128, 96):
            best = figures if size == 224 else (None, None)
            url, name = f"{_SLIM_V2}mobilenet_v2_{alpha}_{size}.tgz", f"mobilenet_v2_{alpha}_{size}"
            yield _slim(name, "mobilenet_v2", {"alpha": alpha}, n.KERAS, url, size, *best)


def _slim(
    name: str,
    network: str,
    arguments: dict[str, Any],
    numerics: n.Numerics,
    url: str,
    size: int,
    top1: float | None,
    top5: float | None,
    aux_heads: bool = False,
) -> WeightSet:
    return WeightSet(
        tag=f"slim/{name}",
        network=network,
        arguments=arguments,
        numerics=numerics,
        url=url,
        converter=f"slim/{network}",
        licence=APACHE,
        preprocessing=sized(INCEPTION, size),
        class_offset=1,
        aux_heads=aux_heads,
        top1=top1,
        top5=top5,
        accuracy_source="TF-Slim" if top1 else "",
    )
