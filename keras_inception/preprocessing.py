"""What a network expects its pixels to be: one table, and the two ways to apply it.

`preprocess_input` maps pixels outside a model; `include_preprocessing=True` puts the same arithmetic inside.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from keras_inception.registry import get_entry


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a picture to the numbers that a weight set was trained on.

    Attributes:
        size: Height and width in pixels of the network's input; None: the network's own.
        crop: Share of the shorter side that the central crop keeps, so that a picture is resized to `size / crop`.
        interpolation: Of that resize.
        channel_order: Order of the colours that the network expects; pictures come as RGB.
        mean: Subtracted from every pixel value in 0..255: one number, or one a channel in the network's order.
        std: Divides the difference; one number, or one a channel.
    """

    size: int | None = None
    crop: float = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: float | tuple[float, ...] = 127.5
    std: float | tuple[float, ...] = 127.5


IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)

PREPROCESSING = {
    "inception": Preprocessing(),  # [-1, 1]: TF-Slim, keras.applications ("tf"), timm's ports of them
    "torch": Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD),  # torchvision, pytorchcv
    "caffe": Preprocessing(channel_order="bgr", mean=(104.0, 117.0, 123.0), std=1.0),  # BVLC
    "bn_inception": Preprocessing(channel_order="bgr", mean=(104.0, 117.0, 128.0), std=1.0),  # Cadene's port
    "bgr": Preprocessing(channel_order="bgr", mean=0.0, std=1.0),  # Megvii's ShuffleNet
    "google": Preprocessing(mean=117.0, std=1.0),  # Google's GoogLeNet of 2015 ("inception5h")
}


def get_preprocessing(name: str | Preprocessing) -> Preprocessing:
    """Returns the preprocessing of that name, or the default one of the network of that name.

    Raises:
        ValueError: Neither a network nor a preprocessing has that name.
    """
    if isinstance(name, Preprocessing):
        return name
    if name in PREPROCESSING:
        return PREPROCESSING[name]
    try:
        return PREPROCESSING[get_entry(name).preprocessing]
    except ValueError:
        raise ValueError(
            f"The preprocessing must be one of {', '.join(PREPROCESSING)} or the name of a network. Received: {name!r}."
        ) from None


def preprocess_input(images: Any, name: str | Preprocessing) -> Any:
    """Maps pixels to what a network expects; the argument is never changed.

    Args:
        images: One image or a batch of them, channels last, RGB, values in 0..255 of any number type: a NumPy array
            (or anything that NumPy makes one of, such as a Pillow image), a tensor of the Keras backend, or one of
            TensorFlow under any backend, as in `tf.data`.
        name: Name of a network (its default weights' preprocessing), a name in `PREPROCESSING`, or a record.

    Returns:
        A new array or tensor of the same shape, float32 (float64 stays float64).

    Raises:
        ValueError: The name is unknown, or the preprocessing is one for three channels and the images have not three.
    """
    record = get_preprocessing(name)
    if isinstance(images, np.ndarray | np.generic) or not hasattr(images, "shape"):
        array = np.asarray(images)
        _check_channels(record, array.shape[-1])
        array = array.astype(array.dtype if array.dtype == np.float64 else np.float32)
        array = array[..., ::-1] if record.channel_order == "bgr" else array
        dtype = array.dtype
        return ((array - np.asarray(record.mean, dtype)) / np.asarray(record.std, dtype)).astype(dtype)
    _check_channels(record, images.shape[-1])
    if type(images).__module__.startswith("tensorflow."):  # tf.data gives such tensors whatever Keras's backend is
        tf = sys.modules["tensorflow"]  # which has made the tensor
        cast, constant, flip = tf.cast, tf.constant, lambda pixels: pixels[..., ::-1]
    else:
        from keras import ops

        cast, constant, flip = ops.cast, ops.convert_to_tensor, functools.partial(ops.flip, axis=-1)
    tensor = images if "float64" in str(images.dtype) else cast(images, "float32")
    tensor = flip(tensor) if record.channel_order == "bgr" else tensor
    mean, std = (constant(value, tensor.dtype) for value in (record.mean, record.std))
    return (tensor - mean) / std


def preprocessing_layers(x: Any, name: str | Preprocessing) -> Any:
    """Applies the preprocessing inside a functional model.

    Args:
        x: Symbolic batch of raw pixels, values in 0..255, in Keras's data format.
        name: As in `preprocess_input`.

    Returns:
        The symbolic batch that the network expects.

    Raises:
        ValueError: As in `preprocess_input`.
    """
    from keras import layers, ops

    from keras_inception.layers import channel_axis, full_precision

    record = get_preprocessing(name)
    _check_channels(record, x.shape[channel_axis()])
    if record.channel_order == "bgr":
        x = ops.flip(x, axis=channel_axis())
    scale = 1 / np.asarray(record.std, "float64")
    offset = -np.asarray(record.mean, "float64") * scale
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype=full_precision(), name="preprocessing")(x)


def _check_channels(record: Preprocessing, channels: int | None) -> None:
    per_channel = record.channel_order == "bgr" or isinstance(record.mean, tuple) or isinstance(record.std, tuple)
    if per_channel and channels != 3:
        raise ValueError(f"This preprocessing is defined for 3 colour channels. Received: {channels} channels.")
