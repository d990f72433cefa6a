"""What the tests of hostile weight files share."""

import numpy as np
import pytest

from keras_inception import weights

SMALL = {"alpha": 0.25, "input_shape": (32, 32, 3), "classes": 10}


def refused(model, path, match: str | None = None) -> None:
    """The file is refused with one sentence and the model stays as it is."""
    before = [np.array(variable) for variable in model.weights]
    with pytest.raises(weights.WeightsError, match=match) as caught:
        weights.load_weights(model, path)
    assert "\n" not in str(caught.value)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)
