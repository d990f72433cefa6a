"""BVLC's GoogLeNet, Cadene's BN-Inception, and ResNeXt of the keras-applications package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING
from keras_inception.weights.sets import BSD, NON_COMMERCIAL, WeightSet, sized

_KERAS_RESNEXT = replace(n.TORCH, epsilon=1.001e-5)


def sets() -> Iterator[WeightSet]:
    """The rows of the catalogue."""
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
            numerics=_KERAS_RESNEXT,
            url=(
                "https://github.com/keras-team/keras-applications/releases/download/resnet/"
                f"{network}_weights_tf_dim_ordering_tf_kernels.h5"
            ),
            converter=f"keras/{network}",
            digest=f"md5:{md5}",
            licence=NON_COMMERCIAL,  # ported from Facebook's files, which are under it
            preprocessing=sized(PREPROCESSING["torch"], 224),
            top1=top1,
            top5=top5,
            accuracy_source="keras-applications",
        )
