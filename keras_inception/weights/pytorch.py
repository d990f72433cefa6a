"""Names of PyTorch state dictionaries: torchvision and timm, which took Inception's ports over from Cadene.

Kernels are (out, in, height, width) and dense kernels (out, in). Batch norms have `weight` and `running_var`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from keras_inception.models import resnext
from keras_inception.weights import blocks
from keras_inception.weights.layouts import Converter, Layout, Transform, by_name, flattened
from keras_inception.weights.patterns import NO_BLOCKS, expand, expand_pairs, with_parts
from keras_inception.weights.tensors import Array, FileTensor, FileTensors

_KERNELS = dict.fromkeys(("conv", "depthwise", "pointwise", "dense"), ("weight",))


def _conv(kernel: Array) -> Array:
    return kernel.transpose(2, 3, 1, 0)


def _depthwise(kernel: Array) -> Array:
    return kernel.transpose(2, 3, 0, 1)


def _dense(kernel: Array) -> Array:
    return kernel.reshape(kernel.shape[:2]).T


def _unwrapped(tensors: FileTensors) -> FileTensors:
    """The tensors without the prefix that training on several devices leaves."""
    prefix = "module."
    wrapped = bool(tensors) and all(name.startswith(prefix) for name in tensors)
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()} if wrapped else tensors


LAYOUT = Layout(
    name="PyTorch",
    suffixes=by_name(
        ".", _KERNELS, gamma="weight", beta="bias", moving_mean="running_mean", moving_variance="running_var"
    ),
    kernels={"conv": _conv, "pointwise": _conv, "depthwise": _depthwise, "dense": _dense},
    view=_unwrapped,
    ignored=re.compile(r"\.num_batches_tracked$"),
)
_BASIC = {"conv": "*.conv", "bn": "*.bn"}


def _converter(
    name: str,
    units: Mapping[str, str],
    layers: Mapping[str, str],
    of: Mapping[str, Sequence[str]] = NO_BLOCKS,
    transforms: Mapping[str, Transform] | None = None,
) -> Converter:
    """A converter from units made of `.conv` and `.bn`, blocks of the network `of` for all of theirs, and layers."""
    modules = with_parts(expand_pairs(units, of), _BASIC) | expand_pairs(layers)
    return Converter(name, LAYOUT, modules, transforms or {})


_CHANNELS_FIRST = dict.fromkeys(expand("aux{1,2}_fullyconnected"), flattened(128, 4))
GOOGLENET = _converter(
    "torchvision/googlenet",
    {
        "{conv1,conv2_reduce,conv2}": "{conv1,conv2,conv3}",
        "inception_{3a,3b,4a,4b,4c,4d,4e,5a,5b}": (
            "inception{3a,3b,4a,4b,4c,4d,4e,5a,5b}.{branch1,branch2.0,branch2.1,branch3.0,branch3.1,branch4.1}"
        ),
        "aux{1,2}": "aux{1,2}.conv",
    },
    {
        "aux{1,2}_{fullyconnected,logits}": "aux{1,2}.{fc1,fc2}",
        "predictions_logits": "fc",
    },
    blocks.INCEPTION_V1,
    _CHANNELS_FIRST,
)

_SEVENS = "branch7x7dbl_1,branch7x7dbl_2,branch7x7dbl_3,branch7x7dbl_4,branch7x7dbl_5,branch_pool}"
INCEPTION_V3 = _converter(
    "torch/inception_v3",  # torchvision and timm
    {
        "conv_{1a,2a,2b,3b,4a}": "Conv2d_{1a_3x3,2a_3x3,2b_3x3,3b_1x1,4a_3x3}",
        "mixed_{5b,5c,5d}": (
            "Mixed_{5b,5c,5d}.{branch1x1,branch5x5_1,branch5x5_2,"
            "branch3x3dbl_1,branch3x3dbl_2,branch3x3dbl_3,branch_pool}"
        ),
        "mixed_6a": "Mixed_6a.{branch3x3,branch3x3dbl_1,branch3x3dbl_2,branch3x3dbl_3}",
        "mixed_{6b,6c,6d,6e}": "Mixed_{6b,6c,6d,6e}.{branch1x1,branch7x7_1,branch7x7_2,branch7x7_3," + _SEVENS,
        "mixed_7a": "Mixed_7a.{branch3x3_1,branch3x3_2,branch7x7x3_1,branch7x7x3_2,branch7x7x3_3,branch7x7x3_4}",
        "mixed_{7b,7c}": (
            "Mixed_{7b,7c}.{branch1x1,branch3x3_1,branch3x3_2a,branch3x3_2b,"
            "branch3x3dbl_1,branch3x3dbl_2,branch3x3dbl_3a,branch3x3dbl_3b,branch_pool}"
        ),
        "aux": "AuxLogits.conv{0,1}",
    },
    {"{aux,predictions}_logits": "{AuxLogits.fc,fc}"},
    blocks.INCEPTION_V3,
)

_GRID = "branch0,branch1.0,branch1.1,branch2.0,branch2.1,branch2.2,branch3.1"
INCEPTION_V4 = _converter(
    "timm/inception_v4",
    {
        "conv_{1a,2a,2b}": "features.{0,1,2}",
        "mixed_3a": "features.3.conv",
        "mixed_4a": "features.4.{branch0.0,branch0.1,branch1.0,branch1.1,branch1.2,branch1.3}",
        "mixed_5a": "features.5.conv",
        "mixed_{5b,5c,5d,5e}": "features.{6..9}.{" + _GRID + "}",
        "mixed_6a": "features.10.{branch0,branch1.0,branch1.1,branch1.2}",
        "mixed_{6b,6c,6d,6e,6f,6g,6h}": (
            "features.{11..17}.{branch0,branch1.0,branch1.1,branch1.2,"
            "branch2.0,branch2.1,branch2.2,branch2.3,branch2.4,branch3.1}"
        ),
        "mixed_7a": "features.18.{branch0.0,branch0.1,branch1.0,branch1.1,branch1.2,branch1.3}",
        "mixed_{7b,7c,7d}": (
            "features.{19..21}.{branch0,branch1_0,branch1_1a,branch1_1b,"
            "branch2_0,branch2_1,branch2_2,branch2_3a,branch2_3b,branch3.1}"
        ),
    },
    {"predictions_logits": "last_linear"},
    blocks.INCEPTION_V4,
)

INCEPTION_RESNET_V2 = _converter(
    "timm/inception_resnet_v2",
    {
        "conv_{1a,2a,2b,3b,4a}": "conv2d_{1a,2a,2b,3b,4a}",
        "mixed_5b": "mixed_5b.{" + _GRID + "}",
        "block35_{1..10}": ("repeat.{0..9}.{branch0,branch1.0,branch1.1,branch2.0,branch2.1,branch2.2}"),
        "mixed_6a": "mixed_6a.{branch0,branch1.0,branch1.1,branch1.2}",
        "block17_{1..20}": "repeat_1.{0..19}.{branch0,branch1.0,branch1.1,branch1.2}",
        "mixed_7a": "mixed_7a.{branch0.0,branch0.1,branch1.0,branch1.1,branch2.0,branch2.1,branch2.2}",
        "block8_{1..9}": "repeat_2.{0..8}.{branch0,branch1.0,branch1.1,branch1.2}",
        "block8_10": "block8.{branch0,branch1.0,branch1.1,branch1.2}",
        "conv_7b": "conv2d_7b",
    },
    {
        "block35_{1..10}_up_conv": "repeat.{0..9}.conv2d",
        "block17_{1..20}_up_conv": "repeat_1.{0..19}.conv2d",
        "block8_{1..9}_up_conv": "repeat_2.{0..8}.conv2d",
        "block8_10_up_conv": "block8.conv2d",
        "predictions_logits": "classif",
    },
    blocks.INCEPTION_RESNET_V2,
)

_SEP = "{sep1_conv.depthwise,sep1_conv.pointwise,sep1_bn,sep2_conv.depthwise,sep2_conv.pointwise,sep2_bn}"
_SEP_3 = "{sep3_conv.depthwise,sep3_conv.pointwise,sep3_bn}"
XCEPTION = _converter(
    "timm/xception",
    {},
    {
        "conv{1,2}_{conv,bn}": "{conv1,bn1,conv2,bn2}",
        "block{2,3,4,13}_shortcut_{conv,bn}": "block{1,2,3,12}.{skip,skipbn}",
        "block2_" + _SEP: "block1.rep.{0.conv1,0.pointwise,1,3.conv1,3.pointwise,4}",  # no ReLU before
        "block{3..13}_" + _SEP: "block{2..12}.rep.{1.conv1,1.pointwise,2,4.conv1,4.pointwise,5}",
        "block{5..12}_" + _SEP_3: "block{4..11}.rep.{7.conv1,7.pointwise,8}",
        "block14_{sep1_conv.depthwise,sep1_conv.pointwise,sep1_bn,conv.depthwise,conv.pointwise,bn}": (
            "{conv3.conv1,conv3.pointwise,bn3,conv4.conv1,conv4.pointwise,bn4}"
        ),
        "predictions_logits": "fc",
    },
)


def _resnext(network: str) -> Converter:
    layers = {"conv1_{conv,bn}": "{conv1,bn1}", "predictions_logits": "fc"}
    for stage, count in enumerate(resnext.BLOCKS[network], start=2):
        ours, theirs = f"conv{stage}_block", f"layer{stage - 1}."
        layers[f"{ours}{{1..{count}}}_{{a,b,c}}_{{conv,bn}}"] = (
            f"{theirs}{{0..{count - 1}}}.{{conv1,bn1,conv2,bn2,conv3,bn3}}"
        )
        layers[f"{ours}1_shortcut_{{conv,bn}}"] = f"{theirs}0.downsample.{{0,1}}"
    return _converter(f"torch/{network}", {}, layers)  # torchvision and timm


MOBILENET_V1 = _converter(
    "timm/mobilenet_v1",
    {},
    {
        "conv1_{conv,bn}": "{conv_stem,bn1}",
        "block{1..13}_{depthwise_conv,depthwise_bn,conv,bn}": (
            "blocks.{0.0,1.0,1.1,2.0,2.1,3.0,3.1,3.2,3.3,3.4,3.5,4.0,4.1}.{conv_dw,bn1,conv_pw,bn2}"
        ),
        "predictions_logits": "classifier",
    },
)

_TIMM_V2_BLOCKS = "{1.0,1.1,2.0,2.1,2.2,3.0,3.1,3.2,3.3,4.0,4.1,4.2,5.0,5.1,5.2,6.0}"
MOBILENET_V2 = _converter(
    "timm/mobilenet_v2",
    {},
    {
        "{conv1,conv_last}_{conv,bn}": "{conv_stem,bn1,conv_head,bn2}",
        "block1_{depthwise,project}_{conv,bn}": "blocks.0.0.{conv_dw,bn1,conv_pw,bn2}",
        "block{2..17}_{expand,depthwise,project}_{conv,bn}": (
            f"blocks.{_TIMM_V2_BLOCKS}.{{conv_pw,bn1,conv_dw,bn2,conv_pwl,bn3}}"
        ),
        "predictions_logits": "classifier",
    },
)
TORCHVISION_MOBILENET_V2 = _converter(
    "torchvision/mobilenet_v2",
    {},
    {
        "{conv1,conv_last}_{conv,bn}": "features.{0.0,0.1,18.0,18.1}",
        "block1_{depthwise,project}_{conv,bn}": "features.1.conv.{0.0,0.1,1,2}",
        "block{2..17}_{expand,depthwise,project}_{conv,bn}": "features.{2..17}.conv.{0.0,0.1,1.0,1.1,2,3}",
        "predictions_logits": "classifier.1",
    },
)


def _without_leading_one(tensors: FileTensors) -> FileTensors:
    """Cadene's file keeps the vectors of its batch norms as matrices of one row."""
    return {
        name: FileTensor(t.shape[1:], t.dtype, partial(_only_row, t)) if len(t.shape) == 2 and t.shape[0] == 1 else t
        for name, t in tensors.items()
    }


