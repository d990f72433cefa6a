"""The rows of the catalogue, publisher by publisher.

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
KERAS_RESNEXT = replace(n.TORCH, epsilon=1.001e-5)

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_SLIM = "https://storage.googleapis.com/download.tensorflow.org/models/"
_SLIM_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints/"
_TORCHVISION = "https://download.pytorch.org/models/"
_IMGCLSMOB = "https://github.com/osmr/imgclsmob/releases/download/"


def sized(preprocessing: Preprocessing, size: int, crop: float = 0.875, interpolation: Any = "bilinear") -> Preprocessing:
    """The same preprocessing for images of a size."""
    return replace(preprocessing, size=size, crop=crop, interpolation=interpolation)


def all_sets() -> Iterator[WeightSet]:
    """All rows in the order of preference."""
    yield from keras_applications()
    yield from timm()
    yield from slim()
    yield from imgclsmob()
    yield from torchvision()
    yield from others()


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
    """timm's weights on the Hugging Face hub: safetensors, which the small safetensors library reads."""
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
        ("inception_resnet_v2.tf_ens_adv_in1k", "inception_resnet_v2", {}, TIMM_INCEPTION, wide, APACHE, 79.998, 94.940),
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
    v2 = {1.0: (71.8, 91.0), 0.75: (69.8, 89.6), 0.5: (65.4, 86.4), 0.35: (60.3, 82.9), 1.3: (74.4, 92.1), 1.4: (75.0, 92.5)}
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


def imgclsmob() -> Iterator[WeightSet]:
    """tf2cv's weights: HDF5 in a zip, read with h5py alone. The published SHA-1 is that of the file inside.

    The four digits of a name are its top-5 error in TensorFlow 2, in hundredths of a percent.
    """
    bn, torch = n.BN_INCEPTION, n.TORCH
    v1, v2 = {"variant": "paper"}, {"variant": "pytorchcv"}
    rows: list[tuple[str, str, str, str, str, dict[str, Any], n.Numerics, int, float | None]] = [
        # name, top-5 error, SHA-1, release, network, arguments, numerics, size, top-1
        ("inceptionresnetv1", "0480", "e2968df03fbb249e8dc32c48667c92b26ded27fb", "552", "inception_resnet_v1", {}, n.KERAS, 299, 80.44),
        ("bninception", "0865", "4cab3cce0eb1b79b872b189f5b0d9e4bb20f5ff4", "423", "inception_v2", v1, bn, 224, 73.38),
        ("inceptionv3", "0536", "7a70b62fef648deadbca8a10974b4ff3faa06092", "552", "inception_v3", {}, n.TORCHVISION_INCEPTION, 299, 79.56),
        ("inceptionv4", "0506", "62135f80437e8d069ec6656545ccd1df2490d81c", "543", "inception_v4", {}, n.KERAS, 299, None),
        ("inceptionresnetv2", "0470", "7f761d8133fc70ec7194966e1fff4553eaad9f96", "547", "inception_resnet_v2", {}, n.KERAS, 299, None),
        ("xception", "0520", "9b570c498e25b7d92fbbe30e7c0abea6b3c203f6", "544", "xception", {}, torch, 299, None),
        ("resnext50_32x4d", "0547", "7f89b9f7e795af30763596e201971da5b3a3c4e2", "498", "resnext50", {}, torch, 224, 79.16),
        ("resnext101_32x4d", "0418", "65226e18c3e2d54f8d82a891ffac1e29dea7ba9f", "530", "resnext101", {}, torch, 224, 81.54),
        ("resnext101_64x4d", "0484", "f8cf1580943cf3c6d6019f2fcc44f8adb857cb20", "422", "resnext101", {"cardinality": 64}, torch, 224, 81.20),
        ("mobilenet_w1", "0866", "6939232b46fb98c8a9209d66368d630bb50941ed", "422", "mobilenet_v1", v1, torch, 224, 73.57),
        ("mobilenet_w3d4", "1051", "7832561b956f0d763b002fbd9f2f880bbb712885", "422", "mobilenet_v1", v1 | {"alpha": 0.75}, torch, 224, None),
        ("mobilenet_wd2", "1333", "01395e1b9e2a54065aafcc8b4c419644e7f6a655", "422", "mobilenet_v1", v1 | {"alpha": 0.5}, torch, 224, None),
        ("mobilenet_wd4", "2213", "ad04596aa730e5bb4429115df70504c5a7dd5969", "422", "mobilenet_v1", v1 | {"alpha": 0.25}, torch, 224, None),
        ("mobilenetv2_w1", "0863", "b32cede3b68f40f2ed0552dcdf238c70f82e5705", "422", "mobilenet_v2", v2, torch, 224, 73.23),
        ("mobilenetv2b_w1", "0891", "eabc2c721a0133cceb7d13603577af371ee32037", "483", "mobilenet_v2", {"variant": "pytorchcv_b"}, torch, 224, None),
        ("shufflenet_g3_w1", "1326", "daaec8b84572023c1352e11830d296724123408e", "422", "shufflenet", {}, torch, 224, 66.04),
        ("shufflenet_g1_w1", "1348", "52ddb20fd7ff288ae30a17757efda4653c09d5ca", "422", "shufflenet", {"groups": 1}, torch, 224, 65.59),
        ("shufflenet_g2_w1", "1333", "2a8ba6928e6fac05a5fe8911a9a175268eb18382", "422", "shufflenet", {"groups": 2}, torch, 224, 66.02),
        ("shufflenet_g4_w1", "1313", "35dbd6b9fb8bc3e97367ea210abbd61da407f226", "422", "shufflenet", {"groups": 4}, torch, 224, 66.16),
        ("shufflenet_g8_w1", "1322", "449fb27659101a2cf0a87c90e33f4632d1c5e9f2", "422", "shufflenet", {"groups": 8}, torch, 224, 66.35),
        ("shufflenet_g1_wd2", "2236", "082db702c422d8bce12d4d79228de56f088a420d", "422", "shufflenet", {"groups": 1, "alpha": 0.5}, torch, 224, 53.78),
        ("shufflenet_g3_wd2", "2059", "e3aefeeb36c20e325d0c7fe46afc60484167609d", "422", "shufflenet", {"alpha": 0.5}, torch, 224, 56.17),
    ]  # fmt: skip
    for name, error, sha1, release, network, arguments, numerics, size, top1 in rows:
        yield WeightSet(
            tag=f"tf2cv/{name}",
            network=network,
            arguments=arguments,
            numerics=numerics,
            url=f"{_IMGCLSMOB}v0.0.{release}/{name}-{error}-{sha1[:8]}.tf2.h5.zip",
            converter=f"tf2cv/{network}",
            digest=f"sha1:{sha1}",
            digest_of="member",
            licence=MIT,
            preprocessing=sized(TORCH, size),
            top1=top1,
            top5=round(100 - int(error) / 100, 2),
            accuracy_source="imgclsmob",
        )


