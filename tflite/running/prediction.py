"""The fast way from pictures to named classes, or to vectors, in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from ..errors import ExportError
from ..files.metadata import labels_of, thresholds_of, trust_of
from ..files.modes import MODES
from ..files.tracing import OUTPUT, OUTPUTS, UNFAMILIAR, answering, constant_weights
from ..files.trust import NOTHING_SAID, Trust
from ..folder import MANIFEST, SAVED_MODEL, Export, check_class_names, check_thresholds
from ..network.deploying import EMBEDDING, Output, deploy, folds_in_tensorflow, image_shape
from ..network.familiarity import Familiarity, check_features, with_features
from ..pictures.fitting import Fitting, decode, fit
from ..pictures.pixels import check_values
from .answer import Prediction
from .litert import LiteRTModel
from .others import open_onnx, open_saved_model

Picture: TypeAlias = str | Path | bytes | np.ndarray
"""The path of a JPEG, PNG, GIF (its first frame), BMP or WebP file, such a file's bytes, or pixels [height, width,
channels] in 0..255."""


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
        trust: Thresholds that keep the class among the candidates; None: as the export or the file says.
        familiarity: For a Keras model: what tells strangers, as `keras_inception.tflite.familiarity` makes it.
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
        trust: Trust | None = None,
        familiarity: Familiarity | None = None,
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
        if familiarity is not None and not isinstance(model, keras.Model):
            raise ExportError("An exported network tells strangers by itself, or not. Received: a familiarity for one.")
        self._model, self._preprocessing = model, preprocessing
        self._opened = opened = _open(model, preprocessing, familiarity)
        height, width, channels = (int(size or 0) for size in opened.image_shape)
        self.image_shape: tuple[int, int, int] = height, width, channels
        self.class_names: tuple[str, ...] = ()
        self.thresholds: tuple[float, ...] | None = None
        self.trust = opened.trust if trust is None else trust
        if opened.output != EMBEDDING:
            known = opened.class_names if class_names is None else class_names
            self.class_names = tuple(check_class_names(known, opened.width))
            thresholds = opened.thresholds if thresholds is None else thresholds
            self.thresholds = None if thresholds is None else tuple(check_thresholds(thresholds, opened.width))
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
        (prediction,) = self._named(self._classes(self.prepare(picture)[None]))
        return prediction

    def batch(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """Says what each of several pictures shows; an array [n, height, width, channels] is several pictures.

        Raises:
            FileNotFoundError: There is no such file.
            ExportError: See `__call__`.
        """
        answers = (self._classes(batch) for batch in self._batches(pictures))
        return [prediction for answer in answers for prediction in self._named(answer)]

    def probabilities(self, pictures: Iterable[Picture]) -> np.ndarray:
        """What the network answers to several pictures, float32 [n, classes]."""
        answers = [self._classes(batch)[OUTPUT] for batch in self._batches(pictures)]
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
        answers = [network.answers(batch)[network.output] for batch in self._batches(pictures)]
        return np.concatenate(answers) if answers else np.zeros((0, network.width), np.float32)

    def _classes(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        if self._opened.output == EMBEDDING:
            raise ExportError(
                "An embedding tells no classes: ask `embed` for vectors. Received: a picture to classify."
            )
        return self._opened.answers(pixels)

    @cached_property
    def _embedding(self) -> _Opened:
        if self._opened.output == EMBEDDING:
            return self._opened
        if isinstance(self._model, keras.Model):
            return deployed(self._model, self._preprocessing, EMBEDDING)
        where = self._model.folder if isinstance(self._model, Export) else self._model
        raise ExportError(
            "Vectors are of a Keras model, or of files that were exported with output='embedding' (--head embedding). "
            f"Received: {where}, which tells classes."
        )

    def _named(self, answers: Mapping[str, np.ndarray]) -> list[Prediction]:
        apart = answers.get(UNFAMILIAR)
        distances = [None] * len(answers[OUTPUT]) if apart is None else apart.ravel().tolist()
        rows = zip(answers[OUTPUT], distances, strict=True)
        return [Prediction(row, self.class_names, self.thresholds, apart, self.trust) for row, apart in rows]

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


_Answers: TypeAlias = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class _Opened:
    """A network as a function of uint8 pixels, and what is known of it: `width` numbers an image called `output`."""

    answers: _Answers
    image_shape: tuple[int | None, ...]
    width: int
    class_names: Sequence[str] | None = None
    thresholds: Sequence[float] | None = None
    trust: Trust = NOTHING_SAID
    output: str = OUTPUT

    def call(self, pixels: np.ndarray) -> np.ndarray:
        """What is called `output` alone, float32 [n, width]."""
        return self.answers(pixels)[self.output]


def _open(model: keras.Model | Export | Path, preprocessing: str | None, familiarity: Familiarity | None) -> _Opened:
    if isinstance(model, keras.Model):
        return deployed(model, preprocessing, familiarity=familiarity)
    if isinstance(model, Export):
        file, names = model.whole(_most_useful(model)), model.class_names
        call = open_saved_model(file) if file.is_dir() else LiteRTModel(file, checked=True)
        thresholds, output = model.thresholds or model.trust.scores(model.answers), OUTPUTS[model.output]
        return _Opened(call.answers, model.input_shape, model.answers, names, thresholds, model.trust, output)
    if isinstance(model, Path) and model.suffix == ".onnx":
        onnx = open_onnx(model)
        told = onnx.class_names, onnx.trust.scores(onnx.classes), onnx.trust
        return _Opened(onnx.answers, onnx.image_shape, onnx.classes, *told, onnx.output)
    if isinstance(model, Path):
        lite = LiteRTModel(model)
        if lite.output == EMBEDDING:
            return _Opened(lite.answers, lite.input_shape[1:], lite.classes, output=EMBEDDING)
        told = labels_of(model), thresholds_of(model), trust_of(model)
        return _Opened(lite.answers, lite.input_shape[1:], lite.classes, *told)
    raise ExportError(f"A predictor needs a Keras model, an export or a path. Received: {type(model).__name__}.")


def _most_useful(export: Export) -> dict[str, Any]:
    """The manifest's row of the SavedModel, or of the first .tflite file."""
    rows = [row for row in export.manifest["files"] if row["mode"] in (SAVED_MODEL, *MODES)]
    if not rows:
        raise ExportError(f"A predictor needs a SavedModel or a .tflite file. Received: {export.folder} without one.")
    return min(rows, key=lambda row: row["mode"] != SAVED_MODEL)


