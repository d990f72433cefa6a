"""Selective quantisation: an int8 file whose costliest layers stay float, chosen by measuring each.

It needs the `quantizer` extra: litert-quantizer quantises a float TFLite file operator by operator, which TensorFlow's
converter does not.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_inception.showing import tracked

from ..errors import ExportError, quiet
from ..files.flatbuffer import operator_names
from ..files.tracing import INPUT, SIGNATURE
from ..running.litert import LiteRTModel, opened

CALIBRATION_IMAGES = (
    64  # litert-quantizer's calibration is slower than TensorFlow's; more images hardly move the ranges
)
SAMPLES = 16


@dataclass(frozen=True)
class Selection:
    """An int8 file with float layers.

    Attributes:
        content: The file's bytes.
        float_layers: Names of the layers that stay float, the costliest first.
        tried: How many layers were left float in each attempt.
    """

    content: bytes
    float_layers: tuple[str, ...]
    tried: tuple[int, ...]


def quantize_selectively(
    float_file: bytes,
    images: np.ndarray,
    acceptable: Callable[[LiteRTModel], bool],
    *,
    layer_names: Sequence[str] = (),
) -> Selection:
    """Quantises as many layers as a limit allows.

    Every operator is quantised alone, its inputs included, and the mean change of the answers is its cost. Files are
    then made with the 0, 1, 2, 4, 8, ... costliest left float, until one is acceptable; between that one and the last
    refused, the smallest acceptable number is found by halving.

    Args:
        float_file: A float32 .tflite file with folded batch norms.
        images: Calibration images, uint8 [n, h, w, c].
        acceptable: Tells whether a file is good enough.
        layer_names: Names of the Keras layers, to name the float operators by.

    Returns:
        The file; where none is acceptable, the float one.

    Raises:
        ExportError: litert-quantizer is not installed.
    """
    files = _Files(float_file, images[:CALIBRATION_IMAGES])
    operators = operator_names(float_file)
    samples = images[:SAMPLES]
    reference = opened(float_file)(samples)
    costs = []
    for operator in tracked(operators, "Measuring what each layer costs in int8"):
        answer = opened(files.quantized(only=operator))(samples)
        costs.append(float(np.abs(answer - reference).mean()))
    ranked = [operators[index] for index in np.argsort(costs, kind="stable")[::-1]]

    attempts: dict[int, bytes] = {}

    def good(count: int) -> bool:
        attempts[count] = files.quantized(but=ranked[:count])
        return acceptable(opened(attempts[count]))

    refused, count = -1, 0
    while not good(count) and count < len(ranked):
        refused, count = count, min(max(1, 2 * count), len(ranked))
    low, high = refused, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    names = tuple(_layer_name(operator, layer_names) for operator in ranked[:high])
    return Selection(attempts[high], names, tuple(attempts))


class _Files:
    """Quantised forms of one float file, calibrated once."""

    def __init__(self, float_file: bytes, images: np.ndarray) -> None:
        try:
            from litert_quantizer import qtyping, quantizer, recipe
        except ImportError:
            raise ExportError(
                "Selective quantisation needs litert-quantizer: pip install 'keras-inception[quantizer]'. "
                "Received: an environment without it."
            ) from None
        self._quantizer, self._content = quantizer.Quantizer, float_file
        (everything,) = recipe.static_wi8_ai8()
        none = {**everything, "algorithm_key": "no_quantize", "op_config": {}}
        # The pixels enter as they do in the float file, and the answers leave as floats: an app notices no difference.
        names = qtyping.TFLOperationName
        self._borders = [{**none, "operation": name} for name in (names.INPUT, names.OUTPUT)]
        self._all, self._none = everything, none
        data = {SIGNATURE: [{INPUT: image[None]} for image in images]}
        with _silence():
            tool = self._quantizer(bytearray(float_file), [everything])
            self._ranges = tool.calibrate(data, num_threads=1)

    def quantized(self, *, only: str | None = None, but: Sequence[str] = ()) -> bytes:
        """The file with one operator quantised, or with all but some."""
        recipe = [self._all if only is None else {**self._all, "regex": _exactly(only)}]
        recipe += [{**self._none, "regex": _exactly(operator)} for operator in but]
        with _silence():
            tool = self._quantizer(bytearray(self._content), [*recipe, *self._borders])
            result = tool.quantize(self._ranges, enable_progress_report=False, enable_progress_bar=False)
        return bytes(result.quantized_model)


@contextmanager
def _silence() -> Iterator[None]:
    """Drops litert-quantizer's progress bars and its warning about how it calibrates."""
    # The bars go to Python's own stderr, which the command has put elsewhere than the descriptor.
    with quiet(), redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        yield


def _exactly(operator: str) -> str:
    return f"^{re.escape(operator)}(;|$)"


def _layer_name(operator: str, layer_names: Sequence[str]) -> Any:
    """The Keras layer that an operator's output tensor is named after: TensorFlow may have added `_1` to its scope."""
    known = set(layer_names)
    for part in re.split("[;/]", operator):
        for name in (part, re.sub(r"_\d+$", "", part)):
            if name in known:
                return name
    return operator
