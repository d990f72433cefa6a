"""How far a picture is from all that a network was trained on, told by the features that its classifier reads.

The squared Mahalanobis distance to the nearest class mean, with one covariance for all classes: Lee, Lee, Lee and Shin,
2018, https://arxiv.org/abs/1807.03888. A few hundred images tell no covariance of a thousand features. It is shrunk
towards a sphere by the rule of Chen, Wiesel, Eldar and Hero, 2010, https://arxiv.org/abs/0907.4698 (OAS), and the axes
beyond the widest `AXES` are taken to vary alike. That told strangers better than all axes do, and better than the
distance relative to that from all images together (https://arxiv.org/abs/2106.09022), for a sixteenth of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from ..pictures.pixels import collect
from .deploying import deploy
from .graph import maker

AXES = 64
KEEP = 0.95
_BATCH = 32
_NUMBERS = {"width": float, "keep": float, "images": int, "held_out": int}


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What a network's features are like on images that it knows; `fit_familiarity` makes one.

    Distances are in units of the limit: what lies beyond 1 is a stranger. 0 is the mean of a class.

    Attributes:
        centre: Mean features, [features].
        width: By how much a feature of the narrow axes varies, as a share of the limit.
        axes: The widest axes, [features, axes]: what `width` makes too much of them.
        classes: What brings each class nearer, [features, classes].
        offsets: How far each class is from the centre, [classes].
        keep: Share of the images it knows that the limit lets in.
        images: How many images it was fitted on.
        held_out: How many others set the limit.
    """

    centre: np.ndarray
    width: float
    axes: np.ndarray
    classes: np.ndarray
    offsets: np.ndarray
    keep: float
    images: int
    held_out: int

    def unfamiliar(self, features: Any) -> Any:
        """The distance of features [n, features] from the nearest class, float32 [n, 1], in units of the limit."""
        ops = keras.ops
        apart = features - self.centre
        squares = [
            ops.sum(ops.square(x), axis=1, keepdims=True)
            for x in (apart / np.float32(self.width), ops.matmul(apart, self.axes))
        ]
        nearest = ops.min(ops.matmul(apart, self.classes) + self.offsets, axis=1, keepdims=True)
        return squares[0] - squares[1] + nearest

    def save(self, path: Path) -> None:
        """Writes a .npz file that `open` reads."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def open(cls, path: Path) -> Familiarity:
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ExportError: It is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                values = {field.name: found[field.name] for field in fields(cls)}
            numbers = {name: kind(values[name]) for name, kind in _NUMBERS.items()}
            read = cls(**{**values, **numbers})
            read.unfamiliar(np.zeros((1, len(read.centre)), "float32"))
        except FileNotFoundError:
            raise
        except Exception as error:  # NumPy and zipfile raise whatever a damaged file leads to
            raise ExportError(f"{path.name} must be as it was written. Received: {path}, which is damaged.") from error
        return read

    def described(self) -> dict[str, Any]:
        """What export.json says of it."""
        return {"keep": self.keep, "limit": 1.0, "images": self.images, "held_out": self.held_out}


def fit_familiarity(
    features: np.ndarray, labels: np.ndarray, held_out: np.ndarray, *, keep: float = KEEP
) -> Familiarity:
    """Fits class means, a shared covariance and the limit.

    The limit is the ceil((m + 1) keep)-th smallest distance of the m images held out, so that a new image of the known
    classes is beyond it with a chance of 1 - keep at most.

    Args:
        features: Of training images, [n, features].
        labels: Their classes, [n].
        held_out: Features of images of the same classes that neither the network nor the means have seen,
            [m, features].
        keep: Share of the known images that the limit lets in.

    Raises:
        ExportError: Features are not finite, all images of each class are the same, there is not a label for each, or
            too few images are held out.
    """
    if not 0 < keep < 1:
        raise ExportError(f"What is kept of known images is a share between 0 and 1. Received: {keep}.")
    if features.ndim != 2 or labels.shape != features.shape[:1] or held_out.shape[1:] != features.shape[1:]:
        shapes = ", ".join(str(array.shape) for array in (features, labels, held_out))
        raise ExportError(f"Familiarity is fitted on [n, features], [n] and [m, features]. Received: {shapes}.")
    rank = math.ceil((len(held_out) + 1) * keep)
    if rank > len(held_out):
        least = math.ceil(keep / (1 - keep) - 1e-9)
        raise ExportError(
            f"A limit that keeps {keep:.0%} of known images takes at least {least} held out. Received: {len(held_out)}."
        )
    known, place = np.unique(labels, return_inverse=True)
    rows = features.astype("float64")
    means = np.stack([rows[place == index].mean(axis=0) for index in range(len(known))])
    values, vectors, rest = _covariance(rows - means[place], len(known))

    centre = rows.mean(axis=0)
    apart = means - centre
    inverse = apart / rest + (apart @ vectors * (1 / values - 1 / rest)) @ vectors.T
    wide = vectors * np.sqrt(np.maximum(1 / rest - 1 / values, 0))
    offsets = (apart * inverse).sum(axis=1)

    def scaled(limit: float) -> Familiarity:
        arrays = {
            "centre": centre,
            "axes": wide / math.sqrt(limit),
            "classes": -2 * inverse.T / limit,
            "offsets": offsets / limit,
        }
        rounded = {name: array.astype("float32") for name, array in arrays.items()}
        width = math.sqrt(rest * limit)
        return Familiarity(**rounded, width=width, keep=keep, images=len(features), held_out=len(held_out))

    distances = np.asarray(scaled(1.0).unfamiliar(held_out.astype("float32"))).ravel()
    return scaled(float(np.sort(distances)[rank - 1]))


def familiarity(
    model: keras.Model,
    images: Iterable[Any],
    held_out: Iterable[Any],
    *,
    preprocessing: str | None = None,
    keep: float = KEEP,
) -> Familiarity:
    """Fits what `export` needs to let files tell strangers; see `fit_familiarity`.

    Args:
        model: A network that ends in a dense layer and its activation.
        images: Training images: batches of (images, labels), [n, h, w, c] in 0..255 and classes [n].
        held_out: Images of the same classes that the network was not trained on, with labels or without.
        preprocessing: See `export`.
        keep: Share of the known images that the limit lets in.

    Raises:
        ExportError: The network has another end, an image has no label, or `fit_familiarity`'s.
    """
    twin = deploy(model, preprocessing=None if preprocessing == "none" else preprocessing, fold=True)
    reading = keras.Model(twin.inputs[0], features_of(twin))
    shape = tuple(twin.inputs[0].shape[1:])
    known, labels = collect(images, shape)
    if labels is None or labels.ndim != 1:
        raise ExportError("Familiarity is fitted on images with a class each. Received: none, or several labels each.")
    return fit_familiarity(_answers(reading, known), labels, _answers(reading, collect(held_out, shape)[0]), keep=keep)


def ends_dense(model: keras.Model) -> bool:
    """Whether a network's classifier is a dense layer: features that familiarity can be told by."""
    return isinstance(_classifier(deploy(model)), keras.layers.Dense)


