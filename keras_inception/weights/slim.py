"""Names of TF-Slim's checkpoints (`research/slim` of TensorFlow models, 2016 to 2018), with their irregularities.

Convolutions are modules with their batch norm inside; the classifiers of the first networks are 1x1 convolutions.
There are 1,001 classes, the first one background. MobileNet v2's files hold the average of every trained tensor over
the last steps as well, and those averages are the good weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from keras_inception.weights import blocks
from keras_inception.weights.layouts import Converter, Layout, by_name, dense
from keras_inception.weights.patterns import NO_BLOCKS, expand_pairs, with_parts
from keras_inception.weights.tensors import FileTensors

_AVERAGE = "/ExponentialMovingAverage"
_KERNELS = {
    "conv": ("weights", "depthwise_weights", "pointwise_weights"),
    "depthwise": ("depthwise_weights",),
    "pointwise": ("pointwise_weights",),
    "dense": ("weights", "depthwise_weights", "pointwise_weights"),
}


def _averages_first(tensors: FileTensors) -> FileTensors:
    """The file's tensors, each replaced by its average over training where the file has one."""
    return {
        name: tensors.get(name + _AVERAGE, tensor) for name, tensor in tensors.items() if not name.endswith(_AVERAGE)
    }


LAYOUT = Layout(
    name="TF-Slim",
    suffixes=by_name("/", _KERNELS, bias="biases"),
    kernels={"dense": dense},
    view=_averages_first,
    ignored=re.compile(r"(^|/)(global_step|RMSProp(_\d+)?|Momentum|Adam(_\d+)?|beta[12]_power)$|^(train_op|learning)"),
    background_class=True,
)


def _converter(
    network: str,
    root: str,
    units: Mapping[str, str],
    layers: Mapping[str, str],
    of: Mapping[str, Sequence[str]] = NO_BLOCKS,
) -> Converter:
    """A converter from units, blocks of the network `of` for all of theirs, and single layers."""
    modules = with_parts(expand_pairs(units, of), {"conv": f"{root}/*", "bn": f"{root}/*/BatchNorm"})
    modules |= {ours: f"{root}/{theirs}" for ours, theirs in expand_pairs(layers).items()}
    return Converter(f"slim/{network}", LAYOUT, modules)


_INCEPTION_1_MODULE = (
    "{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,"
    "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_3/Conv2d_0b_1x1}"
)
INCEPTION_V1 = _converter(
    "inception_v1",
    "InceptionV1",
    {
        "{conv1,conv2_reduce,conv2}": "{Conv2d_1a_7x7,Conv2d_2b_1x1,Conv2d_2c_3x3}",
        "inception_{3a,3b,4a,4b,4c,4d,4e,5a,5b}": "Mixed_{3b,3c,4b,4c,4d,4e,4f,5b,5c}/" + _INCEPTION_1_MODULE,
        "inception_5a_branch2_b_3x3": "Mixed_5b/Branch_2/Conv2d_0a_3x3",  # all others are 0b
    },
    {"predictions_logits": "Logits/Conv2d_0c_1x1"},
    blocks.INCEPTION_V1,
)

