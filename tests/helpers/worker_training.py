"""Trains the tiny network with a batch shared by two workers, by two devices, or by none, and writes its losses.

    python tests/helpers/worker_training.py workers|devices|one FOLDER

FOLDER/run is the run, FOLDER/losses.json the loss of every step. With KILL_AFTER=N worker 0 is killed after N steps; a
run that exists is resumed.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "Agg")


def without_dropout(build):
    """Builds the network and sets its dropouts to nothing: several workers draw other masks than one."""

    def builder(**arguments):
        network = build(**arguments)
        for layer in network.layers:
            if type(layer).__name__ == "Dropout":
                layer.rate = 0.0
        return network

    return builder


def main(kind: str, folder: Path) -> None:
    import killed_training
    import tensorflow as tf

    from keras_inception.training import training as fit
    from keras_inception.training.engine import devices as distribution
    from keras_inception.training.engine import watching

    if kind == "devices":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        fit.find_devices = lambda: distribution.Devices(strategy)

    base = killed_training.config()
    config = dataclasses.replace(
        base,
        optimizer=dataclasses.replace(base.optimizer, clip_norm=0.5, momentum=0.9),
        schedule=dataclasses.replace(base.schedule, warmup_epochs=0.2),
        pipeline=dataclasses.replace(base.pipeline, batch_size=128),
    )
    means: list[float] = []
    original = watching.StopOnNaN.on_train_batch_end

    def note(self, batch, logs=None):
        means.append(logs["loss"])
        if os.environ.get("KILL_AFTER") == str(len(means)):
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, batch, logs)

    watching.StopOnNaN.on_train_batch_end = note
    killed_training.tiny_network = without_dropout(killed_training.tiny_network)
    sys.modules["killed_training"] = killed_training
    run = folder / "run"
    with killed_training.tiny_registered():
        _ = fit.resume(run) if run.exists() else fit.train(config, run)
    # Keras's logs hold an epoch's mean so far.
    losses = [mean * (i % 10 + 1) - (means[i - 1] * (i % 10) if i % 10 else 0) for i, mean in enumerate(means)]
    if '"index": 0' in os.environ.get("TF_CONFIG", '"index": 0'):
        (folder / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    if sys.argv[1] == "workers" and "TF_CONFIG" not in os.environ:
        from keras_inception.training.engine.launch import launch

        sys.exit(launch(2, [sys.executable, *sys.argv]))
    main(sys.argv[1], Path(sys.argv[2]))
