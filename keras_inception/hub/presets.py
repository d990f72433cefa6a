"""Folders that KerasHub's `from_preset` reads, where that is plain: a classifier of known classes, and its weights.

Such a folder holds task.json or config.json, a model as Keras writes it down; model.weights.h5, and task.weights.h5 for
a classifier's own weights; image_converter.json, from pictures to its input. Nothing in it is run: classes are those of
Keras, of this package and, where it is installed, of KerasHub. https://keras.io/keras_hub/
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_inception.hub.errors import HubError

if TYPE_CHECKING:
    import keras

TASK, BACKBONE, CONVERTER = "task.json", "config.json", "image_converter.json"
BACKBONE_WEIGHTS = "model.weights.h5"
_LABELS = ("class_names.txt", "labels.txt")
_KERAS_HUB = "keras_hub"
_KNOWN = ("keras", "keras_inception", _KERAS_HUB)


@dataclass(frozen=True)
class Preset:
    """A model out of such a folder.

    Attributes:
        model: The model, from pictures as `prepared` says to probabilities.
        prepared: Whether it takes pixels in 0..255; else what they need is not told.
        image_shape: Height, width and channels of its pictures.
        interpolation: How pictures are resized for it.
        class_names: Names of its classes; empty where they are not told, as KerasHub does not.
    """

    model: keras.Model
    prepared: bool
    image_shape: tuple[int, int, int]
    interpolation: str = "bilinear"
    class_names: tuple[str, ...] = ()


def is_preset(folder: str | Path) -> bool:
    """Whether a folder is of the kind: it holds a model as Keras writes it down, and weights."""
    folder = Path(folder)
    if not (folder / BACKBONE_WEIGHTS).is_file():
        return False
    return any(_is_model(folder / name) for name in (TASK, BACKBONE))


def open_preset(folder: str | Path) -> Preset:
    """Opens such a folder.

    Raises:
        HubError: It holds no classifier of pictures, classes that nobody knows or that would need KerasHub, code, or
            weights that do not fit.
    """
    folder = Path(folder)
    described = _read(folder / (TASK if _is_model(folder / TASK) else BACKBONE))
    needs_kerashub = _check_classes(folder, described)
    model = _by_kerashub(folder) if needs_kerashub else _by_keras(folder, described)
    converter = _read(folder / CONVERTER).get("config", {}) if (folder / CONVERTER).is_file() else None
    shape = _image_shape(folder, model, converter or {})
    return Preset(
        model=_from_pixels(model, shape, converter),
        prepared=converter is not None,
        image_shape=shape,
        interpolation=str((converter or {}).get("interpolation", "bilinear")),
        class_names=_class_names(folder, int(model.output_shape[-1])),
    )


def _is_model(path: Path) -> bool:
    from keras_inception.training.files import read_json

    try:
        content = read_json(path) if path.is_file() else {}
    except ValueError:
        return False
    return isinstance(content.get("class_name"), str) and isinstance(content.get("config"), dict)


def _read(path: Path) -> dict[str, Any]:
    from keras_inception.training.files import read_json

    return read_json(path)


def _check_classes(folder: Path, described: Mapping[str, Any]) -> bool:
    """Raises unless each class that is named is known; returns whether some are KerasHub's."""
    roots = {str(part["module"]).partition(".")[0] for part in _classes_in(described) if part.get("module")}
    unknown = sorted(roots - set(_KNOWN))
    if unknown or any(part["class_name"] == "Lambda" for part in _classes_in(described)):
        raise HubError(
            "A preset must name classes of Keras or KerasHub alone: code in it is not run. "
            f"Received: {folder} with {', '.join(unknown) or 'a Lambda'}"
        )
    if _KERAS_HUB in roots and importlib.util.find_spec(_KERAS_HUB) is None:
        raise HubError(
            f"A {described['class_name']} is KerasHub's, which is not installed: pip install keras-hub. "
            f"Received: {folder}"
        )
    return _KERAS_HUB in roots


def _classes_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object that a description names by its class."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_name"), str):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _classes_in(part)


def _by_keras(folder: Path, described: Mapping[str, Any]) -> keras.Model:
    import keras

    try:
        model = keras.saving.deserialize_keras_object(dict(described), safe_mode=True)
        if not isinstance(model, keras.Model):
            raise TypeError(f"a {type(model).__name__}")
        model.load_weights(folder / BACKBONE_WEIGHTS)
    except Exception as error:  # Keras raises whatever a damaged or foreign folder leads to
        raise HubError(_unfit(folder, error)) from error
    return model


def _by_kerashub(folder: Path) -> keras.Model:
    import keras_hub

    if not _is_model(folder / TASK):
        raise HubError(f"A preset of KerasHub must be a classifier, with {TASK}. Received: {folder}, a backbone alone")
    try:
        return keras_hub.models.ImageClassifier.from_preset(str(folder))
    except Exception as error:
        raise HubError(_unfit(folder, error)) from error


def _unfit(folder: Path, error: Exception) -> str:
    reason = " ".join(str(error).split()).partition(". ")[0][:200]
    return f"A preset must be a classifier of pictures with weights that fit. Received: {folder} ({reason})"


def _class_names(folder: Path, classes: int) -> tuple[str, ...]:
    from keras_inception.training.files import read_text

    found = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
    names = tuple(read_text(found).splitlines()) if found else ()
    if found and len(names) != classes:
        raise HubError(f"There must be a name for each of {classes} classes. Received: {len(names)} in {found}")
    return names


def _image_shape(folder: Path, model: keras.Model, converter: Mapping[str, Any]) -> tuple[int, int, int]:
    """As the network has it; where it takes any size, as its pictures are converted."""
    inputs = model.inputs or []
    shape = tuple(inputs[0].shape[1:]) if len(inputs) == 1 else ()
    if len(shape) == 3 and None in shape[:2] and converter.get("image_size"):
        shape = (*converter["image_size"], shape[2])
    if len(shape) != 3 or not all(type(side) is int for side in shape) or len(model.output_shape) != 2:
        raise HubError(
            "A preset must be a classifier: pictures [height, width, channels] of one size in, a number a class out. "
            f"Received: {folder} with {shape or 'no picture'} to {model.output_shape}"
        )
    return shape


def _from_pixels(model: keras.Model, shape: tuple[int, int, int], converter: Mapping[str, Any] | None) -> keras.Model:
    """The model with its converter's arithmetic in front and, where it answers logits, a softmax behind."""
    import keras

    activation = getattr(_last(model), "activation", keras.activations.softmax)
    answers_logits = activation in (None, keras.activations.linear)
    if not converter and not answers_logits:
        return model
    pixels = keras.Input(shape, name="images")
    scale, offset = ((converter or {}).get(name) for name in ("scale", "offset"))
    x = pixels if scale is None and offset is None else keras.layers.Rescaling(scale or 1.0, offset or 0.0)(pixels)
    answers = model(x)
    if answers_logits:
        answers = keras.layers.Activation("softmax", name="predictions")(answers)
    return keras.Model(pixels, answers, name=model.name)


def _last(model: keras.Model) -> Any:
    """The layer that a model's answers come from, inside models inside it, too."""
    layer = model.layers[-1] if model.layers else None
    return _last(layer) if getattr(layer, "layers", None) else layer
