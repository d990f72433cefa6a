"""A .keras file of anyone, read without running anything that is in it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import keras

_CODE = ("lambda", "unsafe", "arbitrary code")


def load(path: Path) -> keras.Model:
    """Loads a functional or Sequential model out of a `.keras` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is none, is damaged, or holds code (as a `Lambda` does) or layers that nobody registered.
    """
    if not path.is_file():
        raise FileNotFoundError(f"A .keras file must exist. Received: {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"A .keras file must be one that Keras 3 wrote. Received: {path}, which is something else")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged or foreign file leads to
        text = " ".join(str(error).split())
        if any(word in text.lower() for word in _CODE):
            raise ValueError(
                f"A .keras file must hold layers and weights alone: code in it is not run. Received: {path} with code, "
                "such as a Lambda; replace it by a layer and save again"
            ) from None
        unknown = re.search(r"Could not locate (?:class|function) '([^']+)'", text)
        what = f"{unknown[1]}, which is not registered here" if unknown else text.partition(". ")[0][:200]
        raise ValueError(
            f"A .keras file must be whole, of layers that are known. Received: {path} ({what or 'no reason given'})"
        ) from None
    if not isinstance(model, keras.Model):
        raise ValueError(f"A .keras file must hold a model. Received: {path} with a {type(model).__name__}")
    return model


def check_preprocessing(handle: str, model: keras.Model, said: str | None) -> None:
    """Raises `ValueError` unless it is known what pixels need before a network: it is inside, or it was said."""
    from keras_inception.preprocessing import PREPROCESSING, get_preprocessing
    from keras_inception.tflite.network.flattening import flattened
    from keras_inception.tflite.network.graph import scales_pixels

    if said is None and not scales_pixels(flattened(model)):
        raise ValueError(
            "--preprocessing tells what pixels need before a network that has none inside: one of "
            f"{', '.join(PREPROCESSING)}, or none where it takes pixels in 0..255 as they are. "
            f"Received: {handle} without one"
        )
    if said not in (None, "none"):
        get_preprocessing(str(said))
