"""Names of keras.applications' HDF5 files, in the layout of Keras 2 and 3 (`.h5`) and of Keras 3 (`.weights.h5`).

Inception's layers have no names of their own there: `conv2d_17` counts every convolution of the process that wrote the
file, and layers are stored sorted by depth. What holds in every file is the order of the numbers, which is the order of
creation; so layers are addressed by the rank of their number, `conv2d#16`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from keras_inception.models import resnext
from keras_inception.weights import blocks
from keras_inception.weights.layouts import Converter, Layout, Transform, by_name, dense
from keras_inception.weights.patterns import expand, expand_pairs
from keras_inception.weights.slots import Slot
from keras_inception.weights.tensors import Array, FileTensors

_AUTOMATIC = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?$")
_KERNELS = {
    "conv": ("kernel", "depthwise_kernel"),  # ResNeXt's grouped convolutions are depthwise ones
    "depthwise": ("depthwise_kernel", "kernel"),
    "pointwise": ("pointwise_kernel",),
    "dense": ("kernel",),
}


_NAMES = by_name("/", _KERNELS)


def _suffixes(slot: Slot) -> tuple[str, ...]:
    return (*_NAMES(slot), f"/{slot.position}")  # Keras 3 stores the weights of a layer by position


def _by_rank(tensors: FileTensors) -> FileTensors:
    """The tensors as LAYER/WEIGHT, layers without a name of their own by the rank of their number."""
    short = {_short(name): tensor for name, tensor in tensors.items()}
    layers = {name.rpartition("/")[0] for name in short}
    numbers: dict[str, list[int]] = {}
    for layer in layers:
        automatic = _AUTOMATIC.match(layer)
        if automatic:
            numbers.setdefault(automatic[1], []).append(int(automatic[2] or 0))
    ranks = {kind: {number: rank for rank, number in enumerate(sorted(found))} for kind, found in numbers.items()}

    def ranked(layer: str) -> str:
        automatic = _AUTOMATIC.match(layer)
        return f"{automatic[1]}#{ranks[automatic[1]][int(automatic[2] or 0)]}" if automatic else layer

    return {
        f"{ranked(layer)}/{weight}": tensor
        for (layer, _, weight), tensor in ((name.rpartition("/"), tensor) for name, tensor in short.items())
    }


def _short(name: str) -> str:
    """`conv2d_1/conv2d_1/kernel` is `conv2d_1/kernel`: the group is the layer."""
    layer, _, rest = name.partition("/")
    return f"{layer}/{rest.rpartition('/')[2]}" if rest else name


LAYOUT = Layout(name="keras.applications", suffixes=_suffixes, kernels={"dense": dense}, view=_by_rank)


def _numbered(units: Iterable[str]) -> dict[str, str]:
    """Convolutions and batch norms of the units, numbered in the units' order."""
    return {
        f"{name}_{part}": f"{kind}#{rank}"
        for rank, name in enumerate(units)
        for part, kind in (("conv", "conv2d"), ("bn", "batch_normalization"))
    }


def _units(of: Mapping[str, Sequence[str]], named: Sequence[str] = ("aux",)) -> list[str]:
    """The units of all blocks but those that are missing there or have names of their own."""
    return [unit for block, units in of.items() if block not in named for unit in units]


INCEPTION_V3 = Converter(
    "keras/inception_v3",
    LAYOUT,
    _numbered(_units(blocks.INCEPTION_V3)) | {"predictions_logits": "predictions"},
)
INCEPTION_RESNET_V2 = Converter(
    "keras/inception_resnet_v2",
    LAYOUT,
    _numbered(_units(blocks.INCEPTION_RESNET_V2, named=("aux", "conv_7b")))
    | expand_pairs(
        {
            "block35_{1..10}_up_conv": "block35_{1..10}_conv",
            "block17_{1..20}_up_conv": "block17_{1..20}_conv",
            "block8_{1..10}_up_conv": "block8_{1..10}_conv",
            "conv_7b_{conv,bn}": "conv_7b{,_bn}",
            "predictions_logits": "predictions",
        }
    ),
)

_SEPARABLE = "{_conv.depthwise,_conv.pointwise,_bn}"
XCEPTION = Converter(
    "keras/xception",
    LAYOUT,
    _numbered(expand("block{2,3,4,13}_shortcut"))
    | expand_pairs(
        {
            "conv{1,2}_{conv,bn}": "block1_conv{1,2}{,_bn}",
            "block{2,3,4,13}_sep{1,2}" + _SEPARABLE: "block{2,3,4,13}_sepconv{1,2}{,,_bn}",
            "block{5..12}_sep{1,2,3}" + _SEPARABLE: "block{5..12}_sepconv{1,2,3}{,,_bn}",
            "block14{_sep1,}" + _SEPARABLE: "block14_sepconv{1,2}{,,_bn}",
            "predictions_logits": "predictions",
        }
    ),
)
MOBILENET_V1 = Converter(
    "keras/mobilenet_v1",
    LAYOUT,
    expand_pairs(
        {
            "conv1_{conv,bn}": "conv1{,_bn}",
            "block{1..13}_depthwise_{conv,bn}": "conv_dw_{1..13}{,_bn}",
            "block{1..13}_{conv,bn}": "conv_pw_{1..13}{,_bn}",
            "predictions_logits": "conv_preds",
        }
    ),
)
MOBILENET_V2 = Converter(
    "keras/mobilenet_v2",
    LAYOUT,
    expand_pairs(
        {
            "{conv1,conv_last}_{conv,bn}": "{Conv1,bn_Conv1,Conv_1,Conv_1_bn}",
            "block1_{depthwise,project}_{conv,bn}": "expanded_conv_{depthwise,project}{,_BN}",
            "block{2..17}_{expand,depthwise,project}_{conv,bn}": "block_{1..16}_{expand,depthwise,project}{,_BN}",
            "predictions_logits": "{predictions}",
        }
    ),
)


def _regrouped(kernel: Array) -> Array:
    """The kernel of a grouped convolution that keras-applications split into a depthwise one and a fixed sum.

    The depthwise kernel is (height, width, channels, c): c output channels an input channel. The sum adds up those of
    the c input channels of a group, which makes it a kernel of (height, width, c, channels).
    """
    height, width, channels, c = kernel.shape
    split = kernel.reshape(height, width, channels // c, c, c)  # group, input of the group, output of the group
    return split.transpose(0, 1, 3, 2, 4).reshape(height, width, c, channels)


def _resnext(network: str) -> Converter:
    pairs = {"conv1_{conv,bn}": "conv1_{conv,bn}", "predictions_logits": "probs"}
    for stage, count in enumerate(resnext.BLOCKS[network], start=2):
        block = f"conv{stage}_block{{1..{count}}}"
        pairs[block + "_{a,b,c}_{conv,bn}"] = block + "_{1,2,3}_{conv,bn}"
        pairs[f"conv{stage}_block1_shortcut_{{conv,bn}}"] = f"conv{stage}_block1_0_{{conv,bn}}"
    modules = expand_pairs(pairs)
    transforms: dict[str, Transform] = {name: _regrouped for name in modules if name.endswith("_b_conv")}
    return Converter(f"keras/{network}", LAYOUT, modules, transforms, re.compile(r"_2_gconv/"))


CONVERTERS = (
    INCEPTION_V3,
    INCEPTION_RESNET_V2,
    XCEPTION,
    MOBILENET_V1,
    MOBILENET_V2,
    _resnext("resnext50"),
    _resnext("resnext101"),
)
