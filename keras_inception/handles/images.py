"""Pictures for a model, as pixels: those of a run, or of any data, with labels where its classes are the model's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_inception.handles.opened import OpenedModel
from keras_inception.labels import imagenet_classes

if TYPE_CHECKING:
    from keras_inception.training import TrainConfig
    from keras_inception.training.data.images import Parts

Batches: TypeAlias = Iterator[tuple[np.ndarray, np.ndarray] | np.ndarray]
BATCH = 32


def preparation(model: OpenedModel, data: str) -> TrainConfig:
    """How a model's pictures are prepared, as a configuration of the training's pipeline.

    Raises:
        ValueError: The model takes pictures that are not square.
    """
    from keras_inception.training import TrainConfig
    from keras_inception.training.config import ModelConfig, PipelineConfig

    height, width, channels = model.image_shape
    if height != width:
        raise ValueError(f"Data is for networks of square pictures. Received: {model.handle}, {height}x{width}")
    return TrainConfig(
        data=data,
        model=ModelConfig(image_size=height, channels=channels),
        pipeline=PipelineConfig(
            batch_size=BATCH,
            interpolation=model.fitting.interpolation,  # type: ignore[arg-type]
            central_crop=model.fitting.central_crop,
        ),
    )


def open_labelled(model: OpenedModel, data: str, ground_truth: str | None = None) -> tuple[Parts, TrainConfig]:
    """Opens labelled images to measure a model on.

    Args:
        model: The model.
        data: Where they come from, in the words of a configuration's `data`.
        ground_truth: Of a flat folder, the text file that tells the classes; see `measure`.

    Returns:
        The parts of the data, and how the images are prepared.

    Raises:
        FileNotFoundError: There is no such data.
        ValueError: Its classes are not the model's.
    """
    from keras_inception.training.data.truth import open_measured

    config, names = preparation(model, data), list(model.class_names)
    is_imagenet = names == [name for _, name in imagenet_classes()]
    wnids = [wnid for wnid, _ in imagenet_classes()] if is_imagenet else []
    several = model.thresholds is not None
    return open_measured(data, config, names, synonyms=wnids, truth=ground_truth, several=several), config


def known_images(model: OpenedModel, data: str, count: int, held_out: int, seed: int = 0) -> tuple[Batches, Batches]:
    """Some labelled pictures of what a model knows, and others to set limits on.

    Args:
        model: The model that they are prepared for.
        data: As in `open_labelled`. Where it has a training part, the first are of it and the others of the rest; else
            each class is halved, as far as that goes.
        count: How many of the first at most.
        held_out: How many of the others at most.
        seed: Of the choices.

    Returns:
        Both as batches of pixels and classes.

    Raises:
        FileNotFoundError: There is no such data.
        ValueError: Its classes are not the model's.
    """
    from keras_inception.training.data.sources import held_out as held_out_of
    from keras_inception.training.pipeline.preparing import evaluation_batches

    parts, config = open_labelled(model, data)
    first: Any = parts.train
    others: Any = held_out_of(parts)
    order = np.random.default_rng(seed)
    if others is first:
        shuffled = order.permutation(len(first.labels))
        # A stable sort by class: every second of each, whatever the classes' sizes.
        places = shuffled[np.argsort(first.labels[shuffled], kind="stable")]
        first, others = first.subset(np.sort(places[::2])), others.subset(np.sort(places[1::2]))

    def some(images: Any, most: int) -> Batches:
        chosen = np.sort(order.choice(len(images.labels), min(most, len(images.labels)), replace=False))
        return iter(evaluation_batches(images.subset(chosen), config).as_numpy_iterator())

    return some(first, count), some(others, held_out)


def some_of(model: OpenedModel, data: str, count: int, seed: int = 0) -> Batches:
    """Some pictures of any data, a seeded choice, as batches for `export` and `verify`.

    Args:
        model: The model that they are prepared for.
        data: As in `open_labelled`; of a folder also pictures alone.
        count: How many at most.
        seed: Of the choice.

    Yields:
        Pairs of pixels, float32 [n, height, width, channels] in 0..255, and labels where the data's classes are the
        model's; else pixels alone.

    Raises:
        FileNotFoundError: There is no such data.
        ValueError: It holds no pictures.
    """
    from keras_inception.training.data.images import UnlabelledError
    from keras_inception.training.data.sources import held_out
    from keras_inception.training.data.truth import open_pictures
    from keras_inception.training.pipeline.preparing import evaluation_batches

    labelled = True
    try:
        parts, config = open_labelled(model, data)
    except UnlabelledError:
        config, labelled = preparation(model, data), False
        parts = open_pictures(data, config)
    images: Any = held_out(parts)
    if count < len(images.labels):
        chosen = np.random.default_rng(seed).choice(len(images.labels), count, replace=False)
        images = images.subset(np.sort(chosen))
    for pixels, labels in evaluation_batches(images, config).as_numpy_iterator():
        yield (pixels, labels) if labelled else pixels
