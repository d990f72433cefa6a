"""From a picture file to pixels, as a weight set was evaluated: shorter side resized, central square cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_inception.preprocessing import Preprocessing
from keras_inception.weights.errors import require

ROUNDING = 1e-6
"""A size is rounded down, as timm does; a crop of 224/232 must not come to 231."""


def read(path: str | Path, preprocessing: Preprocessing, size: int | None = None) -> Any:
    """Reads a picture, resizes its shorter side to `size / crop` and cuts out the central `size` x `size` pixels.

    Args:
        path: The file, of any format that Pillow reads.
        preprocessing: Of the weight set; its size, crop and interpolation are used.
        size: Height and width in pixels instead of the preprocessing's own.

    Returns:
        RGB pixels as a float32 array of the shape `(size, size, 3)`, values in 0..255; `preprocess_input` takes them
        from here to the network's input.

    Raises:
        ValueError: Neither the preprocessing nor the caller gives a size, or the file is no picture.
    """
    size = size or preprocessing.size
    if size is None:
        raise ValueError(f"A picture is resized to a size of the weight set or of the caller. Received: size={size}.")
    require("PIL", "pillow", "Reading pictures")
    from PIL import Image, ImageOps

    with Path(path).open("rb") as file:  # FileNotFoundError names the file
        try:
            with Image.open(file) as opened:
                picture = ImageOps.exif_transpose(opened).convert("RGB")
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"A picture has at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels. Received: {path}."
            ) from error
        except Exception as error:  # Pillow's decoders raise whatever a damaged file leads to
            raise ValueError(f"A picture is a file that Pillow reads. Received: {path}.") from error
    shorter = int(size / preprocessing.crop + ROUNDING)
    scale = shorter / min(picture.size)
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    width, height = (max(shorter, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), resampling[preprocessing.interpolation])
    left, top = round((width - size) / 2), round((height - size) / 2)
    return np.asarray(picture.crop((left, top, left + size, top + size)), "float32")
