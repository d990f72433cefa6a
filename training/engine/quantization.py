"""The network of a quantisation-aware run: a trained one that computes what its int8 file will compute."""

import keras
import numpy as np

from ..config import TrainConfig
from ..data.sources import Splits
from ..pipeline.preparing import evaluation_batches
from .optimizer import add_penalty
from .teacher import open_trained

CALIBRATION_IMAGES = 256


def build_simulation(config: TrainConfig, splits: Splits) -> keras.Model:
    """Opens the network that `model.weights` names and lets it compute as integers, calibrated on training images.

    The images are chosen by the run's seed, so that a resumed run has the same ranges.

    Raises:
        FileNotFoundError: where the weights are a folder without a run.
        ValueError: where the network has other classes than the data, or takes images of another size.
    """
    # The only way from training to the export: what a file computes is known there.
    from keras_inception import tflite

    source, size = config.model.weights, (config.model.image_size,) * 2
    trained = open_trained(source, config, splits, "model.weights")
    if trained.model.input_shape[1:3] != size:
        raise ValueError(
            f"With quantize, images have the size that the network takes, {trained.model.input_shape[1]} for "
            f"model.image_size. Received: {size[0]} for {source}"
        )
    if trained.order != sorted(trained.order):
        raise ValueError(f"With quantize, classes come in the order of the data. Received: {source} in another order")
    images, count = splits.train, len(splits.train.labels)
    chosen = np.random.default_rng(config.seed).choice(count, min(CALIBRATION_IMAGES, count), replace=False)
    model = tflite.simulate(
        trained.model, evaluation_batches(images.subset(np.sort(chosen)), config).as_numpy_iterator()
    )
    add_penalty(model, config.optimizer)
    return model
