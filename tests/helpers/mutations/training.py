"""What training reads: data, run folders, pictures."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mutations.weights import CLASSES, mobile


class RefusedError(Exception):
    """A verdict that the project gives without an error."""


def _config(data: str) -> Any:
    from training_helpers import tiny_config

    return tiny_config(data)


def _listed(splits: Any) -> Any:
    """What a data set holds: labels, weights and names of each part, the pictures to train on, the classes."""
    from keras_inception.training.pipeline.preparing import cached

    parts = []
    for images in (splits.train, splits.validation, splits.test):
        parts += [images.labels.tobytes(), None if images.weights is None else images.weights.tobytes(), images.names]
    return [*parts, cached(splits.train, _config("digits")).pixels.tobytes(), splits.class_names]


def read_data(kind: str, name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from keras_inception.training.data.sources import open_splits

        return _listed(open_splits(_config(f"{kind}:{folder / name}")))

    return read


def make_arrays(folder: Path) -> None:
    from keras_inception.training.data.arrays import write_arrays

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, 6, 6, 1), np.uint8), np.arange(24) % 3
    weights = np.linspace(0.5, 1, 24)
    write_arrays(folder / "data.npz", images, labels, class_names=CLASSES[:3], weights=weights)


def make_packed(folder: Path) -> None:
    from training_helpers import write_digits

    from keras_inception.training.data.packing import pack

    write_digits(folder / "images", classes=3, each=6)
    pack(f"folder:{folder / 'images'}", folder / "packed")
    shutil.rmtree(folder / "images")


def make_run(folder: Path) -> None:
    from keras_inception.training.data.sources import open_splits
    from keras_inception.training.runs import folder as run_folder
    from keras_inception.training.runs.run import Run

    config = _config("digits")
    splits = open_splits(config)
    run = Run(folder / "run", config, splits.class_names, splits)
    run_folder.begin(run)
    run.write_json("metrics.json", {"epochs": 2, "best_epoch": 1, "validation_accuracy": 0.5, "test_loss": 1.5})
    (run.folder / "history.csv").write_text("epoch,loss,val_loss\n1,2.5,2.25\n2,1.5,2.5\n", "utf-8")


def read_run(folder: Path) -> Any:
    from keras_inception.training.runs.history import read_history
    from keras_inception.training.runs.run import Run

    run = Run.open(folder / "run")
    run.config.validate()
    read = [run.read_json(name) for name in ("metrics.json", "environment.json")]
    described = {split: run.splits.describe(split) for split in ("train", "validation", "test")}
    return repr([run.config, run.class_names, *read, read_history(run.folder / "history.csv"), described])


def make_best(folder: Path) -> None:
    make_run(folder)
    run = folder / "run"
    (run / "class_names.txt").write_text("".join(f"{name}\n" for name in CLASSES), "utf-8")
    mobile().save(run / "checkpoints" / "best.keras")
    for path in run.glob("*.*"):
        if path.name not in ("config.json", "class_names.txt"):
            path.unlink()


def read_best(folder: Path) -> Any:
    from keras_inception.training.runs.run import Run

    model = Run.open(folder / "run").model()
    return [[value.tobytes() for value in model.get_weights()], json.dumps(model.get_config(), default=str)]


def make_state(folder: Path) -> None:
    from keras_inception.training.engine.checkpoints import CheckpointFolder, Place, values

    places = CheckpointFolder(folder / "state", keep=2)
    places.write(Place(1, 0), values({"network": mobile().variables}), {"seed": 1, "history": [{"loss": 1.5}]})


def read_state(folder: Path) -> Any:
    from keras_inception.training.engine.checkpoints import CheckpointFolder

    told: list[str] = []
    newest = CheckpointFolder(folder / "state", keep=2).newest(told.append)
    if newest is None:
        assert len(told) == 1 and "\n" not in told[0]
        raise RefusedError(told[0])
    newest.read({"network": mobile().variables})
    return [newest.state, [value.tobytes() for value in mobile().get_weights()]]


ON_ITS_SIDE = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # EXIF's orientation 6


def make_picture(name: str, **options: Any) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from PIL import Image

        y, x = np.mgrid[0:24, 0:32]
        pixels = np.stack([x * 8, y * 10, (x * y) % 256], -1).astype(np.uint8)
        picture, turned = Image.fromarray(pixels), Image.fromarray(pixels[::-1])
        if name.endswith("gif"):
            options.update(save_all=True, append_images=[turned])
        (folder / "class").mkdir(exist_ok=True)
        picture.save(folder / "class" / name, **options)

    return make


@cache
def _predictor() -> Any:
    import keras

    from keras_inception.tflite import Predictor

    pixels = keras.Input((16, 16, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, -1)(pixels))
    logits = keras.layers.Dense(5, name="predictions_logits")(features)
    return Predictor(keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(logits)))


def _tried(read: Callable[[], np.ndarray]) -> Any:
    """What one reader of pictures makes of a file; its error, where that is one of the project's."""
    try:
        return read().tobytes()
    except ValueError as error:
        if "Received: " not in str(error) or "\n" in str(error) or isinstance(error, UnicodeError):
            raise
        return str(error)


def read_picture(folder: Path) -> Any:
    import tensorflow as tf

    from keras_inception.preprocessing import get_preprocessing
    from keras_inception.training.data import decode
    from keras_inception.training.data.scanning import scan
    from keras_inception.weights import pictures

    (path,) = (folder / "class").iterdir()
    pixels, reason = decode.decode(str(path), 3)
    grey, grey_reason = decode.decode(str(path), 1)
    found = scan(folder)
    assert (found.usable == 1) == (pixels is not None) == (grey is not None), (reason, grey_reason, found)
    others = [
        _tried(lambda: _predictor().prepare(path)),
        _tried(lambda: pictures.read(path, get_preprocessing("inception"), 16)),
    ]
    if pixels is None:
        raise RefusedError(reason)
    content = tf.constant(path.read_bytes())
    part = decode.decode_bytes_window(content, 3, lambda size: tf.concat([size // 4, tf.maximum(size // 2, 1)], 0), 4)
    return [pixels.shape, pixels.tobytes(), part.numpy().tobytes(), *others]
