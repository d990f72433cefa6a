"""The units of every block of the networks that are written as tables, in the order of those tables.

A unit is a convolution with what follows it. A converter pairs a block's units with its source's names in this order,
which is also the order in which the published implementations create them.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_inception.heads import AuxHead
from keras_inception.layers import Conv, Fork
from keras_inception.models import inception_resnet, inception_v1, inception_v2, inception_v3, inception_v4


def unit_names(table: Mapping[str, Any], heads: Sequence[AuxHead] = ()) -> dict[str, tuple[str, ...]]:
    """Names of the units of each block of a table, and of each auxiliary head; pools have none."""
    blocks = {name: tuple(_units(name, block)) for name, block in table.items()}
    return blocks | {head.name: tuple(_labelled(head)) for head in heads}


def _units(name: str, block: Any) -> Iterator[str]:
    if isinstance(block, Conv):
        yield name
    elif isinstance(block, inception_resnet.Residual):
        yield from _units(f"{name}_mixed", block.branches)
    elif isinstance(block, Sequence):
        for index, branch in enumerate(block):
            parts = [part for op in branch for part in (op.branches if isinstance(op, Fork) else (op,))]
            for letter, op in zip(string.ascii_lowercase, parts, strict=False):
                if isinstance(op, Conv):
                    yield f"{name}_branch{index}_{letter}_{_label(op)}"


def _labelled(head: AuxHead) -> Iterator[str]:
    return (f"{head.name}_{_label(op)}" for op in head.ops if isinstance(op, Conv))


def _label(op: Conv) -> str:
    return f"{op.kernel[0]}x{op.kernel[1]}"


def _inception_v1(variant: str) -> dict[str, tuple[str, ...]]:
    table = inception_v1.table(variant, naive=False, stem="imagenet", alpha=1.0)
    return unit_names(table, inception_v1.AUX_HEADS)


INCEPTION_V1 = _inception_v1("slim")
INCEPTION_V1_PAPER = _inception_v1("paper")
INCEPTION_V2 = unit_names({**inception_v2.STEM, **inception_v2.BODIES["slim"]})
INCEPTION_V3 = unit_names({**inception_v3.STEM, **inception_v3.BODY}, inception_v3.AUX_HEADS)
INCEPTION_V4 = unit_names(inception_v4.TABLE, inception_v4.AUX_HEADS)
INCEPTION_RESNET_V1 = unit_names(inception_resnet.V1_TABLES["facenet"])
INCEPTION_RESNET_V2 = unit_names(inception_resnet.V2_TABLE, [inception_resnet.V2_AUX])
