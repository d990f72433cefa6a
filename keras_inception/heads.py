"""Classifier and auxiliary heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from keras import layers

from keras_inception.layers import Tensor, apply, full_precision, spatial_size
from keras_inception.naming import unit_label
from keras_inception.numerics import Numerics
from keras_inception.ops import AuxHead, Conv, Op, Pool


def classifier(
    x: Tensor,
    *,
    classes: int,
    activation: Any,
    name: str,
    dropout: float = 0.0,
    use_bias: bool = True,
    neck: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Dropout, dense layer and activation on a batch of feature vectors; `neck` builds what follows the dropout.

    The dense layer is `NAME_logits`. The activation, named `name`, computes in float32 under mixed precision.
    """
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    if neck is not None:
        x = neck(x)
    x = layers.Dense(classes, use_bias=use_bias, name=f"{name}_logits")(x)
    return layers.Activation(activation or "linear", dtype=full_precision(), name=name)(x)


def auxiliary_classifier(
    x: Tensor, head: AuxHead, ops: Sequence[Op], *, classes: int, activation: Any, numerics: Numerics
) -> Tensor:
    """Builds an auxiliary head on its tap's output from its operations, scaled in width or not.

    A convolution without padding whose kernel is larger than its input is cut down to it, as in TF-Slim, so that
    networks can be built for small images. A pool must fit, which `keras_inception.ops.smallest_size` sees to.
    """
    for op in ops:
        name = f"{head.name}_{unit_label(op)}"
        size = spatial_size(x) if len(x.shape) == 4 else (None, None)
        if isinstance(op, Pool) and numerics.adaptive_aux_pool:
            x = layers.AdaptiveAveragePooling2D(4, name=name)(x)
            continue
        if isinstance(op, Conv) and op.padding == "valid":
            fitted = [min(k, side) if side else k for k, side in zip(op.kernel, size, strict=True)]
            op = replace(op, kernel=(fitted[0], fitted[1]))
        x = apply(op, x, name=name, numerics=numerics)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name=f"{head.name}_global_pool")(x)
    return classifier(x, classes=classes, activation=activation, name=head.name)
