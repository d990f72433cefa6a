"""From a folder of photographs to a proven file for phones, or to a file of vectors.

Begin at `making.fit` and at `embedding.embed`. Importing this package loads neither TensorFlow nor Keras.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_inception.photos.choosing import Candidate
    from keras_inception.photos.embedding import Embedded, embed
    from keras_inception.photos.making import Fitted, fit

_MODULES = {
    "Candidate": "choosing",
    "Embedded": "embedding",
    "Fitted": "making",
    "embed": "embedding",
    "fit": "making",
}

__all__ = ["Candidate", "Embedded", "Fitted", "embed", "fit"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
