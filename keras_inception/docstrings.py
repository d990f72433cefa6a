"""What all builders' documentation shares, written once: arguments, returns and errors."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable

from keras_inception.registry import ModelEntry

SHARED = {
    "include_top": "Whether to end in global average pooling, dropout and the classifier.",
    "weights": 'None (random), `"imagenet"`, the tag of a released weight set, or the path of a weights file.',
    "input_tensor": "Keras tensor to build on instead of a new input.",
    "input_shape": (
        "Shape of one image, 1 to 4 channels, at least {entry.min_size}x{entry.min_size} pixels in the default form; "
        "default `({entry.input_size}, {entry.input_size}, 3)`, or any size without the top."
    ),
    "pooling": 'Without the top: None for the last feature maps, `"avg"` or `"max"` for their global pool.',
    "classes": "Number of classes.",
    "classifier_activation": "Activation of the classifiers, a layer after their dense ones; None gives logits.",
    "name": "Name of the model.",
    "stochastic_depth": (
        "Rate at which training leaves out the last residual branch (https://arxiv.org/abs/1603.09382), those before "
        "it by their place; each image for itself."
    ),
    "aux_heads": "Refused when True: no auxiliary head was published.",
    "include_preprocessing": "Take raw pixels in 0..255 and {preprocessing} inside the model.",
}
PREPROCESSING = {
    "inception": "scale them to [-1, 1]",
    "torch": "normalise them by ImageNet's mean and standard deviation",
}
END = """
Returns:
    A functional `keras.Model`.

Raises:
    ValueError: An argument breaks a rule.
"""


def expand(docstring: str, entry: ModelEntry, parameters: Iterable[str]) -> str:
    """Completes a builder's docstring, whose last section is `Args:` with the arguments that are its own.

    Args:
        docstring: The builder's docstring.
        entry: The network's entry.
        parameters: Names of the builder's parameters, in order.

    Returns:
        The docstring with every argument, in the order of the parameters.

    Raises:
        KeyError: An argument is neither in the docstring nor shared.
    """
    text, _, section = inspect.cleandoc(docstring).partition("\nArgs:\n")
    own = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE))
    words = PREPROCESSING[entry.preprocessing]
    shared = {name: told.format(entry=entry, preprocessing=words) for name, told in SHARED.items()}
    arguments = [_argument(name, own.get(name) or shared[name]) for name in parameters]
    return "\n".join([text.rstrip(), "", "Args:", *arguments, END])


def _argument(name: str, text: str) -> str:
    words = " ".join(text.split())
    return textwrap.fill(f"{name}: {words}", 116, initial_indent=" " * 4, subsequent_indent=" " * 8)