def _only_row(matrix: FileTensor) -> Array:
    return matrix.read()[0]


BN_INCEPTION = Converter(
    "cadene/bn_inception",
    replace(LAYOUT, view=_without_leading_one),
    with_parts(
        expand_pairs(
            {
                "{conv1,conv2_reduce,conv2}": "{conv1_7x7_s2,conv2_3x3_reduce,conv2_3x3}",
                "inception_{3a,3b,4a,4b,4c,4d,5a,5b}": (
                    "inception_{3a,3b,4a,4b,4c,4d,5a,5b}_{1x1,3x3_reduce,3x3,"
                    "double_3x3_reduce,double_3x3_1,double_3x3_2,pool_proj}"
                ),
                "inception_{3c,4e}": "inception_{3c,4e}_{3x3_reduce,3x3,double_3x3_reduce,double_3x3_1,double_3x3_2}",
            },
            blocks.INCEPTION_V2,
        ),
        {"conv": "*", "bn": "*_bn"},
    )
    | {"predictions_logits": "last_linear"},
)

CONVERTERS = (
    BN_INCEPTION,
    GOOGLENET,
    INCEPTION_V3,
    INCEPTION_V4,
    INCEPTION_RESNET_V2,
    XCEPTION,
    _resnext("resnext50"),
    _resnext("resnext101"),
    MOBILENET_V1,
    MOBILENET_V2,
    TORCHVISION_MOBILENET_V2,
)
