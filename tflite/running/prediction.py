"""The fast way from pictures to named classes, or to vectors, in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from ..errors import ExportError
from ..files.metadata import labels_of, thresholds_of
from ..files.modes import MODES
from ..files.tracing import OUTPUT, OUTPUTS, image_shape, trace
from ..folder import MANIFEST, SAVED_MODEL, Export, check_class_names, check_thresholds
from ..network.deploying import EMBEDDING, Output, deploy
from ..pictures.fitting import Fitting, decode, fit
from ..pictures.pixels import check_values
from .litert import LiteRTModel
from .others import open_onnx, open_saved_model

Picture: TypeAlias = str | Path | bytes | np.ndarray
"""The path of a JPEG, PNG, GIF (its first frame), BMP or WebP file, such a file's bytes, or pixels [height, width,
channels] in 0..255."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture.

    Attributes:
        probabilities: float32 [classes]; logits where the export answers those.
        class_names: Names of the classes.
        thresholds: What the probability of each class exceeds where it is found; None: the likeliest class is.
    """

    probabilities: np.ndarray
    class_names: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None

    @property
    def label(self) -> str:
        """Name of the likeliest class."""
        return self.class_names[int(self.probabilities.argmax())]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that are found, likeliest first: of several labels a picture maybe none."""
        if self.thresholds is None:
            return (self.label,)
        found = self.probabilities > np.array(self.thresholds, np.float32)
        order = np.argsort(-self.probabilities, kind="stable")
        return tuple(self.class_names[index] for index in order if found[index])

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes, name and probability, likeliest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]


