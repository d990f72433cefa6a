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
    from keras_inception.training.pipeline.preparing import evaluation_batches

    images, config, labelled = _open(model, data)
    for pixels, labels in evaluation_batches(_chosen(images, count, seed), config).as_numpy_iterator():
        yield (pixels, labels) if labelled else pixels


def whole_pictures(model: OpenedModel, data: str | None, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Some pictures as they are, not yet made to fit a model: a seeded choice.

    Args:
        model: The model whose channels they shall have.
        data: As in `some_of`; None: a run's test images.
        count: How many at most.
        seed: Of the choice.

    Yields:
        uint8 [height, width, channels], of any size each.

    Raises:
        FileNotFoundError: There is no such data.
        ValueError: It holds no pictures, or none were named for what is no run.
    """
    if data is not None:
        images = _open(model, data)[0]
    elif model.run is not None:
        images = model.run.splits["test"]
    else:
        raise ValueError(f"--data names real pictures, such as folder:PATH. Received: {model.handle} alone")
    images = _chosen(images, count, seed)
    yield from images.elements().map(lambda _, handle: images.decode(handle)).as_numpy_iterator()


def _open(model: OpenedModel, data: str) -> tuple[Any, TrainConfig, bool]:
    """The pictures of any data, how they are prepared, and whether their labels are the model's classes."""
    from keras_inception.training.data.images import UnlabelledError
    from keras_inception.training.data.sources import held_out
    from keras_inception.training.data.truth import open_pictures

    try:
        parts, config = open_labelled(model, data)
    except UnlabelledError:
        config = preparation(model, data)
        return held_out(open_pictures(data, config)), config, False
    return held_out(parts), config, True


def _chosen(images: Any, count: int, seed: int) -> Any:
    if count >= len(images.labels):
        return images
    return images.subset(np.sort(np.random.default_rng(seed).choice(len(images.labels), count, replace=False)))
