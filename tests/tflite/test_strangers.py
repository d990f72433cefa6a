"""Real photographs: a classifier of 17 flowers tells what is no flower, in float and in int8."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.photos.heads import fit_head
from keras_inception.tflite.running.litert import LiteRTModel

SIDE, EACH = 128, 24


def read(paths: list[Path], interpolation: str = "bilinear") -> np.ndarray:
    def square(path: Path) -> np.ndarray:
        picture = tf.io.decode_image(path.read_bytes(), channels=3, expand_animations=False)
        return tf.image.resize_with_crop_or_pad(picture, *[min(picture.shape[:2])] * 2)

    resized = [tf.image.resize(square(path), (SIDE, SIDE), interpolation, antialias=True) for path in paths]
    return np.clip(np.rint(np.stack(resized)), 0, 255).astype(np.uint8)


def flowers(folder: Path, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    chosen = [(path, label) for label, place in enumerate(classes) for path in sorted(place.iterdir())[begin:end]]
    return read([path for path, _ in chosen]), np.array([label for _, label in chosen])


@pytest.mark.slow
def test_strangers_are_told_in_float_and_int8(shared: Path, tmp_path: Path):
    data = shared / "data"
    images, labels = flowers(data / "flowers17" / "train", 0, EACH)
    held_out, friends = (
        flowers(data / "flowers17" / "train", EACH, EACH + 10),
        flowers(data / "flowers17" / "validation", 0, 10),
    )
    objects = read(sorted((data / "imagenet_sample").glob("*.jpg")))
    stamps = read(
        [path for place in sorted((data / "cifar10" / "test").iterdir()) for path in sorted(place.iterdir())[:10]]
    )

    weights = shared / "weights" / "mobilenet_v2_1.0_224.h5"
    released = ki.MobileNetV2(weights=str(weights), input_shape=(SIDE, SIDE, 3), include_preprocessing=True)
    features = released.get_layer("predictions_logits").input
    trunk = keras.Model(released.inputs[0], features)
    head = fit_head(np.asarray(trunk.predict(images.astype("float32"), verbose=0)), labels, 17)
    kernel = head.kernel / head.scale[:, None] * 10
    dense = keras.layers.Dense(17, name="flowers_logits")
    model = keras.Model(trunk.inputs[0], keras.layers.Softmax(name="predictions")(dense(features)))
    dense.set_weights([kernel, head.bias * 10 - head.mean @ kernel])

    found = kt.familiarity(model, [(images, labels)], [held_out[0]])
    export = kt.export(
        model, tmp_path / "out", modes=("float32", "int8"), saved_model=False, calibration=images[::4],
        familiarity=found, rounding="nearest",
    )  # fmt: skip
    areas = {}
    for mode in ("float32", "int8"):
        file = LiteRTModel(export.files[mode])
        known, *strange = (file.answers(some)["unfamiliar"].ravel() for some in (friends[0], objects, stamps))
        truth = np.repeat([0, 1], [len(known), len(objects) + len(stamps)])
        areas[mode] = roc_auc_score(truth, np.concatenate([known, *strange]))
        assert (known > 1).mean() < 0.15
    assert areas["float32"] >= 0.95
    assert areas["int8"] == pytest.approx(areas["float32"], abs=0.02)