def deployed(
    model: keras.Model,
    preprocessing: str | None,
    output: Output = "probabilities",
    *,
    familiarity: Familiarity | None = None,
) -> _Opened:
    """A Keras model's twin, traced once for batches of any size.

    Its weights are constants: kernels prepare those once, too.
    """
    import tensorflow as tf

    twin = deploy(model, preprocessing=preprocessing, output=output, fold=folds_in_tensorflow(model))
    if familiarity is not None:
        check_features(familiarity, twin)
    network = constant_weights(twin if familiarity is None else with_features(twin))
    pixels = tf.TensorSpec((None, *image_shape(twin)), tf.uint8)
    serve = answering(network, familiarity, OUTPUTS[output])
    traced = tf.function(serve, input_signature=[pixels], autograph=False).get_concrete_function()

    def answers(images: np.ndarray) -> dict[str, np.ndarray]:
        return {name: answer.numpy() for name, answer in traced(tf.constant(images)).items()}

    return _Opened(answers, image_shape(twin), int(twin.output_shape[-1]), output=OUTPUTS[output])


def _preparation(shape: tuple[int, int, int], fitting: Fitting) -> tuple[Any, Any]:
    """Compiled `decode` and `fit`, traced once for pictures of all sizes."""
    import tensorflow as tf

    any_size = tf.TensorSpec((None, None, shape[-1]), tf.float32)
    return (
        tf.function(lambda content: decode(content, shape, fitting), [tf.TensorSpec((), tf.string)], False),
        tf.function(lambda image: fit(image, shape, fitting), [any_size], False),
    )
