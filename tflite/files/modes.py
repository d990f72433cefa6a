"""The modes of a TFLite file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ExportError


@dataclass(frozen=True)
class Mode:
    """How a TFLite file stores weights and computes.

    Attributes:
        calibrated: Whether representative images are needed.
        rounded: Whether int8 weights are rounded against representative images, where there are any.
        pixels_by_converter: Whether the file takes uint8 because the converter quantises its float input, with scale
            1 and zero point 0; otherwise a cast inside the graph reads the pixels.
        summary: One line for tables and documentation.
    """

    calibrated: bool
    rounded: bool
    pixels_by_converter: bool
    summary: str


MODES = {
    "float32": Mode(False, False, False, "float32 weights and arithmetic: the reference"),
    "float16": Mode(False, False, False, "float16 weights, half the size; GPUs compute in float16, CPUs in float32"),
    "dynamic": Mode(
        False,
        True,
        False,
        "int8 weights, a quarter of the size; activations quantised on the fly; depthwise convolutions in float",
    ),
    "int8": Mode(True, True, True, "int8 weights and activations: CPUs, DSPs and NPUs"),
    "int16x8": Mode(True, True, False, "int8 weights, int16 activations: where int8 loses too much"),
}


def check_modes(modes: Iterable[str]) -> tuple[str, ...]:
    """Returns the modes as a tuple without repetitions.

    Raises:
        ExportError: One of them is unknown.
    """
    chosen = tuple(dict.fromkeys([modes] if isinstance(modes, str) else modes))
    for mode in chosen:
        if mode not in MODES:
            raise ExportError(f"A mode must be one of {', '.join(MODES)}. Received: {mode!r}.")
    return chosen
