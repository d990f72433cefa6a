"""The pooled features of many pictures by many trunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_inception.photos.keeping import FeatureFolder, Segment, Source, fill
from keras_inception.photos.trunks import Trunk, extractor
from keras_inception.training.config import TrainConfig
from keras_inception.training.pipeline.preparing import prepare


def compute(
    folder: FeatureFolder,
    segment: Segment,
    trunks: Sequence[Trunk],
    config: TrainConfig,
    advance: Callable[[int], Any] = lambda _: None,
) -> None:
    """Computes what is lacking of a segment's features; see `fill`.

    Args:
        folder: Where the features are kept.
        segment: The pictures.
        trunks: The trunks.
        config: How pictures are prepared; the size is each trunk's.
        advance: Called with a number of pictures whenever they are done.
    """
    fill(folder, segment, [_source(trunk, config) for trunk in trunks], advance)


def _source(trunk: Trunk, config: TrainConfig) -> Source:
    sized = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=trunk.size))

    def call(pixels: Any) -> np.ndarray:
        features: np.ndarray = extractor(trunk.network, trunk.source).call(pixels).numpy()
        return features

    return Source(trunk.key, trunk.size, lambda picture: prepare(picture, sized), call)
