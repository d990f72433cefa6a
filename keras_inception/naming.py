"""The one owner of layer names: which block a layer belongs to, which layers are a head, how a unit is labelled.

The layer that ends a block or a unit carries its name, and its parts carry it as a prefix, so that
`inception_3a_branch1_a_1x1_conv` belongs to the block `inception_3a`. Everything that speaks of blocks and heads relies
on plain names alone, so that a model loaded from a file reads like a new one.
"""

from __future__ import annotations

import re
from typing import Any

PREDICTIONS = "predictions"
_HEAD = re.compile(rf"({PREDICTIONS}|aux\d*|embedding)(?![^_/])")


def head_of(layer_name: str) -> str:
    """The head that a layer (or a weight, `LAYER/WEIGHT`) belongs to: `aux1` of `aux1_1x1_conv`; empty for the trunk's.

    Heads are the main classifier, the auxiliary ones, and the embedding that may lie before the main one.
    """
    found = _HEAD.match(layer_name)
    return found[1] if found else ""


def is_head(layer_name: str) -> bool:
    """Whether a model without its top lacks the layer: part of a classifier, or of the embedding before it."""
    return head_of(layer_name) != ""


def is_classifier(layer_name: str) -> bool:
    """Whether a layer belongs to a classifier, main or auxiliary."""
    return head_of(layer_name) not in ("", "embedding")


def is_aux_head(layer_name: str) -> bool:
    """Whether a layer belongs to an auxiliary classifier."""
    return head_of(layer_name).startswith("aux")


def is_part(layer_name: str, block: str) -> bool:
    """Whether a layer is the end of a block, or by its name one of its parts."""
    return layer_name == block or layer_name.startswith(f"{block}_")


def is_shuffle(layer_name: str) -> bool:
    """Whether a layer ends a channel shuffle, whichever layers it is made of."""
    return layer_name.endswith("_shuffle")


def blocks_of(readers: dict[str, list[str]]) -> dict[str, str]:
    """The block of every layer of a model.

    It is the shortest prefix of the layer's name, cut at `_`, that names a layer which is reached from it through parts
    of the same block alone: a layer in front of the network or behind it, `conv` say, is not the end of its `conv_1a`.
    A head is one block, also where its layers have others between them.

    Args:
        readers: By name of each layer, from the input on, the names of the layers that read its output.

    Returns:
        Name of the block by name of the layer; a layer that is part of no other's block is one itself.
    """
    ends: dict[str, list[str]] = {}
    for name in reversed(list(readers)):
        reached = {end for reader in readers[name] for end in (reader, *ends[reader])}
        head = head_of(name)
        parts = name.split("_")
        prefixes = ["_".join(parts[:count]) for count in range(1, len(parts))]
        ends[name] = [head] if head != name and head in readers else [end for end in prefixes if end in reached]
    return {name: ends[name][0] if ends[name] else name for name in readers}


def unit_label(op: Any) -> str:
    """What an operation adds to the name of its unit: the kernel of a convolution, else the kind, such as `pool`."""
    kernel = getattr(op, "kernel", None)
    return f"{kernel[0]}x{kernel[1]}" if kernel else type(op).__name__.lower()