class Predictor:
    """A trained network as a function of pictures, compiled once.

    A Keras model is deployed first (float32, the classifier alone, batch norms folded into the convolutions); an
    export is taken as it is. Pictures of any size are prepared as evaluation prepares them: the shorter side resized,
    the centre kept. Photographs are turned upright first where their EXIF data says how the camera was held.

    Args:
        model: A Keras model, an export (or the path of its folder), or the path of a .tflite or .onnx file. Of an
            export the SavedModel is used, or the first .tflite file where there is none.
        class_names: Names of the classes; None: those in the export or in the file, or the indices of a model's.
        thresholds: What the probability of each class exceeds where it is found; None: as the export or the file says.
        preprocessing: For a Keras model without one inside: its name (as in `keras_inception.preprocess_input`).
        interpolation: How pictures are resized; None: as the export says, or bilinear.
        central_crop: Which share of a picture's shorter side is kept; None: as the export says, or all of it.
        batch_size: Pictures a call of the network, where there are more.

    Raises:
        FileNotFoundError: There is nothing at the path.
        ExportError: The model cannot be deployed, the file cannot be run, or the names do not fit the classes.

    Example:
        >>> predict = Predictor("run/export")
        >>> predict("daisy.jpg").label
        'daisy'
        >>> [prediction.top(3) for prediction in predict.batch(Path("photos").glob("*.jpg"))]
        >>> vectors = Predictor(model).embed(Path("photos").glob("*.jpg"))
    """

    def __init__(
        self,
        model: keras.Model | Export | str | Path,
        class_names: Sequence[str] | None = None,
        *,
        thresholds: Sequence[float] | None = None,
        preprocessing: str | None = None,
        interpolation: str | None = None,
        central_crop: float | None = None,
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            raise ExportError(f"A batch holds at least one picture. Received: {batch_size}.")
        if isinstance(model, str | Path):
            model = _at(Path(model))
        if preprocessing is not None and not isinstance(model, keras.Model):
            raise ExportError(f"An exported network holds its preprocessing. Received: {preprocessing!r}.")
        self._model, self._preprocessing = model, preprocessing
        self._opened = opened = _open(model, preprocessing)
        self.image_shape: tuple[int, int, int] = opened.image_shape
        self.class_names: tuple[str, ...] = ()
        self.thresholds: tuple[float, ...] | None = None
        if opened.output != EMBEDDING:
            known = opened.class_names if class_names is None else class_names
            self.class_names = tuple(check_class_names(known, opened.answers))
            thresholds = _thresholds(model) if thresholds is None else thresholds
            self.thresholds = None if thresholds is None else tuple(check_thresholds(thresholds, opened.answers))
        elif class_names is not None or thresholds is not None:
            raise ExportError("An embedding tells no classes. Received: their names or thresholds.")
        given: dict[str, Any] = {"interpolation": interpolation, "central_crop": central_crop}
        known_of = model.manifest if isinstance(model, Export) else {}
        chosen = {name: known_of.get(name) if value is None else value for name, value in given.items()}
        self.fitting = Fitting(**{name: value for name, value in chosen.items() if value is not None})
        self._batch_size = batch_size
        self._decode, self._fit = _preparation(self.image_shape, self.fitting)

    def __call__(self, picture: Picture) -> Prediction:
        """Says what one picture shows.

        Raises:
            FileNotFoundError: There is no such file.
            ExportError: It is no picture, or its pixels are not in 0..255 or have another number of channels; or the
                files answer an embedding.
        """
        return Prediction(self._classes(self.prepare(picture)[None])[0], self.class_names, self.thresholds)

    def batch(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """Says what each of several pictures shows; an array [n, height, width, channels] is several pictures.

        Raises:
            FileNotFoundError: There is no such file.
            ExportError: See `__call__`.
        """
        return [Prediction(row, self.class_names, self.thresholds) for row in self.probabilities(pictures)]

    def probabilities(self, pictures: Iterable[Picture]) -> np.ndarray:
        """What the network answers to several pictures, float32 [n, classes]."""
        answers = [self._classes(batch) for batch in self._batches(pictures)]
        return np.concatenate(answers) if answers else np.zeros((0, len(self.class_names)), np.float32)

    def embed(self, pictures: Iterable[Picture]) -> np.ndarray:
        """What the network sees in several pictures, as vectors: those of like pictures point the same way.

        A Keras model's are those that its classifier reads (see `keras_inception.embedding`); files must have been
        exported with `output="embedding"`.

        Returns:
            float32 [n, features], each of length 1, so that the inner product of two is their cosine similarity.

        Raises:
            FileNotFoundError: There is no such file.
            ExportError: As `__call__`, or what was opened tells classes alone.
        """
        network = self._embedding
        answers = [network.call(batch) for batch in self._batches(pictures)]
        return np.concatenate(answers) if answers else np.zeros((0, network.answers), np.float32)

    def _classes(self, pixels: np.ndarray) -> np.ndarray:
        if self._opened.output == EMBEDDING:
            raise ExportError(
                "An embedding tells no classes: ask `embed` for vectors. Received: a picture to classify."
            )
        return self._opened.call(pixels)

    @cached_property
    def _embedding(self) -> _Network:
        if self._opened.output == EMBEDDING:
            return self._opened
        if isinstance(self._model, keras.Model):
            return deployed(self._model, self._preprocessing, EMBEDDING)
        where = self._model.folder if isinstance(self._model, Export) else self._model
        raise ExportError(
            "Vectors are of a Keras model, or of files that were exported with output='embedding' (--head embedding). "
            f"Received: {where}, which tells classes."
        )

    def prepare(self, picture: Picture) -> np.ndarray:
        """The pixels that the network sees of a picture: uint8 [height, width, channels]."""
        import tensorflow as tf

        if isinstance(picture, np.ndarray):
            return self._prepare_pixels(picture)
        if not isinstance(picture, str | Path | bytes):
            raise ExportError(f"A picture is a path, a file's bytes or an array. Received: {type(picture).__name__}.")
        if not isinstance(picture, bytes) and Path(picture).is_dir():
            raise ExportError(f"A picture must be a file. Received: {picture}, which is a folder.")
        content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        try:
            return self._decode(content).numpy()
        except tf.errors.OpError:
            what = f"{len(content)} bytes" if isinstance(picture, bytes) else picture
            raise ExportError(
                f"A picture must be a whole JPEG, PNG, GIF, BMP or WebP file. Received: {what}."
            ) from None

    def _prepare_pixels(self, picture: np.ndarray) -> np.ndarray:
        if picture.ndim != 3 or picture.shape[-1] != self.image_shape[-1] or not picture.size:
            raise ExportError(
                f"Pixels must be [height, width, {self.image_shape[-1]}]. Received: shape {picture.shape}."
            )
        if picture.dtype == np.uint8:
            return picture if picture.shape == self.image_shape else self._fit(picture.astype(np.float32)).numpy()
        check_values(picture, alone=True)
        return self._fit(picture.astype(np.float32)).numpy()

    def _batches(self, pictures: Iterable[Picture]) -> Iterator[np.ndarray]:
        if isinstance(pictures, str | Path | bytes):
            raise ExportError("Several pictures are a list or an array of them. Received: one path or file.")
        if isinstance(pictures, np.ndarray) and pictures.dtype == np.uint8 and pictures.shape[1:] == self.image_shape:
            for start in range(0, len(pictures), self._batch_size):
                yield pictures[start : start + self._batch_size]
            return
        waiting = iter(pictures)
        while some := list(islice(waiting, self._batch_size)):
            yield np.stack([self.prepare(picture) for picture in some])


def _at(path: Path) -> Export | Path:
    if path.is_dir() and path.name == SAVED_MODEL and (path.parent / MANIFEST).is_file():
        raise ExportError(f"An export is opened by its own folder. Received: {path}, which is a part of one.")
    return path if path.suffix in (".tflite", ".onnx") else Export.open(path)


@dataclass(frozen=True)
class _Network:
    """A network as a function of uint8 pixels, the images that it takes, and what it answers of each."""

    call: Callable[[np.ndarray], np.ndarray]
    image_shape: tuple[int, int, int]
    answers: int
    class_names: Sequence[str] | None = None
    output: str = OUTPUT


def _open(model: keras.Model | Export | Path, preprocessing: str | None) -> _Network:
    if isinstance(model, keras.Model):
        return deployed(model, preprocessing)
    if isinstance(model, Export):
        file = model.whole(_most_useful(model))
        call = open_saved_model(file) if file.is_dir() else LiteRTModel(file, content=file.read_bytes())
        return _Network(call, model.input_shape, model.answers, model.class_names, OUTPUTS[model.output])
    if isinstance(model, Path) and model.suffix == ".onnx":
        onnx = open_onnx(model)
        height, width, channels = (int(size or 0) for size in onnx.image_shape)
        return _Network(onnx, (height, width, channels), onnx.classes, onnx.class_names, onnx.output)
    if isinstance(model, Path):
        lite = LiteRTModel(model)
        height, width, channels = (int(size or 0) for size in lite.input_shape[1:])
        names = None if lite.output == EMBEDDING else labels_of(model)
        return _Network(lite, (height, width, channels), lite.classes, names, lite.output)
    raise ExportError(f"A predictor needs a Keras model, an export or a path. Received: {type(model).__name__}.")


def _thresholds(model: keras.Model | Export | Path) -> tuple[float, ...] | None:
    """What an export or a .tflite file tells."""
    if isinstance(model, Export):
        return model.thresholds
    return thresholds_of(model) if isinstance(model, Path) and model.suffix == ".tflite" else None


def _most_useful(export: Export) -> dict[str, Any]:
    """The manifest's row of the SavedModel, or of the first .tflite file."""
    rows = [row for row in export.manifest["files"] if row["mode"] in (SAVED_MODEL, *MODES)]
    if not rows:
        raise ExportError(f"A predictor needs a SavedModel or a .tflite file. Received: {export.folder} without one.")
    return min(rows, key=lambda row: row["mode"] != SAVED_MODEL)


def deployed(model: keras.Model, preprocessing: str | None, output: Output = "probabilities") -> _Network:
    """A Keras model's twin, traced once for batches of any size.

    Its weights are constants: kernels prepare those once, too.
    """
    import tensorflow as tf

    twin = deploy(model, preprocessing=preprocessing, output=output, fold=True)
    function = trace(twin, "float32", None)

    def call(pixels: np.ndarray) -> np.ndarray:
        answer: np.ndarray = function(tf.constant(pixels))[OUTPUT].numpy()
        return answer

    return _Network(call, image_shape(twin), int(twin.output_shape[-1]), output=OUTPUTS[output])


def _preparation(shape: tuple[int, int, int], fitting: Fitting) -> tuple[Any, Any]:
    """Compiled `decode` and `fit`, traced once for pictures of all sizes."""
    import tensorflow as tf

    any_size = tf.TensorSpec((None, None, shape[-1]), tf.float32)
    return (
        tf.function(lambda content: decode(content, shape, fitting), [tf.TensorSpec((), tf.string)], False),
        tf.function(lambda image: fit(image, shape, fitting), [any_size], False),
    )
