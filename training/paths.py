"""The paths in a configuration."""

import dataclasses
from pathlib import Path

from keras_inception.training.config import TrainConfig


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Returns a configuration that finds its data and weights from any working directory."""

    def absolute(specification: str) -> str:
        kind, _, place = specification.partition(":")
        path = Path(place).expanduser()
        return f"{kind}:{path.resolve()}" if place and (kind != "tfds" or path.is_dir()) else specification

    model = config.model
    if model.weights and Path(model.weights).expanduser().exists():
        model = dataclasses.replace(model, weights=str(Path(model.weights).expanduser().resolve()))
    return dataclasses.replace(config, data=absolute(config.data), test_data=absolute(config.test_data), model=model)
