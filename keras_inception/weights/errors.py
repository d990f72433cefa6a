"""What goes wrong with weight files, as errors whose message is one sentence."""

from __future__ import annotations

import importlib
from types import ModuleType


class WeightsError(ValueError):
    """A weights file is damaged, dangerous, or does not fit the model. Nothing of it has been loaded then."""


class DownloadError(FileNotFoundError):
    """A weights file is neither in the cache nor to be had; the message tells where to put it by hand."""


def require(module: str, package: str, purpose: str) -> ModuleType:
    """Imports a library that only some weight files need.

    Raises:
        ImportError: It is not installed; the message tells what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {package}: pip install {package}.") from error
