"""Names of pytorchcv and tf2cv (github.com/osmr/imgclsmob), one zoo in two frameworks.

tf2cv stores HDF5 of nested Keras 2 layers: its names carry the model's and every container's name twice over, its
convolutions lie one level deeper than pytorchcv's, and a grouped convolution is stored group by group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from keras_inception.models import resnext, shufflenet
from keras_inception.weights import blocks, pytorch
from keras_inception.weights.layouts import Converter, Layout, by_name, dense
from keras_inception.weights.patterns import NO_BLOCKS, expand_pairs, with_parts
from keras_inception.weights.tensors import FileTensor, FileTensors

_PARTS = {"conv": "*.conv", "bn": "*.bn"}


def _modules(
    units: Mapping[str, str], layers: Mapping[str, str], of: Mapping[str, Sequence[str]] = NO_BLOCKS
) -> dict[str, str]:
    modules = with_parts(expand_pairs(units, of), {part: f"features.{name}" for part, name in _PARTS.items()})
    return modules | expand_pairs(layers)


_BN_INCEPTION = _modules(
    {
        "{conv1,conv2_reduce,conv2}": "init_block.{conv1,conv2.conv1,conv2.conv2}",
        "inception_{3a,3b,4a,4b,4c,4d,5a,5b}": (
            "{stage1.unit1,stage1.unit2,stage2.unit2,stage2.unit3,stage2.unit4,stage2.unit5,stage3.unit2,stage3.unit3}"
            ".branches.{branch1,branch2.conv1,branch2.conv2,branch3.conv1,branch3.conv2,branch3.conv3,branch4.conv}"
        ),
        "inception_{3c,4e}": (
            "{stage2.unit1,stage3.unit1}.branches"
            ".{branch1.conv1,branch1.conv2,branch2.conv1,branch2.conv2,branch2.conv3}"
        ),
    },
    {"predictions_logits": "output"},
    blocks.INCEPTION_V2,
)

_LIST_2 = "branch2.conv_list.conv1,branch2.conv_list.conv2"
_LIST_2_3 = _LIST_2 + ",branch2.conv_list.conv3"
_LIST_3 = "branch3.conv_list.conv1,branch3.conv_list.conv2"
_LIST_3_3 = _LIST_3 + ",branch3.conv_list.conv3"
_GRID = "branch1.conv," + _LIST_2 + "," + _LIST_3_3 + ",branch4.conv"
_GRID17 = (
    "branch1.conv," + _LIST_2_3 + "," + _LIST_3_3 + ",branch3.conv_list.conv4,branch3.conv_list.conv5,branch4.conv"
)
_REDUCTION_A = "branch1.conv_list.conv1," + _LIST_2_3
_REDUCTION_B = "branch1.conv_list.conv1,branch1.conv_list.conv2," + _LIST_2_3 + ",branch2.conv_list.conv4"
_FORK_2 = "branch1.conv,branch2.conv_list.conv1,branch2.conv1x3,branch2.conv3x1,"
_FORK_3 = ",branch3.conv1x3,branch3.conv3x1,branch4.conv"

_INCEPTION_V3 = _modules(
    {
        "conv_{1a,2a,2b,3b,4a}": "init_block.conv{1..5}",
        "mixed_{5b,5c,5d}": "stage1.unit{1..3}.branches.{" + _GRID + "}",
        "mixed_6a": "stage2.unit1.branches.{" + _REDUCTION_A + "}",
        "mixed_{6b,6c,6d,6e}": "stage2.unit{2..5}.branches.{" + _GRID17 + "}",
        "mixed_7a": "stage3.unit1.branches.{" + _REDUCTION_B + "}",
        "mixed_{7b,7c}": "stage3.unit{2..3}.branches.{" + _FORK_2 + _LIST_3 + _FORK_3 + "}",
    },
    {"predictions_logits": "output.fc"},
    blocks.INCEPTION_V3,
)
_INCEPTION_V4 = _modules(
    {
        "conv_{1a,2a,2b}": "init_block.conv{1..3}",
        "mixed_3a": "init_block.block1.branches.branch2.conv",
        "mixed_4a": "init_block.block2.branches.{" + _REDUCTION_B + "}",
        "mixed_5a": "init_block.block3.branches.branch1.conv",
        "mixed_{5b,5c,5d,5e}": "stage1.unit{1..4}.branches.{" + _GRID + "}",
        "mixed_6a": "stage2.unit1.branches.{" + _REDUCTION_A + "}",
        "mixed_{6b,6c,6d,6e,6f,6g,6h}": "stage2.unit{2..8}.branches.{" + _GRID17 + "}",
        "mixed_7a": "stage3.unit1.branches.{" + _REDUCTION_B + "}",
        "mixed_{7b,7c,7d}": "stage3.unit{2..4}.branches.{" + _FORK_2 + _LIST_3_3 + _FORK_3 + "}",
    },
    {"predictions_logits": "output.fc"},
    blocks.INCEPTION_V4,
)

_BLOCK35 = ".branches.{branch1.conv," + _LIST_2 + "," + _LIST_3_3 + "}"
_BLOCK17 = ".branches.{branch1.conv," + _LIST_2_3 + "}"
_RESNET_7A = "stage3.unit1.branches.{branch1.conv_list.conv1,branch1.conv_list.conv2," + _LIST_2 + "," + _LIST_3_3 + "}"
_INCEPTION_RESNET_V1 = _modules(
    {
        "conv_{1a,2a,2b,3b,4a,4b}": "init_block.conv{1..6}",
        "block35_{1..5}": "stage1.unit{1..5}" + _BLOCK35,
        "mixed_6a": "stage2.unit1.branches.{" + _REDUCTION_A + "}",
        "block17_{1..10}": "stage2.unit{2..11}" + _BLOCK17,
        "mixed_7a": _RESNET_7A,
        "block8_{1..6}": "stage3.unit{2..7}" + _BLOCK17,
    },
    {
        "block35_{1..5}_up_conv": "features.stage1.unit{1..5}.conv",
        "block17_{1..10}_up_conv": "features.stage2.unit{2..11}.conv",
        "block8_{1..6}_up_conv": "features.stage3.unit{2..7}.conv",
        "{embedding_dense,embedding,predictions_logits}": "output.{fc1,bn,fc2}",
    },
    blocks.INCEPTION_RESNET_V1,
)
_INCEPTION_RESNET_V2 = _modules(
    {
        "conv_{1a,2a,2b,3b,4a}": "init_block.conv{1..5}",
        "mixed_5b": "init_block.block.branches.{" + _GRID + "}",
        "block35_{1..10}": "stage1.unit{1..10}" + _BLOCK35,
        "mixed_6a": "stage2.unit1.branches.{" + _REDUCTION_A + "}",
        "block17_{1..20}": "stage2.unit{2..21}" + _BLOCK17,
        "mixed_7a": _RESNET_7A,
        "block8_{1..10}": "stage3.unit{2..11}" + _BLOCK17,
        "conv_7b": "final_block",
    },
    {
        "block35_{1..10}_up_conv": "features.stage1.unit{1..10}.conv",
        "block17_{1..20}_up_conv": "features.stage2.unit{2..21}.conv",
        "block8_{1..10}_up_conv": "features.stage3.unit{2..11}.conv",
        "predictions_logits": "output.fc",
    },
    blocks.INCEPTION_RESNET_V2,
)

_SEPARABLE = "{conv.depthwise,conv.pointwise,bn}"
_DW_PW = "{conv.dw_conv,conv.pw_conv,bn}"
_XCEPTION = _modules(
    {
        "conv{1,2}": "init_block.conv{1,2}",
        "block{2,3,4,13}_shortcut": "{stage1,stage2,stage3,stage4}.unit1.identity_conv",
    },
    {
        "block{2,3,4,13}_sep{1,2}_" + _SEPARABLE: "features.{stage1,stage2,stage3,stage4}.unit1.body.block{1,2}."
        + _DW_PW,
        "block{5..12}_sep{1..3}_" + _SEPARABLE: "features.stage3.unit{2..9}.body.block{1..3}." + _DW_PW,
        "block14_sep1_" + _SEPARABLE: "features.final_block.conv1." + _DW_PW,
        "block14_" + _SEPARABLE: "features.final_block.conv2." + _DW_PW,
        "predictions_logits": "output",
    },
)


def _resnext(network: str) -> dict[str, str]:
    units = {"conv1": "init_block.conv"}
    for stage, count in enumerate(resnext.BLOCKS[network], start=2):
        units[f"conv{stage}_block{{1..{count}}}_{{a,b,c}}"] = f"stage{stage - 1}.unit{{1..{count}}}.body.conv{{1..3}}"
        units[f"conv{stage}_block1_shortcut"] = f"stage{stage - 1}.unit1.identity_conv"
    return _modules(units, {"predictions_logits": "output"})


_MOBILENET_V1 = _modules(
    {
        "conv1": "init_block",
        "block{1..13}{_depthwise,}": (
            "{stage1.unit1,stage2.unit1,stage2.unit2,stage3.unit1,stage3.unit2,stage4.unit1,stage4.unit2,stage4.unit3,"
            "stage4.unit4,stage4.unit5,stage4.unit6,stage5.unit1,stage5.unit2}.{dw_conv,pw_conv}"
        ),
    },
    {"predictions_logits": "output"},
)
_MOBILENET_V2 = _modules(
    {
        "{conv1,conv_last}": "{init_block,final_block}",
        "block{1..17}_{expand,depthwise,project}": (
            "{stage1.unit1,stage2.unit1,stage2.unit2,stage3.unit1,stage3.unit2,stage3.unit3,stage4.unit1,stage4.unit2,"
            "stage4.unit3,stage4.unit4,stage4.unit5,stage4.unit6,stage4.unit7,stage5.unit1,stage5.unit2,stage5.unit3,"
            "stage5.unit4}.{conv1,conv2,conv3}"
        ),
    },
    {"predictions_logits": "output"},
)
_SHUFFLENET = _modules({}, {"conv1_{conv,bn}": "features.init_block.{conv,bn}", "predictions_logits": "output"})
for _number, (_stage, _units) in enumerate(shufflenet.UNITS.items(), start=1):
    _SHUFFLENET |= expand_pairs(
        {
            f"{_stage}_unit{{1..{_units}}}_{{a,b,c}}_{{conv,bn}}": (
                f"features.stage{_number}.unit{{1..{_units}}}."
                "{compress_conv1,compress_bn1,dw_conv2,dw_bn2,expand_conv3,expand_bn3}"
            )
        }
    )

_NETWORKS = {
    "inception_v2": _BN_INCEPTION,
    "inception_v3": _INCEPTION_V3,
    "inception_v4": _INCEPTION_V4,
    "inception_resnet_v1": _INCEPTION_RESNET_V1,
    "inception_resnet_v2": _INCEPTION_RESNET_V2,
    "xception": _XCEPTION,
    "resnext50": _resnext("resnext50"),
    "resnext101": _resnext("resnext101"),
    "mobilenet_v1": _MOBILENET_V1,
    "mobilenet_v2": _MOBILENET_V2,
    "shufflenet": _SHUFFLENET,
}

_KERNELS = dict.fromkeys(("conv", "depthwise", "pointwise", "dense"), ("kernel", "depthwise_kernel"))


def _pytorchcv_names(tensors: FileTensors) -> FileTensors:
    """tf2cv's tensors under pytorchcv's module names, groups of a convolution joined.

    `features/NET/features/features/stage1/stage1/unit1/conv1/conv/conv/kernel` is
    `features.stage1.unit1.conv1.conv.kernel`.
    """
    renamed: FileTensors = {}
    groups: dict[str, dict[int, FileTensor]] = {}
    for name, tensor in tensors.items():
        parts = name.split("/")[2:]  # after the HDF5 group and the network's name
        if len(parts) < 2:
            return tensors  # not a file of tf2cv's
        path = [part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1] or not _is_container(part)]
        path[0] = "output" if path[0] == "output1" else path[0]
        if path[-1].endswith(("kernel", "bias")) and len(path) > 2:
            group = re.fullmatch(r"convgroup(\d+)", path[-2])
            if group:
                groups.setdefault(".".join([*path[:-2], path[-1]]), {})[int(group[1])] = tensor
                continue
            if path[-2] in ("conv", "dw_conv"):
                del path[-2]
        renamed[".".join(path)] = tensor
    return renamed | {name: _joined([parts[i] for i in sorted(parts)]) for name, parts in groups.items()}


def _is_container(part: str) -> bool:
    return bool(re.fullmatch(r"features|stage\d|output1", part))


def _joined(parts: list[FileTensor]) -> FileTensor:
    first = parts[0]
    shape = (*first.shape[:-1], sum(part.shape[-1] for part in parts if part.shape))
    return FileTensor(shape, first.dtype, lambda: np.concatenate([part.read() for part in parts], axis=-1))


TF2CV = Layout(name="tf2cv", suffixes=by_name(".", _KERNELS), kernels={"dense": dense}, view=_pytorchcv_names)

CONVERTERS = tuple(
    converter
    for network, modules in _NETWORKS.items()
    for converter in (
        Converter(f"pytorchcv/{network}", pytorch.LAYOUT, modules),
        Converter(f"tf2cv/{network}", TF2CV, modules),
    )
)
