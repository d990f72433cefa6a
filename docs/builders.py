"""Completes the builders' documentation on the reference pages, which are read from sources, as importing them does."""

import sys
from pathlib import Path
from typing import Any

import griffe


class Builders(griffe.Extension):
    """Gives every function that `network(NAME)` decorates its shared arguments, and what it returns."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Expands the docstring of one builder."""
        decorators = [str(decorator.value) for decorator in func.decorators]
        names = [text.removeprefix("network(").rstrip(")") for text in decorators if text.startswith("network(")]
        if not names or func.docstring is None:
            return
        root = str(Path(str(func.filepath)).parents[2])  # of the package that is read
        if root not in sys.path:
            sys.path.insert(0, root)
        from keras_inception.docstrings import expand
        from keras_inception.registry import get_entry

        entry = get_entry(names[0].strip("'\""))
        func.docstring.value = expand(func.docstring.value, entry, [parameter.name for parameter in func.parameters])
        func.returns = "keras.Model"
