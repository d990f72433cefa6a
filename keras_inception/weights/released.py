"""The rows of the catalogue, publisher by publisher; those of ports are in `ports`.

The order counts: `weights="imagenet"` is the first row that fits the arguments. URLs and hashes are those of the
publishers' own loaders; accuracies are the publishers' own, on the 50,000 validation images of ImageNet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING, Preprocessing
from keras_inception.weights.catalogue import WeightSet

APACHE, MIT, BSD, NON_COMMERCIAL = "Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-NC-4.0"
INCEPTION, TORCH = PREPROCESSING["inception"], PREPROCESSING["torch"]
TIMM_INCEPTION = n.KERAS

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_SLIM = "https://storage.googleapis.com/download.tensorflow.org/models/"
_SLIM_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints/"


def sized(
    preprocessing: Preprocessing, size: int, crop: float = 0.875, interpolation: Any = "bilinear"
) -> Preprocessing:
    """The same preprocessing for images of a size."""
    return replace(preprocessing, size=size, crop=crop, interpolation=interpolation)


def all_sets() -> Iterator[WeightSet]:
    """All rows in the order of preference."""
    yield from keras_applications()
    yield from timm()
    yield from slim()
    from keras_inception.weights import ports

    yield from ports.imgclsmob()
    yield from ports.torchvision()
    yield from ports.others()


def keras_applications() -> Iterator[WeightSet]:
    """Weights of keras.applications: HDF5, read with h5py alone, which Keras brings."""
    suffix = "_weights_tf_dim_ordering_tf_kernels.h5"
    rows = [  # network, licence, md5, top-1, top-5, numerics
        ("inception_v3", MIT, "9a0d58056eeedaa3f26cb7ebd46da564", 77.898, 93.720, n.SLIM),
        ("inception_resnet_v2", APACHE, "e693bd0210a403b3192acc6073ad2e96", 80.256, 95.252, n.SLIM),
        ("xception", MIT, "0a58e3b7378bc2990ea3b43d5981f1f6", 79.006, 94.452, n.KERAS),
    ]
    for network, licence, md5, top1, top5, numerics in rows:
        yield WeightSet(
            tag=f"keras/{network}",
            network=network,
            numerics=numerics,
            url=f"{_KERAS}{network}/{network}{suffix}",
            converter=f"keras/{network}",
            digest=f"md5:{md5}",
            licence=licence,
            preprocessing=sized(INCEPTION, 299),
            top1=top1,
            top5=top5,
            accuracy_source="keras.applications",
        )
    v1 = {1.0: (70.424, 89.504), 0.75: (68.412, 88.242), 0.5: (64.292, 85.624), 0.25: (51.582, 75.792)}
    v2 = {
        1.0: (71.336, 90.142),
        0.35: (60.086, 82.432),
        0.5: (65.194, 86.062),
        0.75: (69.532, 89.176),
        1.3: (74.680, 92.122),
        1.4: (75.230, 92.422),
    }
    names = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
    for network, accuracies, sizes in (
        ("mobilenet_v1", v1, (224, 192, 160, 128)),
        ("mobilenet_v2", v2, (224, 192, 160, 128, 96)),
    ):
        for alpha, (top1, top5) in accuracies.items():
            for size in sizes:
                path = (
                    f"mobilenet/mobilenet_{names[alpha]}_{size}_tf.h5"
                    if network == "mobilenet_v1"
                    else f"mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}.h5"
                )
                yield WeightSet(
                    tag=f"keras/{network}_{alpha}_{size}",
                    network=network,
                    arguments={"alpha": alpha},
                    numerics=n.KERAS,
                    url=_KERAS + path,
                    converter=f"keras/{network}",
                    licence=APACHE,
                    preprocessing=sized(INCEPTION, size),
                    top1=top1 if size == 224 else None,
                    top5=top5 if size == 224 else None,
                    accuracy_source="keras.applications" if size == 224 else "",
                )


def timm() -> Iterator[WeightSet]:
    """Timm's weights on the Hugging Face hub: safetensors, which the small safetensors library reads."""
    inception = sized(INCEPTION, 299, interpolation="bicubic")
    wide = sized(INCEPTION, 299, 0.8975, "bicubic")
    gluon = sized(TORCH, 299, interpolation="bicubic")
    a = sized(TORCH, 224, 0.95, "bicubic")
    bicubic, bilinear = sized(TORCH, 224, interpolation="bicubic"), sized(TORCH, 224)
    fb, v3 = NON_COMMERCIAL, n.TORCHVISION_INCEPTION
    r64, r8, r16 = {"cardinality": 64}, {"width": 8}, {"width": 16}
    halved = sized(INCEPTION, 224, interpolation="bicubic")
    rows: list[tuple[str, str, dict[str, Any], n.Numerics, Preprocessing, str, float | None, float | None]] = [
        ("inception_v4.tf_in1k", "inception_v4", {}, TIMM_INCEPTION, inception, APACHE, 80.144, 94.982),
        ("inception_v3.gluon_in1k", "inception_v3", {}, v3, gluon, APACHE, 78.806, 94.372),
        ("inception_v3.tf_in1k", "inception_v3", {}, v3, inception, APACHE, 77.866, 93.644),
        ("inception_v3.tf_adv_in1k", "inception_v3", {}, v3, inception, APACHE, 77.598, 93.726),
        ("inception_v3.tv_in1k", "inception_v3", {}, v3, inception, APACHE, 77.472, 93.468),
        ("inception_resnet_v2.tf_in1k", "inception_resnet_v2", {}, TIMM_INCEPTION, wide, APACHE, 80.434, 95.312),
        (
            "inception_resnet_v2.tf_ens_adv_in1k",
            "inception_resnet_v2",
            {},
            TIMM_INCEPTION,
            wide,
            APACHE,
            79.998,
            94.940,
        ),
        ("resnext50_32x4d.tv_in1k", "resnext50", {}, n.TORCH, bilinear, BSD, 77.632, None),
        ("resnext50_32x4d.tv2_in1k", "resnext50", {}, n.TORCH, sized(TORCH, 224, 0.965), BSD, 81.190, None),
        ("resnext50_32x4d.a1h_in1k", "resnext50", {}, n.TORCH, a, APACHE, 81.140, None),
        ("resnext50_32x4d.a1_in1k", "resnext50", {}, n.TORCH, a, APACHE, 80.526, None),
        ("resnext50_32x4d.a2_in1k", "resnext50", {}, n.TORCH, a, APACHE, 80.444, None),
        ("resnext50_32x4d.a3_in1k", "resnext50", {}, n.TORCH, a, APACHE, 79.258, None),
        ("resnext50_32x4d.ra_in1k", "resnext50", {}, n.TORCH, bicubic, APACHE, 79.800, None),
        ("resnext50_32x4d.gluon_in1k", "resnext50", {}, n.TORCH, bicubic, APACHE, 79.354, None),
        ("resnext101_32x4d.gluon_in1k", "resnext101", {}, n.TORCH, bicubic, APACHE, 80.336, 94.908),
        ("resnext101_64x4d.c1_in1k", "resnext101", r64, n.TORCH, a, APACHE, 82.446, None),
        ("resnext101_64x4d.gluon_in1k", "resnext101", r64, n.TORCH, bicubic, APACHE, 80.640, None),
        ("resnext50_32x4d.fb_ssl_yfcc100m_ft_in1k", "resnext50", {}, n.TORCH, bilinear, fb, None, None),
        ("resnext50_32x4d.fb_swsl_ig1b_ft_in1k", "resnext50", {}, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x4d.fb_ssl_yfcc100m_ft_in1k", "resnext101", {}, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x4d.fb_swsl_ig1b_ft_in1k", "resnext101", {}, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x8d.fb_ssl_yfcc100m_ft_in1k", "resnext101", r8, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x8d.fb_swsl_ig1b_ft_in1k", "resnext101", r8, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x8d.fb_wsl_ig1b_ft_in1k", "resnext101", r8, n.TORCH, bilinear, fb, None, None),
        ("resnext101_32x16d.fb_wsl_ig1b_ft_in1k", "resnext101", r16, n.TORCH, bilinear, fb, None, None),
        ("mobilenetv1_100.ra4_e3600_r224_in1k", "mobilenet_v1", {}, n.TORCH, halved, APACHE, 75.388, 92.310),
        ("mobilenetv2_100.ra_in1k", "mobilenet_v2", {}, n.TORCH, bicubic, APACHE, 72.910, 91.000),
        ("mobilenetv2_140.ra_in1k", "mobilenet_v2", {"alpha": 1.4}, n.TORCH, bicubic, APACHE, 76.528, 93.008),
        ("mobilenetv2_050.lamb_in1k", "mobilenet_v2", {"alpha": 0.5}, n.TORCH, bicubic, APACHE, 65.928, None),
    ]
    shared = {"inception_v3": "torch/inception_v3", "resnext50": "torch/resnext50", "resnext101": "torch/resnext101"}
    for name, network, arguments, numerics, preprocessing, licence, top1, top5 in rows:
        yield WeightSet(
            tag=f"timm/{name}",
            network=network,
            arguments=arguments,
            numerics=numerics,
            url=f"https://huggingface.co/timm/{name}/resolve/main/model.safetensors",
            converter=shared.get(network, f"timm/{network}"),
            licence=licence,
            preprocessing=preprocessing,
            aux_heads=name == "inception_v3.tv_in1k",
            top1=top1,
            top5=top5,
            accuracy_source="timm" if top1 else "",
        )
    yield WeightSet(
        tag="timm/legacy_xception.tf_in1k",
        network="xception",
        numerics=n.TORCH,
        url="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
        converter="timm/xception",
        digest="sha256:43020ad28",
        licence=APACHE,
        preprocessing=sized(INCEPTION, 299, 0.8975, "bicubic"),
        top1=79.058,
        top5=94.396,
        accuracy_source="timm",
    )


def slim() -> Iterator[WeightSet]:
    """TF-Slim's checkpoints, read with TensorFlow; 1,001 classes."""
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
