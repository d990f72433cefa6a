"""One of several processes that train together, as TF_CONFIG says; writes the loss of every step.

TF_CONFIG=... python tests/worker_training.py FOLDER OUTPUT.json
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

import killed_training
from killed_training import config

from keras_inception.training import callbacks, train


def shared_config():
    """Two epochs of 10 steps, clipped, averaged, with two workers or one."""
    base = config()
    return dataclasses.replace(
        base,
        optimizer=dataclasses.replace(base.optimizer, clip_norm=0.5),
        pipeline=dataclasses.replace(base.pipeline, batch_size=128),
    )


def main(folder: Path, output: Path) -> None:
    sums = []
    original = callbacks.StopOnNaN.on_train_batch_end

    def note(self, batch, logs=None):
        sums.append(logs["loss"] * (batch + 1))  # logs hold the epoch's mean so far
        original(self, batch, logs)

    callbacks.StopOnNaN.on_train_batch_end = note
    killed_training.tiny_network = without_dropout(killed_training.tiny_network)
    train(shared_config(), folder)
    losses = [total - (sums[i - 1] if i % 10 else 0) for i, total in enumerate(sums)]
    output.write_text(json.dumps(losses))


def without_dropout(build):
    """Builds the network, then sets its dropouts to nothing: every worker draws masks of its own."""

    def builder(**arguments):
        network = build(**arguments)
        for layer in network.layers:
            if type(layer).__name__ == "Dropout":
                layer.rate = 0.0
        return network

    return builder


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
