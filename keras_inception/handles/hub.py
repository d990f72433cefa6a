"""Models of the hub, and folders that KerasHub reads."""

from __future__ import annotations

from pathlib import Path

from keras_inception.handles.opened import OpenedModel
from keras_inception.tflite.pictures.fitting import Fitting

HUB = "hf://"


def is_of_hub(handle: str) -> bool:
    """Whether a handle names what lies on the hub, and here in a cache that is not to be written to."""
    return handle.startswith(HUB)


def local(handle: str) -> str:
    """Where what a handle names lies on this machine: of the hub its cache, into which it is brought; else the handle.

    Raises:
        ValueError: The hub has no such model, or cannot be reached.
    """
    if not is_of_hub(handle):
        return handle
    from keras_inception import hub

    return str(hub.fetch(handle))


def is_preset(folder: Path) -> bool:
    """Whether a folder is one that KerasHub's `from_preset` reads."""
    from keras_inception import hub

    return hub.is_preset(folder)


def open_preset(handle: str, preprocessing: str | None) -> OpenedModel:
    """Opens such a folder.

    Args:
        handle: The folder.
        preprocessing: What pixels need, where the folder does not tell.

    Raises:
        ValueError: It is no classifier that can be opened, or the preprocessing is missing or not asked for.
    """
    from keras_inception import hub
    from keras_inception.handles.keras_files import check_preprocessing

    folder = Path(handle).expanduser()
    preset = hub.open_preset(folder)
    if not preset.prepared:
        check_preprocessing(handle, preset.model, preprocessing)
    elif preprocessing is not None:
        raise ValueError(
            "--preprocessing is for a network that does not tell what pixels need. "
            f"Received: it beside {handle}, which tells"
        )
    classes = int(preset.model.output_shape[-1])
    return OpenedModel(
        handle=handle,
        kind="keras",
        name=preset.model.name,
        class_names=preset.class_names or tuple(map(str, range(classes))),
        image_shape=preset.image_shape,
        fitting=Fitting(preset.interpolation),
        network=preset.model,
        preprocessing=preprocessing,
        path=folder,
    )
