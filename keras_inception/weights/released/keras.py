"""Weights of keras.applications: HDF5, read with h5py alone, which Keras brings."""

from __future__ import annotations

from collections.abc import Iterator

from keras_inception import numerics as n
from keras_inception.preprocessing import PREPROCESSING
from keras_inception.weights.sets import APACHE, MIT, WeightSet, sized

INCEPTION = PREPROCESSING["inception"]
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"


def sets() -> Iterator[WeightSet]:
    """The rows of the catalogue."""
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
