"""Names of TF-Slim's checkpoints (`research/slim` of TensorFlow models, 2016 to 2018), with their irregularities.

Convolutions are modules with their batch norm inside; the classifiers of the first networks are 1x1 convolutions.
There are 1,001 classes, the first one background. MobileNet v2's files hold the average of every trained tensor over
the last steps as well, and those averages are the good weights.
"""

from __future__ import annotations

import re

from keras_inception.weights import units as u
from keras_inception.weights.matcher import Array, Converter, Layout, Slot, Tensors, expand_pairs, with_parts

_AVERAGE = "/ExponentialMovingAverage"
_VARIABLES = {
    "kernel": ("/weights", "/depthwise_weights", "/pointwise_weights"),
    "bias": ("/biases",),
    "gamma": ("/gamma",),
    "beta": ("/beta",),
    "moving_mean": ("/moving_mean",),
    "moving_variance": ("/moving_variance",),
}


def _suffixes(slot: Slot) -> tuple[str, ...]:
    if slot.name == "kernel" and slot.kind in ("depthwise", "pointwise"):
        return (f"/{slot.kind}_weights",)
    return _VARIABLES[slot.name]


def _averages_first(tensors: Tensors) -> Tensors:
    """The file's tensors, each replaced by its average over training where the file has one."""
    return {
        name: tensors.get(name + _AVERAGE, tensor) for name, tensor in tensors.items() if not name.endswith(_AVERAGE)
    }


def _dense(kernel: Array) -> Array:
    return kernel.reshape(kernel.shape[-2:])


LAYOUT = Layout(
    name="TF-Slim",
    suffixes=_suffixes,
    kernels={"dense": _dense},
    view=_averages_first,
    ignored=re.compile(r"(^|/)(global_step|RMSProp(_\d+)?|Momentum|Adam(_\d+)?|beta[12]_power)$|^(train_op|learning)"),
    background_class=True,
)


def _converter(network: str, root: str, units: dict[str, str], layers: dict[str, str]) -> Converter:
    modules = with_parts(expand_pairs(units), {"conv": f"{root}/*", "bn": f"{root}/*/BatchNorm"})
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
        u.V1_STEM: "{Conv2d_1a_7x7,Conv2d_2b_1x1,Conv2d_2c_3x3}",
        u.V1_BLOCKS + u.V1_SLIM_MODULE: "Mixed_{3b,3c,4b,4c,4d,4e,4f,5b,5c}/" + _INCEPTION_1_MODULE,
        "inception_5a_branch2_b_3x3": "Mixed_5b/Branch_2/Conv2d_0a_3x3",  # all others are 0b
    },
    {"predictions_logits": "Logits/Conv2d_0c_1x1"},
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
        u.V2_MODULES: "Mixed_{3b,3c,4b,4c,4d,4e,5b,5c}/" + _V2_GRID,
        u.V2_REDUCTIONS: (
            "Mixed_{4a,5a}/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,"
            "Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
    },
    {
        "{conv1_conv,conv1_conv.depthwise,conv1_conv.pointwise}": "{Conv2d_1a_7x7,Conv2d_1a_7x7,Conv2d_1a_7x7}",
        "predictions_logits": "Logits/Conv2d_1c_1x1",
    },
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
        u.V3_STEM: "Conv2d_{1a_3x3,2a_3x3,2b_3x3,3b_1x1,4a_3x3}",
        u.V3_GRID35: (
            "Mixed_{5b,5c,5d}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_5x5,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3,Branch_3/Conv2d_0b_1x1}"
        ),
        "mixed_5c_{branch1_a_1x1,branch1_b_5x5}": "Mixed_5c/Branch_1/{Conv2d_0b_1x1,Conv_1_0c_5x5}",
        # The 1x1 of the reductions' last convolutions is a slip in the names: the kernels are 3x3.
        u.V3_6A: (
            "Mixed_6a/{Branch_0/Conv2d_1a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_1x1}"
        ),
        u.V3_GRID17: "Mixed_{6b,6c,6d,6e}/" + _BRANCHES_17,
        u.V3_7A: _REDUCTION_B,
        u.V3_GRID8: (
            "Mixed_{7b,7c}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x3,"
            "Branch_1/Conv2d_0c_3x1,Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_1x3,"
            "Branch_2/Conv2d_0d_3x1,Branch_3/Conv2d_0b_1x1}"
        ),
        "mixed_7b_branch1_c_3x1": "Mixed_7b/Branch_1/Conv2d_0b_3x1",
        u.AUX: "AuxLogits/Conv2d_{1b_1x1,2a_5x5}",
    },
    {"{aux,predictions}_logits": "{AuxLogits/Conv2d_2b_1x1,Logits/Conv2d_1c_1x1}"},
)

