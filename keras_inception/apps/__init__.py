"""Small whole projects around one .tflite file of an export: a page, a program, an app, each with its own test."""

from keras_inception.apps.kit import PLATFORMS, Kit
from keras_inception.apps.writing import write_app

__all__ = ["PLATFORMS", "Kit", "write_app"]
