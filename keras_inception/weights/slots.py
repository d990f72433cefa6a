"""The weights of a model, one by one, as a weights file fills them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from keras_inception.weights.errors import WeightsError

_KINDS = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "SeparableConv2D": "separable",
    "Dense": "dense",
    "BatchNormalization": "batch_norm",
}


@dataclass(frozen=True)
class Slot:
    """A weight of a model.

    Attributes:
        layer: Name of its layer; the two kernels of a separable convolution count as layers of their own,
            `NAME.depthwise` and `NAME.pointwise`.
        kind: `"conv"`, `"depthwise"`, `"pointwise"`, `"dense"` or `"batch_norm"`.
        name: `"kernel"`, `"bias"`, `"gamma"`, `"beta"`, `"moving_mean"` or `"moving_variance"`.
        position: Its index among the weights of its layer, in Keras's order.
        variable: The Keras variable.
    """

    layer: str
    kind: str
    name: str
    position: int
    variable: Any

    @property
    def path(self) -> str:
        """Name of the weight: its layer's and Keras's own."""
        return f"{self.layer.partition('.')[0]}/{self.variable.name}"

    @property
    def counts_classes(self) -> bool:
        """Whether the width of the weight is the number of classes."""
        return self.layer.endswith("_logits")


def slots(model: Any, skip: Collection[str] = ()) -> list[Slot]:
    """The weights of a model in the order of its layers, those of the layers in `skip` left out.

    Raises:
        WeightsError: A layer has weights of a kind that no network here has.
    """
    return [slot for layer in model.layers if layer.name not in skip for slot in _layer_slots(layer)]


def _layer_slots(layer: Any) -> Iterator[Slot]:
    kind = _KINDS.get(type(layer).__name__)
    if not layer.weights:
        return
    if kind is None:
        raise WeightsError(f"Weights load into layers of {', '.join(_KINDS)}. Received: {type(layer).__name__}.")
    for position, variable in enumerate(layer.weights):
        name = variable.name
        if kind == "separable" and name.endswith("_kernel"):
            part = name.removesuffix("_kernel")
            yield Slot(f"{layer.name}.{part}", part, "kernel", position, variable)
        else:
            yield Slot(layer.name, "conv" if kind == "separable" else kind, name, position, variable)
