"""Real digits and small Inception networks for the tests of the export."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.integers import Integers
from keras_inception.tflite.pictures.fitting import Fitting, decode
from keras_inception.tflite.running.litert import LiteRTModel

CLASSES = tuple(f"digit {index}" for index in range(10))


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 scans as pixels, uint8 [n, 32, 32, 1], and their labels."""
    data = load_digits()
    return np.kron(np.rint(data.images / 16 * 255), np.ones((1, 4, 4)))[..., None].astype(np.uint8), data.target


def photographs(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures named by their WordNet ids, as pixels, and their ImageNet classes, in a shuffled but fixed order."""
    known = [guesses[0].class_id for guesses in ki.decode_predictions(np.eye(1000), top=1)]
    paths = sorted(folder.glob("*.jpg"))
    paths = [paths[index] for index in np.random.default_rng(0).permutation(len(paths))]
    fitting = Fitting(central_crop=0.875)  # as the released networks are evaluated
    images = np.stack([decode(path.read_bytes(), (size, size, 3), fitting).numpy() for path in paths])
    return images, np.array([known.index(path.stem) for path in paths])


SIZE = {"classes": 10, "input_shape": (32, 32, 1), "stem": "low_resolution"}


def googlenet(variant: str = "slim", **options) -> keras.Model:
    """GoogLeNet at a quarter of its width, for what depends on all of its layers."""
    defaults = {"include_preprocessing": True, "aux_heads": True}
    return ki.InceptionV1(variant=variant, alpha=0.25, **SIZE, **{**defaults, **options})


def narrow(**options) -> keras.Model:
    """Two Inception modules with GoogLeNet's stem and heads: every kind of its layers, few of each."""
    defaults = {"include_preprocessing": True, "aux_heads": True}
    return ki.create_model("inception_cell", modules=2, width=128, **SIZE, **{**defaults, **options})


def take_statistics(model: keras.Model, count: int = 128) -> None:
    """Gives the batch normalisations the statistics of real digits, in one step instead of a training's many."""
    batch_norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [layer.momentum for layer in batch_norms]
    for layer in batch_norms:
        layer.momentum = 0.0
    model(digits()[0][:count].astype("float32"), training=True)
    for layer, momentum in zip(batch_norms, usual, strict=True):
        layer.momentum = momentum


@cache
def fitted(count: int = 300) -> keras.Model:
    """A network with an auxiliary head that tells digits apart, in seconds.

    The convolutions stay as initialised and the final classifier is fitted in closed form. Random layers amplify every
    rounding, so that its int8 file agrees less than that of a trained network does.
    """
    keras.utils.set_random_seed(0)
    model = narrow()
    take_statistics(model)
    fit_classifier(model, count)
    return model


def fit_classifier(model: keras.Model, count: int = 300) -> None:
    """Gives a network the logits that fit digits best, in closed form."""
    images, labels = digits()
    logits = model.get_layer("predictions_logits")
    features = answers(keras.Model(model.inputs[0], logits.input), images[:count]).astype("float64")
    mean, scale = features.mean(0), features.std(0) + 1e-9
    inputs = np.c_[(features - mean) / scale, np.ones(count)]
    targets = np.eye(10)[labels[:count]] * 10
    weights = np.linalg.solve(inputs.T @ inputs + 100 * np.eye(inputs.shape[1]), inputs.T @ targets)
    kernel = weights[:-1] / scale[:, None]
    logits.set_weights([kernel, weights[-1] - mean @ kernel])


def trained(epochs: int = 4) -> keras.Model:
    """GoogLeNet, really trained on 1,280 digits: a minute or two."""
    keras.utils.set_random_seed(0)
    model = googlenet()
    images, labels = digits()
    losses = dict.fromkeys(model.output, "sparse_categorical_crossentropy")
    model.compile(keras.optimizers.Adam(3e-3), losses, jit_compile=False)  # XLA would compile for minutes on a CPU
    targets = dict.fromkeys(model.output, labels[:1280])
    model.fit(images[:1280].astype("float32"), targets, batch_size=64, epochs=epochs, verbose=0)
    take_statistics(model, 256)  # the moving averages lag behind after 80 steps
    return model


def answers(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What a network answers to pixels; `predict` would compile it first, which takes longer."""
    outputs = model(images.astype("float32"), training=False)
    return np.asarray(outputs["predictions"] if isinstance(outputs, dict) else outputs)


def tiny(*, last: keras.layers.Layer | None = None, classes: int = 10) -> keras.Model:
    """A network that is exported in a second, for what has nothing to do with the network."""
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Flatten()(x)
    x = last(x) if last else x
    logits = keras.layers.Dense(classes, name="predictions_logits")(x)
    return keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(logits), name="tiny")


def colours() -> keras.Model:
    """A network of the mean colours of sixteen parts of a picture, for programs that take colours alone."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(x))
    x = keras.layers.Dense(10, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))(x)
    return keras.Model(pixels, keras.layers.Softmax(name="predictions")(x), name="colours")


def coloured(count: int) -> np.ndarray:
    """Pictures of sixteen colours each, uint8 [count, 32, 32, 3]."""
    parts = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3))
    return parts.repeat(8, 1).repeat(8, 2).astype(np.uint8)


def two_headed(seed: int = 0) -> keras.Model:
    """Convolution, batch norm, depthwise convolution and an auxiliary head: what exports differ by, in seven layers."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    x = keras.layers.Conv2D(8, 3, strides=4, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.DepthwiseConv2D(3)(x)
    features = keras.layers.Flatten()(x)
    outputs = {}
    for head in ("predictions", "aux1"):
        logits = keras.layers.Dense(10, name=f"{head}_logits")(features)
        outputs[head] = keras.layers.Activation("softmax", dtype="float32", name=head)(logits)
    model = keras.Model(pixels, outputs, name="two_headed")
    take_statistics(model, 64)
    return model


def fit_batch_norms(model: keras.Model, pictures: np.ndarray) -> None:
    """Gives the batch norms the statistics of the pictures, so that what is quantised is in a usual range."""
    batch_norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    usual = [layer.momentum for layer in batch_norms]
    for layer in batch_norms:
        layer.momentum = 0.0
    model(pictures.astype("float32"), training=True)
    for layer, momentum in zip(batch_norms, usual, strict=True):
        layer.momentum = momentum
        # On maps of one pixel some channels vary by next to nothing, which would magnify rounding without bound.
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(np.maximum(variance, variance.mean()))


def answer_steps(simulation: keras.Model, images: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The logits of the file and of the simulation, in steps of the last layer."""
    scale = float([layer for layer in simulation.layers if isinstance(layer, Integers)][-1].scale)
    export = kt.export(simulation, folder, saved_model=False, output="logits")
    logits = kt.deploy(simulation, output="logits")(images.astype("float32"))
    return LiteRTModel(export.files["int8"])(images) / scale, np.asarray(logits) / scale
