"""Timm's weights on the Hugging Face hub: safetensors, which the small safetensors library reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING, Preprocessing
from keras_inception.weights.sets import APACHE, BSD, NON_COMMERCIAL, WeightSet, sized

INCEPTION, TORCH = PREPROCESSING["inception"], PREPROCESSING["torch"]


def sets() -> Iterator[WeightSet]:
    """The rows of the catalogue."""
    inception = sized(INCEPTION, 299, interpolation="bicubic")
    wide = sized(INCEPTION, 299, 0.8975, "bicubic")
    gluon = sized(TORCH, 299, interpolation="bicubic")
    a = sized(TORCH, 224, 0.95, "bicubic")
    bicubic, bilinear = sized(TORCH, 224, interpolation="bicubic"), sized(TORCH, 224)
    fb, v3 = NON_COMMERCIAL, n.TORCHVISION_INCEPTION
    r64, r8, r16 = {"cardinality": 64}, {"width": 8}, {"width": 16}
    halved = sized(INCEPTION, 224, interpolation="bicubic")
    rows: list[tuple[str, str, dict[str, Any], n.Numerics, Preprocessing, str, float | None, float | None]] = [
        ("inception_v4.tf_in1k", "inception_v4", {}, n.KERAS, inception, APACHE, 80.144, 94.982),
        ("inception_v3.gluon_in1k", "inception_v3", {}, v3, gluon, APACHE, 78.806, 94.372),
        ("inception_v3.tf_in1k", "inception_v3", {}, v3, inception, APACHE, 77.866, 93.644),
        ("inception_v3.tf_adv_in1k", "inception_v3", {}, v3, inception, APACHE, 77.598, 93.726),
        ("inception_v3.tv_in1k", "inception_v3", {}, v3, inception, APACHE, 77.472, 93.468),
        ("inception_resnet_v2.tf_in1k", "inception_resnet_v2", {}, n.KERAS, wide, APACHE, 80.434, 95.312),
        (
            "inception_resnet_v2.tf_ens_adv_in1k",
            "inception_resnet_v2",
            {},
            n.KERAS,
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