def torchvision() -> Iterator[WeightSet]:
    """torchvision's weights: `.pth`, read with PyTorch. Its Inception weights want [-1, 1], whatever its loader says."""
    new = sized(TORCH, 224, 224 / 232)
    v3, googlenet = sized(INCEPTION, 299, 299 / 342), sized(INCEPTION, 224)
    plain = sized(TORCH, 224)
    r8, r64 = {"width": 8}, {"cardinality": 64}
    rows: list[tuple[str, str, str, dict[str, Any], n.Numerics, Preprocessing, float, float]] = [
        # tag, file, network, arguments, numerics, preprocessing, top-1, top-5
        ("googlenet", "googlenet-1378be20", "inception_v1", {}, n.TORCHVISION_GOOGLENET, googlenet, 69.778, 89.530),
        ("inception_v3", "inception_v3_google-0cc3c7bd", "inception_v3", {}, n.TORCHVISION_INCEPTION, v3, 77.294, 93.450),
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


def others() -> Iterator[WeightSet]:
    """BVLC's GoogLeNet, Cadene's BN-Inception, and ResNeXt of the keras-applications package."""
    yield WeightSet(
        tag="bvlc/googlenet",
        network="inception_v1",
        arguments={"variant": "paper"},
        numerics=n.CAFFE,
        url="http://dl.caffe.berkeleyvision.org/bvlc_googlenet.caffemodel",
        converter="caffe/googlenet",
        digest="sha1:405fc5acd08a3bb12de8ee5e23a96bec22f08204",
        licence="unrestricted",
        preprocessing=sized(PREPROCESSING["caffe"], 224),
        aux_heads=True,
        top1=68.7,
        top5=88.9,
        accuracy_source="BVLC",
    )
    yield WeightSet(
        tag="cadene/bn_inception",
        network="inception_v2",
        arguments={"variant": "paper"},
        numerics=n.BN_INCEPTION,
        url="http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth",
        converter="cadene/bn_inception",
        digest="sha256:52deb4733",
        licence=BSD,
        preprocessing=sized(PREPROCESSING["bn_inception"], 224),
        top1=73.524,
        top5=91.562,
        accuracy_source="Cadene",
    )
    for network, md5, top1, top5 in (
        ("resnext50", "67a5b30d522ed92f75a1f16eef299d1a", 77.740, 93.810),
        ("resnext101", "34fb605428fcc7aa4d62f44404c11509", 78.730, 94.294),
    ):
        yield WeightSet(
            tag=f"keras/{network}",
            network=network,
            numerics=KERAS_RESNEXT,
            url=(
                "https://github.com/keras-team/keras-applications/releases/download/resnet/"
                f"{network}_weights_tf_dim_ordering_tf_kernels.h5"
            ),
            converter=f"keras/{network}",
            digest=f"md5:{md5}",
            licence=NON_COMMERCIAL,  # ported from Facebook's files, which are under it
            preprocessing=sized(TORCH, 224),
            top1=top1,
            top5=top5,
            accuracy_source="keras-applications",
        )
