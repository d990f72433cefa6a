# ruff: noqa: ARG001, D417 -- the shared arguments are read, and documented, by `network`
"""Inception-ResNet v1 and v2.

"Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", Szegedy et al., 2016,
https://arxiv.org/abs/1602.07261. Reference implementations: facenet, facenet-pytorch and pytorchcv for v1 (22.7 to 24.0
million weights), TF-Slim, keras.applications and timm for v2 (55.8 million weights). Input 299x299.

The released v1 has a sixth block8 and a bottleneck before its classifier; the paper's form is `variant="paper"`. The
released v2 has Inception v3's stem and 10, 20 and 10 blocks; the printed one adds residuals to tensors of other widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from keras import layers

from keras_inception.application import Network, network
from keras_inception.arguments import check_number
from keras_inception.layers import Tensor, batch_normalization, channel_axis, conv_bn, drop_branch, inception_module
from keras_inception.models.inception_v3 import STEM
from keras_inception.numerics import KERAS, SLIM, Numerics
from keras_inception.ops import AuxHead, Module, Table, avg_pool, conv, max_pool


@dataclass(frozen=True)
class Residual:
    """A module that is projected to its input's width by a 1x1 convolution with a bias, scaled, and added to it."""

    branches: Module
    scale: float
    activation: str | None = "relu"
    stride: int = field(default=1, init=False)
    drop_rate: float = 0.0

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        width = x.shape[channel_axis()]
        y = inception_module(x, self.branches, name=f"{name}_mixed", numerics=numerics)
        y = conv_bn(y, width, 1, name=f"{name}_up", numerics=numerics, batch_norm=False, activation=None)
        if self.scale != 1:
            y = layers.Rescaling(self.scale, name=f"{name}_scale")(y)
        x = layers.Add(name=f"{name}_add" if self.activation else name)([x, drop_branch(y, self.drop_rate, name=name)])
        return layers.Activation(self.activation, name=name)(x) if self.activation else x


def _blocks(name: str, count: int, scale: float, branches: Module) -> dict[str, Residual]:
    return {f"{name}_{index}": Residual(branches, scale) for index in range(1, count + 1)}


def _reduction_a(chain: tuple[int, int, int]) -> Module:
    """The reduction from 35x35 to 17x17."""
    return [
        [conv(384, 3, stride=2, padding="valid")],
        [conv(chain[0], 1), conv(chain[1], 3), conv(chain[2], 3, stride=2, padding="valid")],
        [max_pool(3, 2, padding="valid")],
    ]


def _reduction_b(single: int, chain: tuple[int, int]) -> Module:
    """The reduction from 17x17 to 8x8."""
    return [
        [conv(256, 1), conv(384, 3, stride=2, padding="valid")],
        [conv(256, 1), conv(single, 3, stride=2, padding="valid")],
        [conv(256, 1), conv(chain[0], 3), conv(chain[1], 3, stride=2, padding="valid")],
        [max_pool(3, 2, padding="valid")],
    ]


V1_BLOCK8: Module = [[conv(192, 1)], [conv(192, 1), conv(192, (1, 3)), conv(192, (3, 1))]]
V1_PAPER: Table = {  # output sizes at 299x299
    **{name: op for name, op in STEM.items() if name != "pool_5a"},
    "conv_4b": conv(256, 3, stride=2, padding="valid"),  # 35x35x256
    **_blocks("block35", 5, 0.17, [[conv(32, 1)], [conv(32, 1), conv(32, 3)], [conv(32, 1), conv(32, 3), conv(32, 3)]]),
    "mixed_6a": _reduction_a((192, 192, 256)),  # 17x17x896
    **_blocks("block17", 10, 0.10, [[conv(128, 1)], [conv(128, 1), conv(128, (1, 7)), conv(128, (7, 1))]]),
    "mixed_7a": _reduction_b(256, (256, 256)),  # 8x8x1792
    **_blocks("block8", 5, 0.20, V1_BLOCK8),
}
V1_TABLES: dict[str, Table] = {
    "facenet": {**V1_PAPER, "block8_6": Residual(V1_BLOCK8, scale=1.0, activation=None)},
    "paper": V1_PAPER,
}

