"""The Inception family on Keras 3."""

__version__ = "0.1.0"
