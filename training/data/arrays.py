"""Images in memory: the digits of scikit-learn, and arrays in a file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config import TrainConfig
from ..files import write_atomically
from .images import ArrayImages, Parts, empty_pixels, some

_MOST_CLASSES = 10**6
"""Without names a label counts the classes: a damaged one must not count to where memory ends."""


def open_digits(config: TrainConfig) -> ArrayImages:
    """The 1,797 scans of handwritten digits that scikit-learn ships: UCI Optdigits' test set, 8x8, 17 grey levels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    pixels = np.repeat(grey, config.model.channels, axis=-1)
    names = [f"digits/{i}" for i in range(len(pixels))]
    return ArrayImages(pixels, digits.target.astype(np.int64), names)


def open_arrays(place: str, config: TrainConfig, to_train: bool = True) -> Parts:
    """Opens what `write_arrays` wrote; one class is enough where it is not to be trained on.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where it holds something else.
    """
    path = Path(place).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"array:FILE.npz must name a file. Received: {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(array) for name, array in file.items()}  # bytes, where it is no array
    except Exception as error:  # NumPy and zipfile raise whatever a damaged file leads to
        raise ValueError(f"array:FILE.npz must be a whole .npz file without objects. Received: {path}") from error

    def images(part: str) -> ArrayImages | None:
        prefix = "" if part == "train" else f"{part}_"
        if f"{prefix}images" not in arrays:
            return None
        pixels, labels = arrays.pop(f"{prefix}images"), arrays.get(f"{prefix}labels", np.empty(0))
        pixels = _checked(pixels, labels, path, config.model.channels)
        weights = arrays.get(f"{prefix}weights")
        if weights is not None and (weights.shape != labels.shape[:1] or not (weights >= 0).all()):
            raise ValueError(f"Weights must be one number of at least 0 an image. Received: {path}")
        names = [f"{path.stem}/{part}/{i}" for i in range(len(pixels))]
        shared = empty_pixels(pixels.shape)
        shared[:] = pixels
        return ArrayImages(shared, labels.astype(np.int64 if labels.ndim == 1 else np.float32), names, weights)

    train = images("train")
    if train is None:
        raise ValueError(f"array:FILE.npz must hold images and labels. Received: {path} with {some(sorted(arrays))}")
    several = train.labels.ndim == 2
    counted = np.arange(train.labels.shape[1] if several else min(train.labels.max() + 1, _MOST_CLASSES))
    class_names = [str(name) for name in arrays.get("class_names", counted).ravel()]
    parts = Parts(train, images("validation"), images("test"), class_names, [])
    present = [part.labels for part in (parts.train, parts.validation, parts.test) if part is not None]
    _refuse_twins(class_names, path)
    if several:
        shapes = sorted({labels.shape[1:] for labels in present})
        if shapes != [(len(class_names),)] or len(class_names) < 2:
            raise ValueError(
                "Several labels an image must be zeros and ones for each of at least two classes, in every part. "
                f"Received: {path} with {len(class_names)} classes and labels of the shapes {shapes} an image"
            )
        return parts
    largest = max(labels.max() for labels in present)
    if largest >= len(class_names) or (to_train and len(class_names) < 2):
        raise ValueError(
            f"Labels must number at least two classes from 0. Received: {path} with the label {largest} "
            f"and {len(class_names)} classes"
        )
    return parts


def write_arrays(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    test: tuple[np.ndarray, np.ndarray] | None = None,
) -> str:
    """Writes images in memory as a file that runs can be trained on, and can find again.

    Args:
        path: the .npz file to write.
        images: uint8 [n, height, width] or [n, height, width, channels].
        labels: whole numbers [n], from 0; several labels an image are zeros and ones [n, classes].
        class_names: names by label; the numbers themselves where it is None.
        weights: how much each image counts in training [n].
        validation: images and labels to validate on; split off `images` where it is None.
        test: images and labels to test on; split off `images` where it is None.

    Returns:
        The `data` of a configuration: `array:PATH`.

    Raises:
        ValueError: where the arrays are not such.
    """
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    arrays: dict[str, Any] = {}
    for part, pair in (("", (images, labels)), ("validation_", validation), ("test_", test)):
        if pair is not None:
            _checked(*pair, path, None)
            arrays |= {f"{part}images": pair[0], f"{part}labels": pair[1]}
    if class_names is not None:
        _refuse_twins([str(name) for name in class_names], path)
        arrays["class_names"] = np.array(class_names)
    if weights is not None:
        arrays["weights"] = np.asarray(weights, np.float32)
    write_atomically(path, lambda temporary: np.savez(temporary, **arrays))
    return f"array:{path}"


def _refuse_twins(class_names: list[str], path: Path) -> None:
    twins = sorted(name for name, count in Counter(class_names).items() if count > 1)
    if twins:
        raise ValueError(f"Each class must have a name of its own. Received: {some(twins)} more than once for {path}")


def _checked(pixels: np.ndarray, labels: np.ndarray, path: Path, channels: int | None) -> np.ndarray:
    """The pixels with `channels` channels: grey is repeated where colour is asked for."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (1,), (3,)):
        raise ValueError(
            "Images in an array must be uint8 [n, height, width] or [n, height, width, 1 or 3]. "
            f"Received: {pixels.dtype} {list(pixels.shape)} for {path}"
        )
    several = labels.ndim == 2 and labels.shape[1] > 1 and len(labels) == len(pixels) and np.isin(labels, (0, 1)).all()
    one = labels.shape == (len(pixels),) and labels.dtype.kind in "iu" and len(labels) and labels.min() >= 0
    if not (one or (several and len(labels))):
        raise ValueError(
            f"Labels must be one whole number of at least 0 an image ({len(pixels)}), or zeros and ones [n, classes]. "
            f"Received: {labels.dtype} {list(labels.shape)} for {path}"
        )
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    if channels in (None, pixels.shape[-1]):
        return pixels
    if channels == 1:
        raise ValueError(f"model.channels must be 3 for images in colour. Received: 1 for {path}")
    return np.repeat(pixels, 3, axis=-1)
