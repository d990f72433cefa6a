"""Networks of which only shapes and names are looked at."""

from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def without_weights() -> Iterator[None]:
    """Shapes and names alone: variables are never created, which most of the building time goes into."""
    with keras.StatelessScope(initialize_variables=False):
        yield
