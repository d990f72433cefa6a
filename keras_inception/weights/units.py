"""The units of our networks in the order in which the published implementations create them, as brace patterns.

Every converter is a table from these patterns to its source's names; the order counts where a source numbers its
layers (keras.applications).
"""

from __future__ import annotations

_GRID = "branch0_a_1x1,branch1_a_1x1,branch1_b_{0},branch2_a_1x1,branch2_b_3x3,branch2_c_3x3,branch3_b_1x1"
_SEVENS = "branch2_a_1x1,branch2_b_7x1,branch2_c_1x7,branch2_d_7x1,branch2_e_1x7,branch3_b_1x1"
_REDUCTION_A = "branch0_a_3x3,branch1_a_1x1,branch1_b_3x3,branch1_c_3x3"
_REDUCTION_B = "branch0_a_1x1,branch0_b_3x3,branch1_a_1x1,branch1_b_1x7,branch1_c_7x1,branch1_d_3x3"

V1_STEM = "{conv1,conv2_reduce,conv2}"
V1_BLOCKS = "inception_{3a,3b,4a,4b,4c,4d,4e,5a,5b}_"
V1_SLIM_MODULE = "{branch0_a_1x1,branch1_a_1x1,branch1_b_3x3,branch2_a_1x1,branch2_b_3x3,branch3_b_1x1}"
V1_BN_MODULE = V1_SLIM_MODULE.replace("branch2_b_3x3", "branch2_b_5x5")

V2_STEM = "{conv1,conv2_reduce,conv2}"
V2_REDUCTIONS = "inception_{3c,4e}_{branch0_a_1x1,branch0_b_3x3,branch1_a_1x1,branch1_b_3x3,branch1_c_3x3}"
V2_MODULES = "inception_{3a,3b,4a,4b,4c,4d,5a,5b}_{" + _GRID.format("3x3") + "}"

V3_STEM = "conv_{1a,2a,2b,3b,4a}"
V3_GRID35 = "mixed_{5b,5c,5d}_{" + _GRID.format("5x5") + "}"
V3_6A = "mixed_6a_{" + _REDUCTION_A + "}"
V3_GRID17 = "mixed_{6b,6c,6d,6e}_{branch0_a_1x1,branch1_a_1x1,branch1_b_1x7,branch1_c_7x1," + _SEVENS + "}"
V3_7A = "mixed_7a_{" + _REDUCTION_B + "}"
V3_GRID8 = (
    "mixed_{7b,7c}_{branch0_a_1x1,branch1_a_1x1,branch1_b_1x3,branch1_c_3x1,"
    "branch2_a_1x1,branch2_b_3x3,branch2_c_1x3,branch2_d_3x1,branch3_b_1x1}"
)

V4_STEM = "conv_{1a,2a,2b}"
V4_3A = "mixed_3a_branch1_a_3x3"
V4_4A = "mixed_4a_{branch0_a_1x1,branch0_b_3x3,branch1_a_1x1,branch1_b_1x7,branch1_c_7x1,branch1_d_3x3}"
V4_5A = "mixed_5a_branch0_a_3x3"
V4_GRID35 = "mixed_{5b,5c,5d,5e}_{" + _GRID.format("3x3") + "}"
V4_6A = "mixed_6a_{" + _REDUCTION_A + "}"
V4_GRID17 = "mixed_{6b,6c,6d,6e,6f,6g,6h}_{branch0_a_1x1,branch1_a_1x1,branch1_b_1x7,branch1_c_7x1," + _SEVENS + "}"
V4_7A = "mixed_7a_{" + _REDUCTION_B + "}"
V4_GRID8 = (
    "mixed_{7b,7c,7d}_{branch0_a_1x1,branch1_a_1x1,branch1_b_1x3,branch1_c_3x1,"
    "branch2_a_1x1,branch2_b_3x1,branch2_c_1x3,branch2_d_1x3,branch2_e_3x1,branch3_b_1x1}"
)

_BLOCK35 = "branch0_a_1x1,branch1_a_1x1,branch1_b_3x3,branch2_a_1x1,branch2_b_3x3,branch2_c_3x3"
_BLOCK17 = "branch0_a_1x1,branch1_a_1x1,branch1_b_1x7,branch1_c_7x1"
_BLOCK8 = "branch0_a_1x1,branch1_a_1x1,branch1_b_1x3,branch1_c_3x1"
_RESNET_7A = "branch0_a_1x1,branch0_b_3x3,branch1_a_1x1,branch1_b_3x3,branch2_a_1x1,branch2_b_3x3,branch2_c_3x3"


def residual_blocks(kind: str, numbers: str) -> str:
    """The units in the branches of some residual blocks, such as `residual_blocks("block35", "{1..10}")`."""
    branches = {"block35": _BLOCK35, "block17": _BLOCK17, "block8": _BLOCK8}[kind]
    return f"{kind}_{numbers}_mixed_{{{branches}}}"


IR_STEM = "conv_{1a,2a,2b,3b,4a}"
IR_6A = "mixed_6a_{" + _REDUCTION_A + "}"
IR_7A = "mixed_7a_{" + _RESNET_7A + "}"
IR_V2_5B = "mixed_5b_{" + _GRID.format("5x5") + "}"

XCEPTION_ENTRY = "block{2,3,4}_{sep1,sep2}"
XCEPTION_MIDDLE = "block{5..12}_{sep1,sep2,sep3}"
XCEPTION_EXIT = "{block13_sep1,block13_sep2,block14_sep1,block14}"
XCEPTION_SHORTCUTS = "block{2,3,4,13}_shortcut"

MOBILENET_V1_BLOCKS = "block{1..13}{_depthwise,}"
MOBILENET_V2_BLOCKS = "block{2..17}_{expand,depthwise,project}"

SHUFFLENET_STAGES = {2: 4, 3: 8, 4: 4}  # units of each stage


def resnext_blocks(depth: int) -> dict[int, int]:
    """Blocks of each stage of ResNeXt, by the number of the stage in our names."""
    return {2: 3, 3: 4, 4: 6 if depth == 50 else 23, 5: 3}


AUX = "aux_{1x1,5x5}"
