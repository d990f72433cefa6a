"""Writes checkpoints in the layouts of foreign sources, filled by the rule of tests/golden/README.md."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def tensor(name: str, shape: list[int], tensorflow: bool) -> np.ndarray:
    """The values of a tensor, which follow from its name and shape."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if "running_var" in name or "moving_variance" in name:
        values = rng.uniform(0.5, 1.5, shape)
    elif "running_mean" in name or "moving_mean" in name:
        values = rng.normal(0, 0.1, shape)
    elif len(shape) <= 1 and ("gamma" in name or name.endswith(".weight")):
        values = rng.uniform(0.8, 1.2, shape)
    elif len(shape) <= 1:
        values = rng.normal(0, 0.05, shape)
    else:
        fan_in = np.prod(shape[1:])
        if tensorflow:
            fan_in = shape[0] * shape[1] if "depthwise_weights" in name else np.prod(shape[:-1])
        values = rng.normal(0, 1, shape) * np.sqrt(2 / fan_in)
    return np.asarray(values, "float32")


class Golden:
    """A reference: its tensors, its input and its outputs."""

    def __init__(self, name: str) -> None:
        self.told = json.loads((GOLDEN / f"{name}.json").read_text())
        with np.load(GOLDEN / f"{name}.npz") as stored:
            self.outputs = dict(stored)
        self.tensorflow = self.told["source"] == "slim"

    def tensors(self) -> dict[str, np.ndarray]:
        return {name: tensor(name, shape, self.tensorflow) for name, shape in self.told["tensors"]}

    def images(self) -> np.ndarray:
        height, width = self.told["input_size"]
        return np.random.default_rng(7).uniform(-1, 1, (2, height, width, 3)).astype("float32")

    def checkpoint(self, folder: Path) -> Path:
        """Writes the tensors as the source's checkpoint."""
        if self.tensorflow:
            return write_slim(folder / "model.ckpt", self.tensors())
        path = folder / "model.safetensors"
        write_safetensors(path, self.tensors())
        return path


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, path)


def write_slim(prefix: Path, tensors: dict[str, np.ndarray], *, single_file: bool = False) -> Path:
    """Writes a checkpoint with TensorFlow 1's Saver, as index and data or as the single file of 2016."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable(name, value.shape, value.dtype) for name, value in tensors.items()]
        places = [v1.placeholder(value.dtype, value.shape) for value in tensors.values()]
        fill = [v1.assign(variable, place) for variable, place in zip(variables, places, strict=True)]
        session.run(fill, dict(zip(places, tensors.values(), strict=True)))
        version = v1.train.SaverDef.V1 if single_file else v1.train.SaverDef.V2
        saver = v1.train.Saver(variables, write_version=version)
        saver.save(session, str(prefix), write_meta_graph=False, write_state=False)
    return prefix
