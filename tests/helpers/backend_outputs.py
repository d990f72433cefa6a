"""Writes the logits of networks under the Keras backend in force: `python backend_outputs.py OUT.npz NAME ...`.

The weights follow from their paths alone, so that every backend has the same ones. Run by `test_backends.py`.
"""

import inspect
import sys
import zlib

import keras
import numpy as np

import keras_inception as ki

NARROW = {"alpha": 0.25, "cardinality": 4}


def assign(model: keras.Model) -> None:
    """Gives a model weights that let a signal through and show what is forgotten, such as an epsilon or a mean."""
    for weight in model.weights:
        rng = np.random.default_rng(zlib.crc32(weight.path.encode()))
        if "seed" in weight.path:
            continue
        if len(weight.shape) > 1:
            fan_in = np.prod(weight.shape[:2] if "depthwise" in weight.path else weight.shape[:-1])
            values = rng.normal(0, np.sqrt(2 / fan_in), weight.shape)
        else:
            low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.1, 0.1)
            values = rng.uniform(low, high, weight.shape)
        weight.assign(values.astype("float32"))


def logits(name: str) -> np.ndarray:
    """The logits of a small form of a network for two images of noise."""
    entry = ki.get_entry(name)
    parameters = inspect.signature(entry.load_builder()).parameters
    narrow = {key: value for key, value in NARROW.items() if key in parameters}
    shape = (entry.min_size, entry.min_size, 3)
    model = ki.create_model(name, input_shape=shape, classes=10, classifier_activation=None, **narrow)
    assign(model)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype("float32")
    if keras.backend.backend() == "jax":  # which compiles: the network as a whole here, else each of its operations
        return model.predict_on_batch(images)
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(images), training=False))


def end_points() -> dict[str, np.ndarray]:
    """Outputs inside a small network, found by their names, for an image of noise."""
    model = ki.create_model("mobilenet_v1", alpha=0.25, input_shape=(32, 32, 3))
    assign(model)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    found = ki.features(model, ["block1", "global_pool"]).predict_on_batch(images)
    return {**found, "embedding": ki.embedding(model).predict_on_batch(images)}


def outputs(name: str) -> dict[str, np.ndarray]:
    """What is written under a name: a network's logits, or the end points."""
    if name == "end points":
        return {f"{name}/{key}": np.asarray(value) for key, value in end_points().items()}
    return {name: logits(name)}


if __name__ == "__main__":
    np.savez(sys.argv[1], **{key: value for name in sys.argv[2:] for key, value in outputs(name).items()})
