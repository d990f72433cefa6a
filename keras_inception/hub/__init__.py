"""Models on the Hugging Face hub: the card that says what one is, the way there and the way back.

A repository holds what a run folder or the folder of an export holds, under the same names, so that what was fetched is
opened as what was pushed. Importing this package loads neither a framework nor huggingface_hub; each public name is
imported when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.hub.cards import card, write_card
    from keras_inception.hub.errors import HubError
    from keras_inception.hub.fetching import fetch
    from keras_inception.hub.presets import is_preset, open_preset
    from keras_inception.hub.pushing import Pushed, push
    from keras_inception.hub.subject import Subject, subject_of

_MODULES = {
    "HubError": "errors",
    "Pushed": "pushing",
    "Subject": "subject",
    "card": "cards",
    "fetch": "fetching",
    "is_preset": "presets",
    "open_preset": "presets",
    "push": "pushing",
    "subject_of": "subject",
    "write_card": "cards",
}

__all__ = [
    "HubError", "Pushed", "Subject", "card", "fetch", "is_preset", "open_preset", "push", "subject_of", "write_card",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
