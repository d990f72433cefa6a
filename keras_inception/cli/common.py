"""What several commands share: the choice of the backend, and commands spelled out for the terminal."""

import os
import shlex
from pathlib import Path


def need_tensorflow() -> None:
    """Choose the TensorFlow backend before Keras is imported; evaluation and export run on no other."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ValueError(f"Training, evaluation and export need KERAS_BACKEND=tensorflow. Received: {backend}")


def command(*words: str | Path) -> str:
    """Spell a `keras-inception` command out so that it can be copied into a shell."""
    return shlex.join(["keras-inception", *map(str, words)])
