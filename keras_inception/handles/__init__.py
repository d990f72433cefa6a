"""Whatever can be named as a model, opened in one way: what every command takes as MODEL.

`open_model` turns a handle into an `OpenedModel`: a function of pixels with its class names and its way of preparing
pictures, whatever it was read from.
"""

from __future__ import annotations

from keras_inception.handles.opened import OpenedModel
from keras_inception.handles.opening import open_model

__all__ = ["OpenedModel", "open_model"]
