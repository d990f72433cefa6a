"""Tables of names with braces, as a shell expands them: what pairs our layers with a source's modules."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

NO_BLOCKS: Mapping[str, Sequence[str]] = MappingProxyType({})


def expand(pattern: str) -> list[str]:
    """Expands braces as a shell does: `"a{1..3}_{x,y}"` is a1_x, a1_y, a2_x, a2_y, a3_x, a3_y."""
    parts = re.split(r"(\{[^{}]*\})", pattern)
    choices = [_choices(part[1:-1]) if part.startswith("{") else [part] for part in parts]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choices(text: str) -> list[str]:
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    return [str(n) for n in range(int(numbers[1]), int(numbers[2]) + 1)] if numbers else text.split(",")


def expand_pairs(table: Mapping[str, str], blocks: Mapping[str, Sequence[str]] = NO_BLOCKS) -> dict[str, str]:
    """Expands the braces of a table of ours to theirs, pair by pair; a block of ours stands for its units in order."""
    pairs: dict[str, str] = {}
    for ours, theirs in table.items():
        units = [unit for name in expand(ours) for unit in blocks.get(name, (name,))]
        pairs.update(zip(units, expand(theirs), strict=True))
    return pairs


def with_parts(units: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """From units to layers: `parts` maps `"conv"` and `"bn"` to what the source calls them, `*` being its unit."""
    return {
        f"{ours}_{part}": template.replace("*", theirs)
        for ours, theirs in units.items()
        for part, template in parts.items()
    }
