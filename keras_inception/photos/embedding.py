"""Every picture of some data as a vector, in one file. Begin at `embed`."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import keras_inception as ki
from keras_inception.handles import OpenedModel, open_model
from keras_inception.photos.keeping import FeatureFolder, Segment, Source, fill
from keras_inception.photos.making import specification
from keras_inception.photos.telling import Teller
from keras_inception.tflite.folder import sha256
from keras_inception.tflite.network.deploying import EMBEDDING
from keras_inception.tflite.pictures.fitting import fit
from keras_inception.tflite.running.prediction import deployed
from keras_inception.training import TrainConfig
from keras_inception.training.config import ModelConfig, PipelineConfig
from keras_inception.training.data.decode import BadFile
from keras_inception.training.data.images import AnyImages
from keras_inception.training.data.truth import open_pictures
from keras_inception.training.files import alone, read_json, write_text
from keras_inception.training.runs.run import SPLITS

ABOUT = "about"
SUFFIX = ".npz"
_LEFT_OUT = "left_out.json"


@dataclass(frozen=True)
class Embedded:
    """What `embed` made.

    Attributes:
        file: The file.
        pictures: How many pictures are in it.
        features: Length of a vector.
        class_names: Names of the classes; none of pictures without labels.
        left_out: Files that could not be decoded.
        about: What made the vectors, as the file tells it.
    """

    file: Path
    pictures: int
    features: int
    class_names: tuple[str, ...]
    left_out: tuple[BadFile, ...]
    about: Mapping[str, Any]


def embed(
    data: str | Path,
    model: str | Path | OpenedModel,
    output: str | Path,
    *,
    end_point: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Embedded:
    """Turns every picture of some data into a vector, and writes them into one file.

    The file is what `numpy.load` reads, with the arrays `names` [n], `splits` [n] (train, validation or test), `labels`
    [n] (-1 where none is known; of several labels zeros and ones, [n, classes]), `class_names`, `vectors`, float32
    [n, features], each of length 1, and `about`, JSON text: handle and digest of the model and what else the vectors
    follow from. Until it is there, FILE.partial/ holds what has been computed, and the same call goes on with it: the
    file is the same to the bit however often that was broken off.

    Args:
        data: Folder of pictures, with a sub-folder a class or without, maybe under train/, validation/ and test/; a CSV
            file; or data in the words of `TrainConfig.data`.
        model: A handle (see `keras_inception.open_model`), or the model that it opened.
        output: The file, whose name ends in `.npz`.
        end_point: Block or layer of the network (see `keras_inception.features`) whose output is taken, maps pooled by
            their average; None: what the classifier reads (see `keras_inception.embedding`).
        overwrite: Whether a file of other vectors, or one that was begun, may be replaced.
        console: Where progress is shown, if it is a terminal; standard error by default.

    Raises:
        FileNotFoundError: There is no such data or model.
        ValueError: An argument breaks a rule, a file tells classes alone, or `output` holds vectors of something else.
    """
    place = _checked(Path(output))
    opened = model if isinstance(model, OpenedModel) else open_model(model)
    source, digest = _source(opened, end_point)
    asked = {
        "model": opened.handle,
        "digest": digest,
        "end_point": end_point or EMBEDDING,
        "image_shape": list(opened.image_shape),
        **asdict(opened.fitting),
        "data": "digits" if str(data) == "digits" else specification(data),
    }
    work = place.with_name(f"{place.name}.partial")
    if overwrite and work.exists():
        shutil.rmtree(work)
    known_bad = read_json(work / _LEFT_OUT) if (work / _LEFT_OUT).is_file() else {}
    parts, class_names, bad = _pictures(asked["data"], opened, known_bad.get(asked["data"]))
    about = asked | {"pictures": _digest(*(text.encode() for text in _told(parts)))}
    if place.exists() and not overwrite:
        finished = _finished(place, about, bad)
        shutil.rmtree(work, ignore_errors=True)
        return finished
    segments: list[Segment] = []
    for images in parts.values():
        segments.append(Segment(segments[-1].end if segments else 0, images))
    teller = Teller(console or Console(stderr=True, highlight=False))
    work.mkdir(exist_ok=True)
    with alone(work, "An embedding"):
        rows = segments[-1].end
        kept = FeatureFolder(work, _identity(about), rows)
        write_text(work / _LEFT_OUT, json.dumps({asked["data"]: [file.path for file in bad]}) + "\n")
        with teller.progress("embedding", rows, already=kept.done(source)) as progress:
            for segment in segments:
                fill(kept, segment, [source], progress.advance)
        arrays: dict[str, Any] = {
            "names": np.array([name for images in parts.values() for name in images.names]),
            "splits": np.repeat(list(parts), [len(images.labels) for images in parts.values()]),
            "labels": np.concatenate([images.labels for images in parts.values()]),
            "class_names": np.array(class_names, dtype=str),
            "vectors": kept.read(source),
            ABOUT: np.array(_text(about)),
        }
        whole = work / place.name
        np.savez(whole, **arrays)
        whole.replace(place)
        shutil.rmtree(work)
    return Embedded(place, rows, arrays["vectors"].shape[1], tuple(class_names), tuple(bad), about)


def _checked(place: Path) -> Path:
    if place.suffix != SUFFIX:
        raise ValueError(f"Vectors are written to a file whose name ends in {SUFFIX}. Received: {place}")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"The folder that a file is written into must exist. Received: {place}")
    if place.exists() and not place.is_file():
        raise ValueError(f"Vectors are written to a file. Received: {place}, which is a folder")
    return place


def _finished(place: Path, about: dict[str, Any], bad: list[BadFile]) -> Embedded:
    """What an earlier call has written, if it is of the same; raises `ValueError` where it is of something else."""
    try:
        with np.load(place) as kept:
            told = json.loads(str(kept[ABOUT]))
            is_same, (pictures, features) = _identity(told) == _identity(about), kept["vectors"].shape
            names = tuple(map(str, kept["class_names"]))
    except Exception:  # numpy and zipfile raise whatever a file of another kind leads to
        is_same = False
    if not is_same:
        raise ValueError(f"A file is replaced with --overwrite alone. Received: {place}, made of something else")
    return Embedded(place, pictures, features, names, tuple(bad), told)


def _identity(about: Mapping[str, Any]) -> str:
    """What tells vectors from others, however model and data were named."""
    return _digest(_text({name: value for name, value in about.items() if name not in ("model", "data")}).encode())


def _told(parts: Mapping[str, AnyImages]) -> Iterator[str]:
    """All that tells the pictures of a call from others."""
    for part, images in parts.items():
        yield json.dumps([part, list(images.names), images.labels.tolist(), images.content()])


def _source(opened: OpenedModel, end_point: str | None) -> tuple[Source, str]:
    """What turns pictures into vectors, and a digest that tells it from others."""

    def prepare(picture: Any) -> Any:
        return fit(picture, opened.image_shape, opened.fitting)

    call: Callable[[np.ndarray], np.ndarray]
    if opened.network is None and end_point is None:
        opened.embed([])  # which says at once where a file tells classes alone
        call, digest = opened.embed, _digest_of_files(opened)
    else:
        network = opened.keras_model("An end point")
        digest = _digest(*(np.ascontiguousarray(array).data for array in network.get_weights()))
        preprocessing = None if opened.preprocessing == "none" else opened.preprocessing
        if end_point is None:
            call = deployed(network, preprocessing, EMBEDDING).call
        else:
            network = ki.features(network, end_point)
            flat = network if len(network.output_shape) == 2 else ki.embedding(network)  # maps are pooled
            answer = deployed(flat, preprocessing).call
            call = lambda pixels: _of_unit_length(answer(pixels))  # noqa: E731
    return Source("vectors", opened.image_shape, prepare, lambda batch: call(batch.numpy())), digest


def _pictures(
    data: str, opened: OpenedModel, known_bad: list[str] | None
) -> tuple[dict[str, AnyImages], list[str], list[BadFile]]:
    """The pictures of each part that is there, the names of the classes, and the files that cannot be decoded."""
    height, _, channels = opened.image_shape
    config = TrainConfig(
        data=data,
        model=ModelConfig(image_size=height, channels=channels),
        pipeline=PipelineConfig(max_bad_share=1),
    )
    parts = open_pictures(data, config, known_bad)
    there = {part: getattr(parts, part) for part in SPLITS}
    return {part: images for part, images in there.items() if images is not None}, parts.class_names, parts.bad_files


def _digest_of_files(opened: OpenedModel) -> str:
    if opened.export is not None:
        return _digest(*(row["sha256"].encode() for row in opened.export.manifest["files"]))
    assert opened.path is not None  # what has no network was read from a file
    return sha256(opened.path)


def _digest(*contents: Any) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=2, sort_keys=True)


def _of_unit_length(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
