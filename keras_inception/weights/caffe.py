"""Names of BVLC's GoogLeNet, which has no batch norms: a layer of Caffe's is one of ours."""

from __future__ import annotations

from keras_inception.weights import blocks
from keras_inception.weights.layouts import Converter, Layout, flattened
from keras_inception.weights.patterns import expand, expand_pairs, with_parts
from keras_inception.weights.slots import Slot


def _suffixes(slot: Slot) -> tuple[str, ...]:
    return (":0",) if slot.name == "kernel" else (":1",)


LAYOUT = Layout(
    name="Caffe",
    suffixes=_suffixes,
    kernels={"conv": lambda kernel: kernel.transpose(2, 3, 1, 0), "dense": lambda kernel: kernel.T},
)
GOOGLENET = Converter(
    "caffe/googlenet",
    LAYOUT,
    with_parts(
        expand_pairs(
            {
                "{conv1,conv2_reduce,conv2}": "{conv1/7x7_s2,conv2/3x3_reduce,conv2/3x3}",
                "inception_{3a,3b,4a,4b,4c,4d,4e,5a,5b}": (
                    "inception_{3a,3b,4a,4b,4c,4d,4e,5a,5b}/{1x1,3x3_reduce,3x3,5x5_reduce,5x5,pool_proj}"
                ),
                "aux{1,2}": "loss{1,2}/conv",
            },
            blocks.INCEPTION_V1_PAPER,
        ),
        {"conv": "*"},
    )
    | expand_pairs(
        {"aux{1,2}_{fullyconnected,logits}": "loss{1,2}/{fc,classifier}", "predictions_logits": "loss3/classifier"}
    ),
    dict.fromkeys(expand("aux{1,2}_fullyconnected"), flattened(128, 4)),
)
CONVERTERS = (GOOGLENET,)
