"""Latency of exported files and models, side by side: interleaved runs, medians and their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_inception.processors import cores

from ..errors import ExportError, first_line
from .litert import LiteRTModel
from .others import open_onnx, open_saved_model


@dataclass(frozen=True)
class Timing:
    """Latency of one contestant, in milliseconds a call.

    Attributes:
        name: The file's or the model's name.
        kind: `"tflite"`, `"onnx"`, `"saved_model"`, `"keras"` or `"callable"`.
        median_ms: The median.
        low_ms: The tenth percentile.
        high_ms: The ninetieth percentile.
        runs: Number of timed calls.
        batch: Images a call.
        threads: Threads that it was allowed; TensorFlow takes all cores.
        ratio: Median over the rounds of its time to that of the contestant named by `vs`; None without one.
    """

    name: str
    kind: str
    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    batch: int
    threads: int
    ratio: float | None = None


def benchmark(
    files: Iterable[Any] | Mapping[str, Any],
    images: np.ndarray | None = None,
    *,
    vs: str | None = None,
    batch: int = 1,
    threads: int | None = None,
    runs: int = 50,
    warmup: int = 5,
) -> list[Timing]:
    """Times exported files, Keras models and functions against each other.

    In each round every contestant is called once, in an order that changes from round to round, so that a busy moment
    of the machine hits them alike.

    Args:
        files: Paths of .tflite, .onnx and .keras files and of SavedModel folders, Keras models, or functions of a
            batch; or a mapping from names to them. Of several of one name, the second is timed as `NAME (2)`.
        images: Batch of pixels to feed, [n, h, w, c] in 0..255; None: seeded random pixels, for each of the size that
            it takes, or the first of the others where that is not known (latency does not depend on what is in the
            picture).
        vs: Name of the contestant that the others are compared with (of a path, the path).
        batch: Images a call, where `images` is None.
        threads: Threads of LiteRT; None: as many as there are cores.
        runs: Timed rounds.
        warmup: Untimed rounds before.

    Returns:
        One row a contestant, in the order given.

    Raises:
        FileNotFoundError: A path that does not exist.
        ExportError: A file that cannot be run, one that takes images of another size, or nothing to time.
    """
    if isinstance(files, str | Path):
        files = [files]
    named = dict(files) if isinstance(files, Mapping) else _named(files)
    if not named:
        raise ExportError("A benchmark needs something to time. Received: nothing.")
    if runs < 1 or batch < 1:
        raise ExportError(f"A benchmark needs at least one run of one image. Received: {runs} of {batch}.")
    if vs is not None and vs not in named:
        raise ExportError(f"What the others are compared with is one of {', '.join(named)}. Received: {vs!r}.")
    threads = threads or cores()
    opened = {name: open_any(item, threads=threads) for name, item in named.items()}
    shapes = {name: shape for name, (_, _, shape) in opened.items()}
    if images is None:
        fed = _random_images(shapes, batch)
    else:
        _check_sizes(images, shapes)
        fed = dict.fromkeys(shapes, images)
    calls = {name: partial(call, fed[name]) for name, (call, _, _) in opened.items()}
    times = interleaved(calls, runs=runs, warmup=warmup)
    rows = []
    for name, (_, kind, _) in opened.items():
        low, median, high = np.percentile(times[name], [10, 50, 90]) * 1e3
        allowed = threads if kind in ("tflite", "onnx") else cores()
        ratio = None if vs is None else float(np.median(times[name] / times[vs]))
        rows.append(Timing(name, kind, float(median), float(low), float(high), runs, len(fed[name]), allowed, ratio))
    return rows


def interleaved(calls: Mapping[str, Callable[[], Any]], *, runs: int, warmup: int = 3) -> dict[str, np.ndarray]:
    """Seconds that each call took, [runs], measured in turns.

    Args:
        calls: What is called, by name.
        runs: Timed rounds.
        warmup: Untimed rounds before.
    """
    for _ in range(warmup):
        for call in calls.values():
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, order = list(calls), np.random.default_rng(0)
    for _ in range(runs):
        for index in order.permutation(len(names)):
            start = time.perf_counter()
            calls[names[index]]()
            times[names[index]].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in times.items()}


def compiled(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """Returns the model as one compiled TensorFlow function of a batch of pixels, in inference mode."""
    import tensorflow as tf

    function = tf.function(lambda images: model(tf.cast(images, tf.float32), training=False), autograph=False)

    def call(images: np.ndarray) -> Any:
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), function(tf.constant(images)))

    return call


_Shape: TypeAlias = tuple[int | None, ...] | None  # of an image, as far as it is known


def open_any(item: Any, *, threads: int) -> tuple[Callable[[np.ndarray], Any], str, _Shape]:
    """Opens a contestant: its function of a batch, its kind, and the image shape that it takes where that is known."""
    if isinstance(item, keras.Model):
        return compiled(item), "keras", tuple(item.inputs[0].shape[1:])
    if isinstance(item, str | Path):
        path = Path(item)
        if not path.exists():
            raise FileNotFoundError(f"A file to time must exist. Received: {path}.")
        if path.is_dir():
            saved = open_saved_model(path)
            return saved, "saved_model", saved.image_shape
        if path.suffix == ".keras":
            return open_any(_load(path), threads=threads)
        if path.suffix == ".onnx":
            onnx = open_onnx(path, threads=threads)
            return onnx, "onnx", onnx.image_shape
        model = LiteRTModel(path, threads=threads)
        return model, "tflite", model.input_shape[1:]
    if callable(item):
        return item, "callable", None
    raise ExportError(f"What is timed is a file, a model or a function. Received: {item!r}.")


def _load(path: Path) -> keras.Model:
    try:
        model: keras.Model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever a damaged file leads to
        raise ExportError(f"A .keras file must be a whole model. Received: {path} ({first_line(error)}).") from error
    return model


def _name(item: Any) -> str:
    if isinstance(item, str | Path):
        return str(item)
    return str(getattr(item, "name", None) or getattr(item, "__name__", type(item).__name__))


def _named(items: Iterable[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for item in items:
        first = name = _name(item)
        count = 1
        while name in named:
            count += 1
            name = f"{first} ({count})"
        named[name] = item
    return named


def _random_images(shapes: Mapping[str, _Shape], batch: int) -> dict[str, np.ndarray]:
    known = {name: shape for name, shape in shapes.items() if shape is not None and None not in shape}
    if not known:
        raise ExportError("Without a file or a Keras model of one image size, images must be given. Received: none.")
    first = next(iter(known.values()))
    noise = np.random.default_rng(0)
    made = {
        shape: noise.integers(0, 256, (batch, *(size or 1 for size in shape)), dtype=np.uint8)
        for shape in dict.fromkeys([first, *known.values()])
    }
    return {name: made[known.get(name, first)] for name in shapes}


def _check_sizes(images: Any, shapes: Mapping[str, _Shape]) -> None:
    given = np.shape(images)
    for name, shape in shapes.items():
        if shape is not None and not (
            len(given) == 1 + len(shape)
            and all(want in (None, got) for want, got in zip(shape, given[1:], strict=True))
        ):
            wanted = "x".join(str(size or "any") for size in shape)
            raise ExportError(
                f"Images must be of the size that every contestant takes. Received: shape {given} for {name}, which "
                f"takes {wanted}."
            )