def features_of(twin: keras.Model) -> Any:
    """What the classifier of a twin reads, a symbolic tensor [n, features].

    Raises:
        ExportError: The network does not end in a dense layer and its activation.
    """
    classifier = _classifier(twin)
    if not isinstance(classifier, keras.layers.Dense):
        raise ExportError(
            "To tell strangers a network must end in a dense layer and its activation. "
            f"Received: {twin.name} with {classifier.name!r}, a {type(classifier).__name__}."
        )
    return classifier.input


def with_features(twin: keras.Model) -> keras.Model:
    """The same twin with what its classifier reads as a second output."""
    return keras.Model(twin.inputs[0], [twin.outputs[0], features_of(twin)], name=twin.name)


def check_features(familiarity: Familiarity, twin: keras.Model) -> None:
    """Raises `ExportError` unless a familiarity is of as many features as a twin's classifier reads."""
    features, wanted = int(features_of(twin).shape[-1]), len(familiarity.centre)
    if features != wanted:
        raise ExportError(f"Familiarity must be of the {features} features of {twin.name}. Received: of {wanted}.")


def _classifier(twin: keras.Model) -> Any:
    """The last operation of a network that is no mere activation."""
    last, before = maker(twin.outputs[0])
    while isinstance(last, keras.layers.Activation | keras.layers.Softmax | keras.layers.Identity):
        last, before = maker(before)
    return last


def _covariance(residuals: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Variances [axes] and directions [features, axes] of the widest axes within classes; the others' variance."""
    count, features = residuals.shape
    freedom = count - classes
    trace = float((residuals**2).sum()) / max(freedom, 1)
    if not math.isfinite(trace) or trace <= 0 or freedom < 1:
        raise ExportError(
            "Familiarity is fitted on images of a class that differ. "
            f"Received: {count} images of {classes} classes with a variance of {trace:g}."
        )
    _, singular, directions = np.linalg.svd(residuals, full_matrices=False)
    variances = singular**2 / freedom
    squares = float((variances**2).sum())
    spread = (freedom + 1 - 2 / features) * (squares - trace**2 / features)
    share = min(1.0, ((1 - 2 / features) * squares + trace**2) / spread) if spread > 0 else 1.0
    shrunk = (1 - share) * variances + share * trace / features
    axes = min(AXES, freedom, features // 4)
    rest = (trace - float(shrunk[:axes].sum())) / (features - axes)
    return shrunk[:axes], directions[:axes].T, rest


def _answers(network: keras.Model, images: np.ndarray) -> np.ndarray:
    starts = range(0, len(images), _BATCH)
    batches = (images[start : start + _BATCH].astype("float32") for start in starts)
    return np.concatenate([np.asarray(network(batch, training=False)) for batch in batches])
