"""A model that was opened: pixels in, probabilities out, whatever it was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import keras
import numpy as np

from keras_inception.preprocessing import Preprocessing, preprocess_input
from keras_inception.tflite.pictures.fitting import Fitting
from keras_inception.weights import read_picture

if TYPE_CHECKING:
    from keras_inception.tflite import Export, Predictor
    from keras_inception.training import Run
    from keras_inception.weights import WeightSet

Kind: TypeAlias = Literal["run", "network", "keras", "export", "tflite", "onnx"]
_TO_GREY = (0.299, 0.587, 0.114)  # as decoders make grey of colours
KINDS: dict[Kind, str] = {
    "run": "a run folder",
    "network": "a network by name",
    "keras": "a .keras file",
    "export": "the folder of an export",
    "tflite": "a .tflite file",
    "onnx": "an .onnx file",
}


class Reader(Protocol):
    """From pictures to pixels, and from pixels to answers."""

    def prepare(self, picture: Any) -> np.ndarray:
        """The pixels that the model sees of a picture."""

    def probabilities(self, pictures: Iterable[Any]) -> np.ndarray:
        """What the model answers, float32 [n, classes]."""


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model, and all that evaluation, prediction and export need to know of it.

    Attributes:
        handle: What it was opened by.
        kind: What that named.
        name: Name of the network.
        class_names: Names of the classes, by index.
        image_shape: Height, width and channels of the pictures that it sees.
        fitting: How pictures are prepared for it.
        network: The Keras model; None where a file of another kind was opened.
        preprocessing: What pixels need before `network`; None where it takes pixels in 0..255.
        path: Where it was read from; None for a network by name.
        run: The run, of a run folder.
        export: The export, of such a folder.
        weight_set: What is known of a network's weights.
        reader: The model as a function of pictures, of a file that has no network in Keras.
    """

    handle: str
    kind: Kind
    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    fitting: Fitting
    network: keras.Model | None = None
    preprocessing: str | None = None
    path: Path | None = None
    run: Run | None = None
    export: Export | None = None
    weight_set: WeightSet | None = None
    reader: Reader | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """What the model answers to pixels.

        Args:
            images: uint8 [n, height, width, channels] of the size that it takes.

        Returns:
            float32 [n, classes]; logits where a file answers those.
        """
        return self.pictures.probabilities(images)

    @cached_property
    def pictures(self) -> Reader:
        """The model as a function of pictures, compiled when it is first asked for."""
        if self.reader is not None:
            return self.reader
        assert self.network is not None  # files bring a reader
        if keras.backend.backend() != "tensorflow" or keras.config.image_data_format() == "channels_first":
            return _PillowReader(_on_any_backend(self.network, self.preprocessing), self.image_shape, self.fitting)
        from keras_inception.tflite import Predictor

        predictor = Predictor(
            self.network,
            self.class_names,
            thresholds=self.thresholds,
            preprocessing=None if self.preprocessing == "none" else self.preprocessing,
            interpolation=self.fitting.interpolation,
            central_crop=self.fitting.central_crop,
        )
        if self.kind == "network":  # whose published figures are of pictures that Pillow read
            return _PillowReader(predictor.probabilities, self.image_shape, self.fitting)
        return predictor

    def embed(self, pictures: Iterable[Any]) -> np.ndarray:
        """What the model sees in pictures, as vectors; see `Predictor.embed`.

        Args:
            pictures: As `Predictor` takes them.

        Returns:
            float32 [n, features], each of length 1.

        Raises:
            ValueError: A file tells classes alone, or something is no picture.
        """
        return self._embedder.embed(pictures)

    @cached_property
    def _embedder(self) -> Predictor:
        from keras_inception.tflite import Predictor

        if isinstance(self.reader, Predictor):
            return self.reader
        return Predictor(
            self.keras_model("An embedding"),
            preprocessing=None if self.preprocessing == "none" else self.preprocessing,
            **asdict(self.fitting),
        )

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """What the probability of each class exceeds where it is found; None: the likeliest class is."""
        if self.run is not None:
            return self.run.thresholds
        return getattr(self.reader, "thresholds", None)

    def keras_model(self, purpose: str) -> keras.Model:
        """The Keras model.

        Args:
            purpose: What it is wanted for, as in "A summary".

        Raises:
            ValueError: There is none: a file holds operators.
        """
        if self.network is None:
            raise ValueError(
                f"{purpose} needs the network in Keras: a run folder, a network by name or a .keras file. "
                f"Received: {self.handle}, {KINDS[self.kind]}"
            )
        return self.network


class _PillowReader:
    """A network as a function of pictures that Pillow reads, as those who release weights do."""

    def __init__(self, call: Callable[[np.ndarray], np.ndarray], shape: tuple[int, int, int], fitting: Fitting) -> None:
        self._call, self._shape = call, shape
        self._preparation = Preprocessing(
            size=shape[0],
            crop=fitting.central_crop,
            interpolation="bicubic" if fitting.interpolation == "bicubic" else "bilinear",
        )

    def prepare(self, picture: Any) -> np.ndarray:
        if isinstance(picture, np.ndarray):
            return picture
        if not Path(picture).is_file():
            raise FileNotFoundError(f"An image file must exist. Received: {picture}")
        pixels = np.rint(read_picture(picture, self._preparation)).astype(np.uint8)
        return pixels if self._shape[2] == 3 else np.rint(pixels @ _TO_GREY).astype(np.uint8)[..., None]

    def probabilities(self, pictures: Iterable[Any]) -> np.ndarray:
        return self._call(np.stack([self.prepare(picture) for picture in pictures]))


def _on_any_backend(network: keras.Model, preprocessing: str | None) -> Callable[[np.ndarray], np.ndarray]:
    """A network as a function of pixels, channels last, whatever Keras runs on."""
    channels_first = keras.config.image_data_format() == "channels_first"

    def call(pixels: np.ndarray) -> np.ndarray:
        inputs = pixels.astype(np.float32)
        if preprocessing not in (None, "none"):
            inputs = preprocess_input(inputs, str(preprocessing))
        outputs = network.predict_on_batch(inputs.transpose(0, 3, 1, 2) if channels_first else inputs)
        return np.asarray(outputs["predictions"] if isinstance(outputs, dict) else outputs, np.float32)

    return call


def check_names(names: Sequence[str], classes: int, source: str) -> tuple[str, ...]:
    """Returns the names of the classes; raises `ValueError` unless there is one for each."""
    if len(names) != classes:
        raise ValueError(f"There must be a name for each of the {classes} classes. Received: {len(names)} in {source}")
    return tuple(names)
