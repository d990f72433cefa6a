"""Temperature scaling: a network's logits divided by one number, so that its probabilities mean what they say.

"On Calibration of Modern Neural Networks", Guo et al., 2017, https://arxiv.org/abs/1706.04599. No image changes its
class. The number goes into the weights of the last layer, so that a network costs no more with it.
"""

import keras
import numpy as np

from ..data.several import as_targets
from ..runs.run import CALIBRATION, THRESHOLDS, Run
from .coverage import coverage_thresholds
from .evaluate import predict
from .result import calibration

LEAST, MOST = 1 / 20, 20.0
LEAST_IMAGES = 50
"""Fewer validation images tell no temperature from chance."""
_STEPS = 60  # halvings of the interval; its end is far below a float32's precision


def calibrate(run: Run, *, temperature: bool = True, network: keras.Model | None = None) -> float:
    """Fits a run's temperature and the thresholds of its coverage on its validation images.

    They are kept in calibration.json of the run folder. From then on `Run.model()` answers the probabilities that
    follow from the temperature, and so do evaluation, export and proof. What was evaluated or exported before stays as
    it was; thresholds of several labels are chosen anew, and of several labels there is no coverage.

    Args:
        run: a trained run.
        temperature: whether to fit that; else it is 1, and thresholds of coverage are found alone.
        network: the run's, where it is loaded already: its logits are divided by the temperature from then on.

    Returns:
        The temperature: below 1 where the network was less sure than it is right, above 1 where it was surer. 1 where
        there are fewer than `LEAST_IMAGES` validation images.

    Raises:
        FileNotFoundError: where the run has no checkpoint.
        ValueError: where the run's data has changed.
    """
    for name in (CALIBRATION, THRESHOLDS):
        (run.folder / name).unlink(missing_ok=True)
    images = run.splits.validation
    network = network or run.model()
    probabilities = predict(network, images, run.config)
    fits = temperature and len(images.labels) >= LEAST_IMAGES
    fitted = fit_temperature(probabilities, images.labels) if fits else 1.0
    scaled = at_temperature(probabilities, fitted, several=run.several) if fits else probabilities
    coverage = {} if run.several else coverage_thresholds(scaled, images.labels)
    run.write_json(
        CALIBRATION,
        {
            "temperature": fitted,
            "images": len(images.labels),
            "error_before": calibration(probabilities, images.labels).error,
            "error": calibration(scaled, images.labels).error,
            "coverage": {f"{level:g}": threshold for level, threshold in coverage.items()},
        },
    )
    run.apply_temperature(network)
    return fitted


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the cross-entropy with labels is least, between 1/20 and 20.

    Labels count for (n + 1) / (n + 2), as in Platt's scaling: a network that is right on all of n images would be
    certain of everything otherwise.

    Args:
        probabilities: [n, classes].
        labels: classes [n], or zeros and ones [n, classes] where an image may have several labels.
    """
    several = labels.ndim == 2
    classes, doubt = probabilities.shape[1], 1 / (len(labels) + 2)
    logits = _logits(probabilities, several)
    if several:
        targets = labels * (1 - 2 * doubt) + doubt
    else:
        targets = as_targets(labels, classes) * (1 - doubt * classes / (classes - 1)) + doubt / (classes - 1)

    def slope(scale: float) -> float:
        """Of the cross-entropy by 1 / temperature, in which it is convex."""
        return float(((_softened(logits, scale, several) - targets) * logits).sum(axis=-1).mean())

    low, high = 1 / MOST, 1 / LEAST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def at_temperature(probabilities: np.ndarray, temperature: float, *, several: bool = False) -> np.ndarray:
    """Probabilities [n, classes] as of logits that are divided by a temperature."""
    return _softened(_logits(probabilities, several), 1 / temperature, several).astype(np.float32)


def _logits(probabilities: np.ndarray, several: bool) -> np.ndarray:
    values = np.clip(probabilities.astype(np.float64), keras.config.epsilon(), 1)
    return np.log(values) - np.log(np.clip(1 - values, keras.config.epsilon(), 1)) if several else np.log(values)


def _softened(logits: np.ndarray, scale: float, several: bool) -> np.ndarray:
    if several:
        return np.asarray(1 / (1 + np.exp(-scale * logits)))
    powers = np.exp(scale * (logits - logits.max(axis=-1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
