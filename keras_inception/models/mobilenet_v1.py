"""MobileNet v1.

"MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", Howard et al., 2017,
https://arxiv.org/abs/1704.04861. Reference implementations: TF-Slim's mobilenet_v1, keras.applications' MobileNet.
Input 224x224 (the paper's resolution multiplier is the input size), 4.2 million weights.

The paper's Table 1 prints stride 2 for the last depthwise convolution; on 7x7 maps that stay 7x7 it is 1, as in every
implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from keras_inception.application import assemble, check_choice, takes_weights
from keras_inception.layers import Tensor, conv_bn, depthwise_bn, scaled
from keras_inception.numerics import KERAS, Numerics

STEM_WIDTH = 32  # 3x3, stride 2: 112x112
BLOCKS = [  # width and stride of each depthwise separable block; output sizes at 224x224
    (64, 1),  # 112x112
    (128, 2),
    (128, 1),  # 56x56
    (256, 2),
    (256, 1),  # 28x28
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),  # 14x14
    (1024, 2),
    (1024, 1),  # 7x7
]
ACTIVATIONS = {"slim": "relu6", "paper": "relu"}  # by variant
MIN_SIZES = {"imagenet": 32, "low_resolution": 8}  # by stem


@takes_weights("mobilenet_v1")
def MobileNetV1(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Tensor | None = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "mobilenet_v1",
    *,
    variant: Literal["slim", "paper"] = "slim",
    stem: Literal["imagenet", "low_resolution"] = "imagenet",
    aux_heads: bool = False,
    alpha: float = 1.0,
    dropout: float | None = None,
    numerics: Numerics | None = None,
    include_preprocessing: bool = False,
) -> keras.Model:
    """Builds MobileNet v1 (https://arxiv.org/abs/1704.04861).

    Where a stride-2 convolution meets an odd size, it pads like TF-Slim (one row on each side). keras.applications
    always pads its depthwise ones after the image alone and gets smaller maps there: the two agree where every
    strided depthwise convolution sees an even size, as with multiples of 32.

    Args:
        include_top: Whether to end in global average pooling, dropout and the classifier.
        weights: None (random), `"imagenet"`, the tag of a released weight set, or the path of a weights file.
        input_tensor: Keras tensor to build on instead of a new input.
        input_shape: Shape of one image, 1 to 4 channels, at least 32x32 pixels (8x8 with the low-resolution stem);
            default `(224, 224, 3)`, or any size without the top.
        pooling: Without the top: None for the last feature maps, `"avg"` or `"max"` for their global pool.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; None gives logits.
        name: Name of the model.
        variant: Activation function: `"slim"` is ReLU6, with which TF-Slim's, Keras's and timm's weights were trained;
            `"paper"` is ReLU.
        stem: `"low_resolution"` removes the first two reductions, for images of about 32x32 pixels (not in the paper).
        aux_heads: Refused: the network has none.
        alpha: Width multiplier of the paper; 0.25, 0.5, 0.75 and 1 have public weights. Widths are rounded down.
        dropout: Rate before the classifier; None: 1e-3, as in TF-Slim and Keras.
        numerics: The conventions to compute under; None: Keras's, which are TF-Slim's as well.
        include_preprocessing: Take raw pixels in 0..255 and scale them to [-1, 1] inside the model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: An argument breaks a rule.
    """
    check_choice("variant", variant, tuple(ACTIVATIONS))
    check_choice("stem", stem, tuple(MIN_SIZES))
    unit: dict[str, Any] = {"numerics": numerics or KERAS, "activation": ACTIVATIONS[variant]}

    low_resolution = stem == "low_resolution"

    def body(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = conv_bn(x, scaled(STEM_WIDTH, alpha, 1), 3, stride=1 if low_resolution else 2, name="conv1", **unit)
        for index, (width, stride) in enumerate(BLOCKS, start=1):
            stride = 1 if low_resolution and index == 2 else stride
            x = depthwise_bn(x, 3, stride=stride, name=f"block{index}_depthwise", **unit)
            x = conv_bn(x, scaled(width, alpha, 1), 1, name=f"block{index}", **unit)
        return x, {}

    return assemble(
        "mobilenet_v1",
        body,
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        name=name,
        dropout=1e-3 if dropout is None else dropout,
        include_preprocessing=include_preprocessing,
        numerics=numerics or KERAS,
        aux_heads=aux_heads,
        alpha=alpha,
        min_size=MIN_SIZES[stem],
    )