V2_BLOCK35: Module = [[conv(32, 1)], [conv(32, 1), conv(32, 3)], [conv(32, 1), conv(48, 3), conv(64, 3)]]
V2_BLOCK8: Module = [[conv(192, 1)], [conv(192, 1), conv(224, (1, 3)), conv(256, (3, 1))]]
V2_TABLE: Table = {
    **STEM,  # 35x35x192
    "mixed_5b": [
        [conv(96, 1)],
        [conv(48, 1), conv(64, 5)],
        [conv(64, 1), conv(96, 3), conv(96, 3)],
        [avg_pool(3), conv(64, 1)],
    ],  # 35x35x320
    **_blocks("block35", 10, 0.17, V2_BLOCK35),
    "mixed_6a": _reduction_a((256, 256, 384)),  # 17x17x1088
    **_blocks("block17", 20, 0.10, [[conv(192, 1)], [conv(128, 1), conv(160, (1, 7)), conv(192, (7, 1))]]),
    "mixed_7a": _reduction_b(288, (288, 320)),  # 8x8x2080
    **_blocks("block8", 9, 0.20, V2_BLOCK8),
    "block8_10": Residual(V2_BLOCK8, scale=1.0, activation=None),
    "conv_7b": conv(1536, 1),  # 8x8x1536
}
V2_AUX = AuxHead("aux", "block17_20", [avg_pool(5, 3, padding="valid"), conv(128, 1), conv(768, 5, padding="valid")])


@network("inception_resnet_v1")
def InceptionResNetV1(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v1",
    *,
    variant: Literal["facenet", "paper"] = "facenet",
    bottleneck: int | None = None,
    aux_heads: bool = False,
    dropout: float | None = None,
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Inception-ResNet v1 (https://arxiv.org/abs/1602.07261).

    Args:
        variant: `"facenet"`: the network of facenet and of the public ImageNet weights, with a sixth, unscaled and
            linear block8 and a bottleneck of 512. `"paper"`: five of them, and the classifier alone.
        bottleneck: Width of the batch-normalised dense layer before the classifier (layer `"embedding"`, by which
            facenet compares faces); 0 for none; None: the variant's.
        dropout: Rate after the global pool; None: the paper's 0.2.
        numerics: The conventions to compute under; None: those of the public weights, `numerics.KERAS`. facenet's
            own TensorFlow weights have no scale in their batch norms, as `numerics.SLIM`.
    """
    bottleneck = {"facenet": 512, "paper": 0}[variant] if bottleneck is None else bottleneck
    width = check_number("bottleneck", bottleneck, " must be a whole number, 0 for none", lambda width: width >= 0)
    numerics = numerics or KERAS

    def neck(x: Tensor) -> Tensor:
        x = layers.Dense(width, use_bias=False, name="embedding_dense")(x)
        return batch_normalization(x, name="embedding", numerics=numerics)

    return Network(table=V1_TABLES[variant], numerics=numerics, dropout=0.2, neck=neck if width else None)


@network("inception_resnet_v2")
def InceptionResNetV2(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "inception_resnet_v2",
    *,
    aux_heads: bool = False,
    dropout: float | None = None,
    stochastic_depth: float = 0.0,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> Network:
    """Builds Inception-ResNet v2 (https://arxiv.org/abs/1602.07261).

    Args:
        aux_heads: Add the batch-normalised auxiliary classifier on block17_20; the outputs are then the dictionary
            `{"predictions", "aux"}`. TF-Slim weights its loss 0.4. It needs at least 107x107 pixels.
        dropout: Rate before the classifier; None: the paper's and TF-Slim's 0.2.
        numerics: The conventions to compute under; None: those of TF-Slim and keras.applications. timm's weights,
            which come with a scale of the batch norms, are exact under `numerics.KERAS`.
    """
    return Network(table=V2_TABLE, numerics=numerics or SLIM, dropout=0.2, aux_heads=[V2_AUX])
