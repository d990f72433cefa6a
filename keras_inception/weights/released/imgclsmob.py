"""tf2cv's weights: HDF5 in a zip, read with h5py alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING, Preprocessing
from keras_inception.registry import get_entry
from keras_inception.weights.sets import MIT, WeightSet, sized

TORCH = PREPROCESSING["torch"]
_IMGCLSMOB = "https://github.com/osmr/imgclsmob/releases/download/"
_TF2CV_INCEPTION = replace(n.KERAS, count_padding=True)  # pytorchcv's do not count it
_TF2CV_BN_INCEPTION = replace(n.BN_INCEPTION, ceil_pool=False)  # in ceil mode it pads both sides

_TF2CV_FORMS: dict[str, tuple[str, dict[str, Any], n.Numerics]] = {  # what the names mean here
    "inceptionresnetv1": ("inception_resnet_v1", {}, n.KERAS),
    "bninception": ("inception_v2", {"variant": "paper"}, _TF2CV_BN_INCEPTION),
    "inceptionv3": ("inception_v3", {}, n.TORCHVISION_INCEPTION),
    "inceptionv4": ("inception_v4", {}, _TF2CV_INCEPTION),
    "inceptionresnetv2": ("inception_resnet_v2", {}, _TF2CV_INCEPTION),
    "xception": ("xception", {}, n.TORCH),
    "resnext50_32x4d": ("resnext50", {}, n.TORCH),
    "resnext101_32x4d": ("resnext101", {}, n.TORCH),
    "resnext101_64x4d": ("resnext101", {"cardinality": 64}, n.TORCH),
    "mobilenet_w1": ("mobilenet_v1", {"variant": "paper"}, n.TORCH),
    "mobilenet_w3d4": ("mobilenet_v1", {"variant": "paper", "alpha": 0.75}, n.TORCH),
    "mobilenet_wd2": ("mobilenet_v1", {"variant": "paper", "alpha": 0.5}, n.TORCH),
    "mobilenet_wd4": ("mobilenet_v1", {"variant": "paper", "alpha": 0.25}, n.TORCH),
    "mobilenetv2_w1": ("mobilenet_v2", {"variant": "pytorchcv"}, n.TORCH),
    "mobilenetv2b_w1": ("mobilenet_v2", {"variant": "pytorchcv_b"}, n.TORCH),
    "shufflenet_g3_w1": ("shufflenet", {}, n.TORCH),
    "shufflenet_g1_w1": ("shufflenet", {"groups": 1}, n.TORCH),
    "shufflenet_g2_w1": ("shufflenet", {"groups": 2}, n.TORCH),
    "shufflenet_g4_w1": ("shufflenet", {"groups": 4}, n.TORCH),
    "shufflenet_g8_w1": ("shufflenet", {"groups": 8}, n.TORCH),
    "shufflenet_g1_wd2": ("shufflenet", {"groups": 1, "alpha": 0.5}, n.TORCH),
    "shufflenet_g3_wd2": ("shufflenet", {"alpha": 0.5}, n.TORCH),
}


def sets() -> Iterator[WeightSet]:
    """tf2cv's weights: HDF5 in a zip, read with h5py alone. The published SHA-1 is that of the file inside.

    The four digits of a name are its top-5 error in TensorFlow 2, in hundredths of a percent.
    """
    rows = [  # name, top-5 error, SHA-1, release, top-1
        ("inceptionresnetv1", "0480", "e2968df03fbb249e8dc32c48667c92b26ded27fb", "552", 80.44),
        ("bninception", "0865", "4cab3cce0eb1b79b872b189f5b0d9e4bb20f5ff4", "423", 73.38),
        ("inceptionv3", "0536", "7a70b62fef648deadbca8a10974b4ff3faa06092", "552", 79.56),
        ("inceptionv4", "0506", "62135f80437e8d069ec6656545ccd1df2490d81c", "543", None),
        ("inceptionresnetv2", "0470", "7f761d8133fc70ec7194966e1fff4553eaad9f96", "547", None),
        ("xception", "0520", "9b570c498e25b7d92fbbe30e7c0abea6b3c203f6", "544", None),
        ("resnext50_32x4d", "0547", "7f89b9f7e795af30763596e201971da5b3a3c4e2", "498", 79.16),
        ("resnext101_32x4d", "0418", "65226e18c3e2d54f8d82a891ffac1e29dea7ba9f", "530", 81.54),
        ("resnext101_64x4d", "0484", "f8cf1580943cf3c6d6019f2fcc44f8adb857cb20", "422", 81.20),
        ("mobilenet_w1", "0866", "6939232b46fb98c8a9209d66368d630bb50941ed", "422", 73.57),
        ("mobilenet_w3d4", "1051", "7832561b956f0d763b002fbd9f2f880bbb712885", "422", None),
        ("mobilenet_wd2", "1333", "01395e1b9e2a54065aafcc8b4c419644e7f6a655", "422", None),
        ("mobilenet_wd4", "2213", "ad04596aa730e5bb4429115df70504c5a7dd5969", "422", None),
        ("mobilenetv2_w1", "0863", "b32cede3b68f40f2ed0552dcdf238c70f82e5705", "422", 73.23),
        ("mobilenetv2b_w1", "0891", "eabc2c721a0133cceb7d13603577af371ee32037", "483", None),
        ("shufflenet_g3_w1", "1326", "daaec8b84572023c1352e11830d296724123408e", "422", 66.04),
        ("shufflenet_g1_w1", "1348", "52ddb20fd7ff288ae30a17757efda4653c09d5ca", "422", 65.59),
        ("shufflenet_g2_w1", "1333", "2a8ba6928e6fac05a5fe8911a9a175268eb18382", "422", 66.02),
        ("shufflenet_g4_w1", "1313", "35dbd6b9fb8bc3e97367ea210abbd61da407f226", "422", 66.16),
        ("shufflenet_g8_w1", "1322", "449fb27659101a2cf0a87c90e33f4632d1c5e9f2", "422", 66.35),
        ("shufflenet_g1_wd2", "2236", "082db702c422d8bce12d4d79228de56f088a420d", "422", 53.78),
        ("shufflenet_g3_wd2", "2059", "e3aefeeb36c20e325d0c7fe46afc60484167609d", "422", 56.17),
    ]
    for name, error, sha1, release, top1 in rows:
        network, arguments, numerics = _TF2CV_FORMS[name]
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
            preprocessing=_rounded_up(get_entry(network).input_size),
            top1=top1,
            top5=round(100 - int(error) / 100, 2),
            accuracy_source="imgclsmob",
        )


def _rounded_up(size: int) -> Preprocessing:
    """PyTorch's preprocessing with a shorter side of `size / 0.875`, rounded up."""
    return sized(TORCH, size, size / math.ceil(size / 0.875))
