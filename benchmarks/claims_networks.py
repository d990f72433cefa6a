"""The networks of claims.py that no builder makes: others of the family with one of their ideas taken out.

`register` gives them ids, by which a configuration names them; they take the arguments that training gives a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import keras
from keras import layers

import keras_inception as ki
from keras_inception import registry
from keras_inception.heads import classifier
from keras_inception.layers import Tensor, channel_axis, conv_bn, inception_module, stages
from keras_inception.models import shufflenet
from keras_inception.models.inception_resnet import Residual
from keras_inception.numerics import KERAS, SLIM, Numerics
from keras_inception.ops import Module, SeparableConv, Table, conv, max_pool

WITHOUT_NORMS = replace(SLIM, batch_norm=False, conv_bias=True)


@dataclass(frozen=True)
class Plain:
    """The layers of a `Residual`, less the addition."""

    branches: Module
    stride: int = 1

    def __call__(self, x: Tensor, *, name: str, numerics: Numerics) -> Tensor:
        """Applies the block; the layer that ends it carries the name."""
        width = x.shape[channel_axis()]
        x = inception_module(x, self.branches, name=f"{name}_mixed", numerics=numerics)
        x = conv_bn(x, width, 1, name=f"{name}_up", numerics=numerics, batch_norm=False, activation=None)
        return layers.Activation("relu", name=name)(x)


def from_table(table: Table, numerics: Numerics, *, classes: int, input_shape: Sequence[int], **_: Any) -> keras.Model:
    """A network of a table: pixels, the table, the global pool and the classifier."""
    image = keras.Input(input_shape)
    x, _ends = stages(layers.Rescaling(1 / 127.5, offset=-1)(image), table, numerics=numerics)
    x = layers.GlobalAveragePooling2D(name="global_pool")(x)
    return keras.Model(image, classifier(x, classes=classes, activation="softmax", name="predictions"))


def cell_without_norms(**given: Any) -> keras.Model:
    """`InceptionCell` with biases in the place of batch norms."""
    return ki.InceptionCell(numerics=WITHOUT_NORMS, **given)


def residual(*, blocks: int = 12, width: int = 32, **given: Any) -> keras.Model:
    """Inception-ResNet's 35x35 modules, in three stages, behind a stem for small images."""
    return _of_blocks(lambda branches: Residual(branches, 0.3), blocks, width, given)


def not_residual(*, blocks: int = 12, width: int = 32, **given: Any) -> keras.Model:
    """The same with nothing added."""
    return _of_blocks(Plain, blocks, width, given)


def _of_blocks(block: Callable[[Module], Any], blocks: int, width: int, given: dict[str, Any]) -> keras.Model:
    table: dict[str, Any] = {"conv1": conv(width // 2, 3), "conv2": conv(width, 3, stride=2)}
    for stage in range(3):
        wide = width * 2**stage
        if stage:
            table[f"reduction{stage}"] = conv(wide, 3, stride=2)
        part = wide // 4
        branches = [[conv(part, 1)], [conv(part, 1), conv(part, 3)], [conv(part, 1), conv(part, 3), conv(part, 3)]]
        for index in range(blocks // 3):
            table[f"stage{stage}_{index}"] = block(branches)
    return from_table(table, SLIM, **given)


def separable(*, depth_multiplier: int = 1, width: int = 32, **given: Any) -> keras.Model:
    """MobileNet's plan of separable convolutions, each channel of which has so many depthwise filters."""
    table: dict[str, Any] = {"conv1": conv(width, 3)}
    for index, (times, pooled) in enumerate([(2, True), (4, True), (4, False), (8, True), (8, False)]):
        table[f"block{index}"] = SeparableConv(width * times, (3, 3), depth_multiplier=depth_multiplier)
        if pooled:
            table[f"pool{index}"] = max_pool(3, 2)
    return from_table(table, KERAS, **given)


def unshuffled(**given: Any) -> keras.Model:
    """`ShuffleNet` whose channels stay in their groups."""
    with mock.patch.object(shufflenet, "channel_shuffle", lambda x, _rows, *, name: layers.Identity(name=name)(x)):
        return ki.ShuffleNet(**given)


def register() -> None:
    """Gives the networks their ids: `claims_` and the name of the builder."""
    like = registry.get_entry("inception_cell")
    for builder in (cell_without_norms, residual, not_residual, separable, unshuffled):
        name = builder.__name__
        registry.register(replace(like, name=f"claims_{name}", builder=f"{__name__}:{name}", aux_heads={}))