INCEPTION_V4 = _converter(
    "inception_v4",
    "InceptionV4",
    {
        u.V4_STEM: "Conv2d_{1a_3x3,2a_3x3,2b_3x3}",
        u.V4_3A: "Mixed_3a/Branch_1/Conv2d_0a_3x3",
        u.V4_4A: (
            "Mixed_4a/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,"
            "Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1,Branch_1/Conv2d_1a_3x3}"
        ),
        u.V4_5A: "Mixed_5a/Branch_0/Conv2d_1a_3x3",
        u.V4_GRID35: "Mixed_{5b,5c,5d,5e}/" + _V2_GRID,
        u.V4_6A: (
            "Mixed_6a/{Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
        u.V4_GRID17: "Mixed_{6b,6c,6d,6e,6f,6g,6h}/" + _BRANCHES_17,
        u.V4_7A: _REDUCTION_B,
        u.V4_GRID8: (
            "Mixed_{7b,7c,7d}/{Branch_0/Conv2d_0a_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x3,"
            "Branch_1/Conv2d_0c_3x1,Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x1,Branch_2/Conv2d_0c_1x3,"
            "Branch_2/Conv2d_0d_1x3,Branch_2/Conv2d_0e_3x1,Branch_3/Conv2d_0b_1x1}"
        ),
        u.AUX: "AuxLogits/{Conv2d_1b_1x1,Conv2d_2a}",
    },
    {"{aux,predictions}_logits": "{AuxLogits/Aux_logits,Logits/Logits}"},
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
        u.IR_STEM: "Conv2d_{1a_3x3,2a_3x3,2b_3x3,3b_1x1,4a_3x3}",
        u.IR_V2_5B: (
            "Mixed_5b/{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_5x5,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_0c_3x3,Branch_3/Conv2d_0b_1x1}"
        ),
        u.residual_blocks("block35", "{1..10}"): "Repeat/block35_{1..10}/" + _BRANCHES_35,
        u.IR_6A: (
            "Mixed_6a/{Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_3x3,Branch_1/Conv2d_1a_3x3}"
        ),
        u.residual_blocks("block17", "{1..20}"): (
            "Repeat_1/block17_{1..20}/"
            "{Branch_0/Conv2d_1x1,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_0b_1x7,Branch_1/Conv2d_0c_7x1}"
        ),
        u.IR_7A: (
            "Mixed_7a/{Branch_0/Conv2d_0a_1x1,Branch_0/Conv2d_1a_3x3,Branch_1/Conv2d_0a_1x1,Branch_1/Conv2d_1a_3x3,"
            "Branch_2/Conv2d_0a_1x1,Branch_2/Conv2d_0b_3x3,Branch_2/Conv2d_1a_3x3}"
        ),
        u.residual_blocks("block8", "{1..9}"): "Repeat_2/block8_{1..9}/" + _BRANCHES_8,
        u.residual_blocks("block8", "10"): "Block8/" + _BRANCHES_8,
        "conv_7b": "Conv2d_7b_1x1",
        u.AUX: "AuxLogits/Conv2d_{1b_1x1,2a_5x5}",
    },
    {
        "block35_{1..10}_up_conv": "Repeat/block35_{1..10}/Conv2d_1x1",
        "block17_{1..20}_up_conv": "Repeat_1/block17_{1..20}/Conv2d_1x1",
        "block8_{1..9}_up_conv": "Repeat_2/block8_{1..9}/Conv2d_1x1",
        "block8_10_up_conv": "Block8/Conv2d_1x1",
        "{aux,predictions}_logits": "{AuxLogits/Logits,Logits/Logits}",
    },
)

MOBILENET_V1 = _converter(
    "mobilenet_v1",
    "MobilenetV1",
    {"conv1": "Conv2d_0", u.MOBILENET_V1_BLOCKS: "Conv2d_{1..13}{_depthwise,_pointwise}"},
    {"predictions_logits": "Logits/Conv2d_1c_1x1"},
)
MOBILENET_V2 = _converter(
    "mobilenet_v2",
    "MobilenetV2",
    {
        "{conv1,conv_last}": "{Conv,Conv_1}",
        "block1_{depthwise,project}": "expanded_conv/{depthwise,project}",
        u.MOBILENET_V2_BLOCKS: "expanded_conv_{1..16}/{expand,depthwise,project}",
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
