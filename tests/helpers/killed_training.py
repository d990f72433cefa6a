"""Trains a tiny network on digits, is killed with SIGKILL again and again, and resumes until it is done.

    python tests/helpers/killed_training.py FOLDER RUNS KILLS [CHANGES]

FOLDER/undisturbed is trained in one go; FOLDER/0, FOLDER/1 and so on are killed KILLS times each, at moments that the
run's number decides: after a random time, or in the middle of writing a checkpoint. CHANGES are fields of the
configuration as JSON. The backend is imported once; every
attempt is a process of its own, forked before it starts its threads. Prints a line an attempt.
"""

import dataclasses
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
from rich.console import Console
from training_helpers import tiny_config

from keras_inception import registry
from keras_inception.training import resume, train, training
from keras_inception.training.config import CheckpointConfig, TrainConfig
from keras_inception.training.engine import checkpoints


def tiny_network(
    *,
    classes,
    input_shape,
    weights,
    include_preprocessing,
    aux_heads=False,
    classifier_activation="softmax",
    dropout=0.2,
):
    """A convolution, a batch norm and a dropout before each of its heads."""
    layers = keras.layers
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    outputs = {}
    for head in (*(registry.get_entry("tiny").aux_heads if aux_heads else ()), "predictions"):
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.Dropout(dropout)(layers.ReLU()(layers.BatchNormalization()(x)))
        pool = layers.GlobalAveragePooling2D(name="global_pool" if head == "predictions" else f"{head}_pool")
        logits = layers.Dense(classes, name=f"{head}_logits")(pool(x))
        outputs[head] = layers.Activation(classifier_activation, dtype="float32", name=head)(logits)
    return keras.Model(image, outputs if aux_heads else outputs["predictions"], name="tiny")


@contextmanager
def tiny_registered(*heads: str) -> Iterator[None]:
    """Has the registry know the tiny network; afterwards it is as before, for other tests of the process."""
    like = registry.get_entry("inception_v1")
    builder, weights = "killed_training:tiny_network", dict.fromkeys(heads or ("aux1",), 0.3)
    registry.register(dataclasses.replace(like, name="tiny", builder=builder, aux_heads=weights))
    try:
        yield
    finally:
        del registry._ENTRIES["tiny"]


def with_tiny(config: TrainConfig) -> TrainConfig:
    """The configuration, of the tiny network."""
    model = dataclasses.replace(config.model, name="tiny", alpha=1.0, options={}, batch_norm_momentum=None)
    return dataclasses.replace(config, model=model)


def config(**changes):
    """Two epochs of digits: auxiliary head, batch norm, dropout, moving average, augmentation."""
    base = with_tiny(tiny_config("digits", epochs=2))
    return dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, image_size=8),  # as the scans are: nothing is to be resized
        pipeline=dataclasses.replace(base.pipeline, batch_size=96),
        optimizer=dataclasses.replace(base.optimizer, learning_rate=0.05, ema_momentum=0.99),
        **{"checkpoint": CheckpointConfig(every_steps=6), **changes},
    )


def kill_at_random(chosen: random.Random, seconds: float, kills: int) -> str:
    """Has this process killed: at any time, some time after its first checkpoint, or while one is written.

    At the latest when the report is to be written: no kill comes to nothing. Many share the time and the checkpoints.
    """
    write, flush = checkpoints.CheckpointFolder.write, checkpoints._flush
    share = 1 if kills <= 2 else 1 / kills
    delay, flushes = chosen.uniform(0, 0.8 * seconds), chosen.randrange(int(60 * share))

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def start(delay):
        timer = threading.Timer(delay, kill)
        timer.daemon = True
        timer.start()

    def flush_or_die(path):
        nonlocal flushes
        flushes -= 1
        if flushes < 0:
            kill()
        flush(path)

    def write_and_start(self, *arguments, **keywords):
        checkpoints.CheckpointFolder.write = write
        start(delay * share)
        return write(self, *arguments, **keywords)

    training.write_report = lambda *_: kill()
    way = chosen.choice(["from the start", "after the first checkpoint", "in a checkpoint"])
    if way == "from the start":
        start(delay)
    elif way == "after the first checkpoint":
        checkpoints.CheckpointFolder.write = write_and_start
    else:
        checkpoints._flush = flush_or_die
        return f"killed at flush {flushes}"
    return f"killed {delay if way == 'from the start' else delay * share:.2f} s {way}"


def changed(text: str) -> TrainConfig:
    """The configuration with more checkpoints to be killed at, and with some fields changed, as JSON tells them."""

    def merge(tree: dict, changes: dict) -> dict:
        return tree | {
            name: merge(tree[name], value) if isinstance(value, dict) else value for name, value in changes.items()
        }

    often = config(checkpoint=CheckpointConfig(every_steps=2))
    return TrainConfig.from_json(json.dumps(merge(json.loads(often.to_json()), json.loads(text))))


def attempt(folder: Path, to_train: TrainConfig, chosen: random.Random | None, seconds: float, kills: int) -> int:
    """Trains, or resumes where there is something to resume, in a forked process; returns its wait status."""
    plan = chosen and random.Random(chosen.random())
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        how = kill_at_random(plan, seconds, kills) if plan else "to the end"
        begun = (folder / "config.json").is_file()
        print(f"{folder.name}: {'resume' if begun else 'train'}, {how}", flush=True)
        console = Console(file=io.StringIO())
        _ = resume(folder, console=console) if begun else train(to_train, folder, console=console)
        code = 0
    finally:
        os._exit(code)


def main(folder: Path, runs: int, kills: int, changes: str = "{}") -> None:
    began, to_train = time.perf_counter(), changed(changes)
    assert attempt(folder / "undisturbed", to_train, None, 0, 0) == 0
    seconds = time.perf_counter() - began
    for number in range(runs):
        chosen = random.Random(number)
        for _ in range(kills):
            status = attempt(folder / str(number), to_train, chosen, seconds, kills)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        assert attempt(folder / str(number), to_train, None, 0, 0) == 0
        print(f"{number}: done after {kills} kills", flush=True)


if __name__ == "__main__":
    sys.modules["killed_training"] = sys.modules[__name__]
    with tiny_registered():
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
