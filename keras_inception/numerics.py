"""What implementations of the same network disagree on, as one small record.

Two ports with equal shapes and equal weights differ in their outputs by 1 to 14 percent when these conventions
differ. A weight set is exact only under the numerics that it was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Conventions under which a network computes.

    Attributes:
        epsilon: Added to the variance by batch normalisation.
        momentum: Of the moving statistics of batch normalisation, in the sense of Keras (PyTorch's is one minus it).
        scale: Batch normalisation has a trainable scale (gamma).
        batch_norm: Convolutions are followed by batch normalisation.
        conv_bias: Those convolutions have a bias all the same.
        padding: How "same" convolutions and pools of stride 2 or more pad: `"same"` is TensorFlow's rule (on even
            inputs one row and column fewer before than after), `"torch"` pads `kernel // 2` on every side.
        ceil_pool: Max pools of stride 2 or more pad only after, and only as far as the last window needs (Caffe;
            PyTorch's `ceil_mode`). Wins over `padding`.
        count_padding: Average pools divide by the whole window, padding included (PyTorch's default).
        adaptive_aux_pool: The auxiliary heads of Inception v1 pool adaptively to 4x4 (torchvision), not 5x5/3.
    """

    epsilon: float = 1e-3
    momentum: float = 0.99
    scale: bool = True
    batch_norm: bool = True
    conv_bias: bool = False
    padding: Literal["same", "torch"] = "same"
    ceil_pool: bool = False
    count_padding: bool = False
    adaptive_aux_pool: bool = False


SLIM = Numerics(scale=False)
"""TF-Slim's Inception networks and the Inception networks of keras.applications: no gamma, epsilon 1e-3."""

KERAS = Numerics()
"""keras.applications' Xception and MobileNets and TF-Slim's MobileNets: gamma, epsilon 1e-3."""

TORCH = Numerics(epsilon=1e-5, momentum=0.9, padding="torch", count_padding=True)
"""PyTorch's defaults: torchvision, timm and pytorchcv where nothing else is said."""

TORCHVISION_INCEPTION = Numerics(momentum=0.9, count_padding=True)
"""torchvision's and timm's Inception v3: TF-Slim's weights under PyTorch's average pools."""

TORCHVISION_GOOGLENET = Numerics(momentum=0.9, padding="torch", ceil_pool=True, adaptive_aux_pool=True)
"""torchvision's GoogLeNet: TF-Slim's weights under symmetric padding and ceil-mode pools."""

BN_INCEPTION = Numerics(epsilon=1e-5, momentum=0.9, padding="torch", ceil_pool=True, count_padding=True, conv_bias=True)
"""Caffe's BN-Inception and its PyTorch ports: biases before the batch norms, ceil-mode pools."""

CAFFE = Numerics(batch_norm=False, conv_bias=True, padding="torch", ceil_pool=True)
"""BVLC's GoogLeNet: no batch norm, ceil-mode pools."""
