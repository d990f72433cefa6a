"""TFLite metadata: what Android Studio and mediapipe read out of a .tflite file, and the labels inside it.

A model's metadata is a FlatBuffer of its own, in a buffer of the model named `TFLITE_METADATA`; the labels are a zip
archive appended to the file. Format: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ExportError
from ..network.deploying import EMBEDDING, Output
from .flatbuffer import SEAL, sealed, with_buffers
from .tracing import OUTPUTS, UNFAMILIAR
from .trust import NOTHING_SAID, Trust

T = TypeVar("T")

NAME = "TFLITE_METADATA"
LABELS = "labels.txt"
SCORES = "score_calibration.txt"
TRUST = "trust.json"
_IDENTIFIER = b"M001"
# Score calibration is scale / (1 + e ** -(slope * g(x) + offset)) of a score above min_score, else a default of 0. Of
# these three, with the inverse of the logistic function as g, it is the score itself.
_UNCHANGED = "1,1,0,"
_ANSWERS = {
    "probabilities": "The probability of each class.",
    "logits": "The logit of each class.",
    EMBEDDING: "A vector of length 1; the inner product with another picture's is their cosine similarity.",
}
_WRITTEN = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip knows: equal content, equal bytes


@dataclass(frozen=True)
class About:
    """What a .tflite file says of itself, for people; nothing of it changes how the file computes.

    Attributes:
        name: Name of the network; empty: the Keras model's.
        version: Version of the trained network.
        licence: Under what terms the file may be used.
        author: Whose it is.
        description: What it recognises.

    Raises:
        ExportError: One of them is no text, or one that UTF-8 cannot hold.
    """

    name: str = ""
    version: str = "1"
    licence: str = ""
    author: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_text(getattr(self, field.name), f"What a file says of its {field.name}")


def check_text(text: Any, what: str) -> None:
    """Raises `ExportError` unless a text can be written in UTF-8."""
    try:
        text.encode()
    except (AttributeError, UnicodeEncodeError):
        raise ExportError(f"{what} is text that UTF-8 can hold. Received: {text!r}.") from None


def with_metadata(
    content: bytes,
    about: About,
    *,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
    output: Output = "probabilities",
    thresholds: Sequence[float] | None = None,
    trust: Trust = NOTHING_SAID,
) -> bytes:
    """Returns a TFLite file with metadata and labels inside, sealed by a hash of it all.

    Args:
        content: A file with one image input of raw pixels 0..255 and one output, `unfamiliar` behind it or not, without
            metadata.
        about: What the file says of itself.
        class_names: Names of the classes, one line each; none of an embedding.
        image_shape: Height, width and channels.
        output: What the file answers.
        thresholds: What the probability of each class exceeds where it is found; None: the likeliest class is.
        trust: How far the answers can be trusted.
    """
    texts = {LABELS: "".join(f"{name}\n" for name in class_names)} if output != EMBEDDING else {}
    if thresholds is not None:
        # No line end at the end: mediapipe would take an empty line for one more class.
        texts[SCORES] = "\n".join(f"{_UNCHANGED}{threshold:.9g}" for threshold in thresholds)
    if trust != NOTHING_SAID:
        texts[TRUST] = json.dumps(trust.to_json())
    file = io.BytesIO(with_buffers(content, {NAME: _metadata(about, image_shape, output, thresholds, trust)}))
    # Stored, not deflated: readers hand out the labels where they lie in the file.
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _WRITTEN), text)
        archive.comment = SEAL
    return sealed(file.getvalue())


def labels_of(path: str | Path) -> tuple[str, ...]:
    """Reads the class names out of a .tflite file.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: There are no labels in it.
    """
    labels = _packed(path, LABELS, lambda text: tuple(text.splitlines()))
    if labels is None:
        raise ExportError(f"A .tflite file must hold {LABELS}, as export writes it. Received: {path}.")
    return labels


def thresholds_of(path: str | Path) -> tuple[float, ...] | None:
    """Reads out of a .tflite file what the probability of each class exceeds where it is found; None: it tells none.

    They are the `min_score` of each class's score calibration, which leaves scores above it as they are.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: They are damaged.
    """
    return _packed(path, SCORES, lambda text: tuple(float(line.split(",")[3]) for line in text.splitlines()))


def trust_of(path: str | Path) -> Trust:
    """Reads out of a .tflite file how far its answers can be trusted.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: That is damaged.
    """
    return _packed(path, TRUST, lambda text: Trust.from_json(json.loads(text))) or NOTHING_SAID


def _packed(path: str | Path, name: str, read: Callable[[str], T]) -> T | None:
    """What one of the texts in a .tflite file says; None where the file has none of that name."""
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return read(archive.read(name).decode("utf-8")) if name in archive.namelist() else None
    except Exception as error:  # zipfile raises whatever a damaged directory leads to
        raise ExportError(f"A .tflite file must hold {name}, as export writes it. Received: {path}.") from error


# ---- the metadata's FlatBuffer. Its schema (metadata_schema.fbs, parser version 1.0.0) ships with no package that an
# export needs, so its tables are written here by field number.


@dataclass(frozen=True)
class _Table:
    """A table: its number of fields, and the values of those that are set, by field number."""

    size: int
    fields: dict[int, Any]


@dataclass(frozen=True)
class _Byte:
    value: int


@dataclass(frozen=True)
class _UInt:
    value: int


@dataclass(frozen=True)
class _Float:
    value: float


_NUMBERS = _Table(3, {0: _Byte(1), 1: _Table(0, {})})  # FeatureProperties


def _metadata(
    about: About,
    image_shape: tuple[int, int, int],
    output: str,
    thresholds: Sequence[float] | None,
    trust: Trust,
) -> bytes:
    import flatbuffers

    height, width, channels = image_shape
    color_space = _Byte({1: 2, 3: 1}.get(channels, 0))  # GRAYSCALE, RGB, UNKNOWN
    image_properties = _Table(2, {0: color_space, 1: _Table(2, {0: _UInt(width), 1: _UInt(height)})})
    # The network's own normalisation is inside the file: nothing is left for the app to subtract or divide.
    normalization = _Table(2, {0: _Byte(1), 1: _Table(2, {0: [0.0], 1: [1.0]})})
    image = _Table(7, {
        0: "images",
        1: f"{height}x{width} pixels, {'RGB' if channels == 3 else f'{channels} channel(s)'}, 0 to 255.",
        3: _Table(3, {0: _Byte(2), 1: image_properties}),
        4: [normalization],
        5: _Table(2, {0: [255.0], 1: [0.0]}),
    })  # fmt: skip
    labels = _Table(5, {0: LABELS, 1: "Names of the classes, one a line.", 2: _Byte(2)})  # TENSOR_AXIS_LABELS
    answer: dict[int, Any] = {
        0: OUTPUTS[output],
        1: _ANSWERS[output],
        3: _NUMBERS,
        **({} if output == EMBEDDING else {6: [labels]}),
    }
    if thresholds is not None:
        scores = "Of each class scale, slope, offset and the score that it must exceed."
        answer[6].append(_Table(5, {0: SCORES, 1: scores, 2: _Byte(4)}))  # TENSOR_AXIS_SCORE_CALIBRATION
        # Scores at or below their class's are 0 by ScoreCalibrationOptions (INVERSE_LOGISTIC), and 0 is below the
        # smallest of ScoreThresholdingOptions.
        least = _Table(1, {0: _Float(min(thresholds))})
        answer[4] = [_Table(2, {0: _Byte(2), 1: _Table(2, {0: _Byte(2)})}), _Table(2, {0: _Byte(3), 1: least})]
    if output == "probabilities":
        answer[5] = _Table(2, {0: [1.0], 1: [0.0]})
    answers = [_Table(7, answer)]
    if trust.keep is not None:
        what = f"How far the picture is from those the network knows: {trust.keep:.0%} of them have 1 or less."
        answers.append(_Table(7, {0: UNFAMILIAR, 1: what, 3: _NUMBERS}))
    graph = _Table(10, {2: [image], 3: answers})
    texts = {0: about.name, 1: about.description, 2: about.version, 4: about.author, 5: about.licence, 7: "1.0.0"}
    files = {}
    if trust != NOTHING_SAID:
        files = {6: [_Table(5, {0: TRUST, 1: "How far the answers can be trusted.", 2: _Byte(1)})]}  # DESCRIPTIONS
    model = _Table(8, {**{field: text for field, text in texts.items() if text}, 3: [graph], **files})
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, model), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: Any, value: Any) -> int:
    """Writes a text, a table, or a vector of floats or tables; returns where it is."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        numbers = isinstance(value[0], float)
        items = value if numbers else [_write(builder, item) for item in value]
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            (builder.PrependFloat32 if numbers else builder.PrependUOffsetTRelative)(item)
        return builder.EndVector()
    # What a table refers to must be written before it.
    written = {
        field: item if isinstance(item, _Byte | _UInt | _Float) else _write(builder, item)
        for field, item in value.fields.items()
    }
    builder.StartObject(value.size)
    for field, item in written.items():
        if isinstance(item, _Byte):
            builder.PrependUint8Slot(field, item.value, 0)
        elif isinstance(item, _UInt):
            builder.PrependUint32Slot(field, item.value, 0)
        elif isinstance(item, _Float):
            builder.PrependFloat32Slot(field, item.value, 0.0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, item, 0)
    return builder.EndObject()