_V2_GRID = (
    "{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,"
    "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3,Branch_3/Conv2d_0b_1x1}"
)
INCEPTION_V2 = _converter(
    "inception_v2",
    "InceptionV2",
    {
        "{conv2_reduce,conv2}": "{Conv2d_2b_1x1,Conv2d_2c_3x3}",
        "inception_{3a,3b,4a,4b,4c,4d,5a,5b}": "Mixed_{3b,3c,4b,4c,4d,4e,5b,5c}/" + _V2_GRID,
        "inception_{3c,4e}": (
            "Mixed_{4a,5a}/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,"
            "Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
    },
    {
        "{conv1_conv,conv1_conv.depthwise,conv1_conv.pointwise}": "{Conv2d_1a_7x7,Conv2d_1a_7x7,Conv2d_1a_7x7}",
        "predictions_logits": "Logits/Conv2d_1c_1x1",
    },
    blocks.INCEPTION_V2,
)

_BRANCHES_17 = (
    "{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1,"
    "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_7x1,Branch_2/Conv2d_0c_1x7,Branch_2/Conv2d_0d_7x1,"
    "Branch_2/Conv2d_0e_1x7,Branch_3/Conv2d_0b_1x1}"
)
_REDUCTION_B = (
    "Mixed_7a/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,"
    "Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1,Branch_1/Conv2d_1a_3x3}"
)
INCEPTION_V3 = _converter(
    "inception_v3",
    "InceptionV3",
    {
        "conv_{1a,2a,2b,3b,4a}": "Conv2d_{1a_3x3,2a_3x3,2b_3x3,3b_1x1,4a_3x3}",
        "mixed_{5b,5c,5d}": (
            "Mixed_{5b,5c,5d}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_5x5,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3,Branch_3/Conv2d_0b_1x1}"
        ),
        "mixed_5c_{branch1_a_1x1,branch1_b_5x5}": "Mixed_5c/Branch_1/{Conv2d_0b_1x1,Conv_1_0c_5x5}",
        # The 1x1 of the reductions' last convolutions is a slip in the names: the kernels are 3x3.
        "mixed_6a": (
            "Mixed_6a/{Branch_0/Conv2d_1a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_1x1}"
        ),
        "mixed_{6b,6c,6d,6e}": "Mixed_{6b,6c,6d,6e}/" + _BRANCHES_17,
        "mixed_7a": _REDUCTION_B,
        "mixed_{7b,7c}": (
            "Mixed_{7b,7c}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x3,"
            "Branch_1/Conv2d_0c_3x1,Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_1x3,"
            "Branch_2/Conv2d_0d_3x1,Branch_3/Conv2d_0b_1x1}"
        ),
        "mixed_7b_branch1_c_3x1": "Mixed_7b/Branch_1/Conv2d_0b_3x1",
        "aux": "AuxLogits/Conv2d_{1b_1x1,2a_5x5}",
    },
    {"{aux,predictions}_logits": "{AuxLogits/Conv2d_2b_1x1,Logits/Conv2d_1c_1x1}"},
    blocks.INCEPTION_V3,
)

INCEPTION_V4 = _converter(
    "inception_v4",
    "InceptionV4",
    {
        "conv_{1a,2a,2b}": "Conv2d_{1a_3x3,2a_3x3,2b_3x3}",
        "mixed_3a": "Mixed_3a/Branch_1/Conv2d_0a_3x3",
        "mixed_4a": (
            "Mixed_4a/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,"
            "Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1,Branch_1/Conv2d_1a_3x3}"
        ),
        "mixed_5a": "Mixed_5a/Branch_0/Conv2d_1a_3x3",
        "mixed_{5b,5c,5d,5e}": "Mixed_{5b,5c,5d,5e}/" + _V2_GRID,
        "mixed_6a": (
            "Mixed_6a/{Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
        "mixed_{6b,6c,6d,6e,6f,6g,6h}": "Mixed_{6b,6c,6d,6e,6f,6g,6h}/" + _BRANCHES_17,
        "mixed_7a": _REDUCTION_B,
        "mixed_{7b,7c,7d}": (
            "Mixed_{7b,7c,7d}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x3,"
            "Branch_1/Conv2d_0c_3x1,Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x1,Branch_2/Conv2d_0c_1x3,"
            "Branch_2/Conv2d_0d_1x3,Branch_2/Conv2d_0e_3x1,Branch_3/Conv2d_0b_1x1}"
        ),
        "aux": "AuxLogits/{Conv2d_1b_1x1,Conv2d_2a}",
    },
    {"{aux,predictions}_logits": "{AuxLogits/Aux_logits,Logits/Logits}"},
    blocks.INCEPTION_V4,
)

_BRANCHES_35 = (
    "{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,"
    "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3}"
)
_BRANCHES_8 = "{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x3,Branch_1/Conv2d_0c_3x1}"
INCEPTION_RESNET_V2 = _converter(
    "inception_resnet_v2",
    "InceptionResnetV2",
    {
        "conv_{1a,2a,2b,3b,4a}": "Conv2d_{1a_3x3,2a_3x3,2b_3x3,3b_1x1,4a_3x3}",
        "mixed_5b": (
            "Mixed_5b/{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_5x5,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3,Branch_3/Conv2d_0b_1x1}"
        ),
        "block35_{1..10}": "Repeat/block35_{1..10}/" + _BRANCHES_35,
        "mixed_6a": (
            "Mixed_6a/{Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
        "block17_{1..20}": (
            "Repeat_1/block17_{1..20}/"
            "{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1}"
        ),
        "mixed_7a": (
            "Mixed_7a/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_1a_3x3,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_1a_3x3}"
        ),
        "block8_{1..9}": "Repeat_2/block8_{1..9}/" + _BRANCHES_8,
        "block8_10": "Block8/" + _BRANCHES_8,
        "conv_7b": "Conv2d_7b_1x1",
        "aux": "AuxLogits/Conv2d_{1b_1x1,2a_5x5}",
    },
    {
        "block35_{1..10}_up_conv": "Repeat/block35_{1..10}/Conv2d_1x1",
        "block17_{1..20}_up_conv": "Repeat_1/block17_{1..20}/Conv2d_1x1",
        "block8_{1..9}_up_conv": "Repeat_2/block8_{1..9}/Conv2d_1x1",
        "block8_10_up_conv": "Block8/Conv2d_1x1",
        "{aux,predictions}_logits": "{AuxLogits/Logits,Logits/Logits}",
    },
    blocks.INCEPTION_RESNET_V2,
)

MOBILENET_V1 = _converter(
    "mobilenet_v1",
    "MobilenetV1",
    {"conv1": "Conv2d_0", "block{1..13}{_depthwise,}": "Conv2d_{1..13}{_depthwise,_pointwise}"},
    {"predictions_logits": "Logits/Conv2d_1c_1x1"},
)
MOBILENET_V2 = _converter(
    "mobilenet_v2",
    "MobilenetV2",
    {
        "{conv1,conv_last}": "{Conv,Conv_1}",
        "block1_{depthwise,project}": "expanded_conv/{depthwise,project}",
        "block{2..17}_{expand,depthwise,project}": "expanded_conv_{1..16}/{expand,depthwise,project}",
    },
    {"predictions_logits": "Logits/Conv2d_1c_1x1"},
)

CONVERTERS = (
    INCEPTION_V1,
    INCEPTION_V2,
    INCEPTION_V3,
    INCEPTION_V4,
    INCEPTION_RESNET_V2,
    MOBILENET_V1,
    MOBILENET_V2,
)
