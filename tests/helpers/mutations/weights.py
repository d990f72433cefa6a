"""Weights in every container: of a network of three layers with MobileNet v1's names, and of two with GoogLeNet's."""

import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("one", "two", "three", "four", "five")


@cache
def _network(*names: str) -> Any:
    import keras

    rng = np.random.default_rng(0)
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name=names[0], use_bias=len(names) == 2)(pixels)
    if len(names) == 3:
        x = keras.layers.BatchNormalization(name=names[1], epsilon=1e-5)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, keras.layers.Dense(len(CLASSES), name=names[-1])(x), name="small")
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in model.weights])
    return model


def mobile() -> Any:
    return _network("conv1_conv", "conv1_bn", "predictions_logits")


def caffe() -> Any:
    return _network("conv1_conv", "predictions_logits")


def read_weights(name: str, network: Callable[[], Any] = mobile) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        from keras_inception import weights

        weights.load_weights(network(), folder / name)
        values = network().get_weights()
        assert all(np.isfinite(value).all() for value in values)
        return [value.tobytes() for value in values]

    return read


def make_own(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from keras_inception import weights
        from keras_inception.weights.catalogue import get_weights

        weights.save_weights(mobile(), folder / name, source=get_weights("timm/mobilenetv1_100.ra4_e3600_r224_in1k"))

    return make


def make_keras(folder: Path) -> None:
    mobile().save_weights(folder / "model.weights.h5")


def make_legacy(folder: Path) -> None:
    import h5py
    import keras

    with h5py.File(folder / "model.h5", "w") as file:
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, mobile())


def make_model(folder: Path) -> None:
    mobile().save(folder / "model.keras")


def _foreign(converter: Any, kernel: Callable[[Any, Any], Any]) -> dict[str, np.ndarray]:
    from keras_inception.weights.slots import slots

    tensors = {}
    for slot in slots(mobile()):
        value = np.asarray(slot.variable)
        name = converter.modules[slot.layer] + converter.layout.suffixes(slot)[0]
        tensors[name] = np.ascontiguousarray(kernel(slot, value) if slot.name == "kernel" else value)
    return tensors


def make_timm(folder: Path) -> None:
    from foreign import write_safetensors

    from keras_inception.weights.pytorch import MOBILENET_V1

    order = {"conv": (3, 2, 0, 1), "dense": (1, 0)}
    tensors = _foreign(MOBILENET_V1, lambda slot, value: value.transpose(order[slot.kind]))
    write_safetensors(folder / "model.safetensors", tensors)


def make_slim(single_file: bool) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        from foreign import write_slim

        from keras_inception.weights.slim import MOBILENET_V1

        tensors = _foreign(MOBILENET_V1, lambda slot, value: value[None, None] if slot.kind == "dense" else value)
        write_slim(folder / "model.ckpt", tensors, single_file=single_file)

    return make


def make_caffemodel(folder: Path) -> None:
    from keras_inception.weights import caffemodel
    from keras_inception.weights.caffe import GOOGLENET

    net = caffemodel.net_parameter()()
    for layer in ("conv1_conv", "predictions_logits"):
        kernel, bias = caffe().get_layer(layer).get_weights()
        message = net.layer.add(name=GOOGLENET.modules[layer])
        for array in (kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T, bias):
            message.blobs.add(data=array.ravel()).shape.dim.extend(array.shape)
    (folder / "model.caffemodel").write_bytes(net.SerializeToString())


def make_archive(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        make_legacy(folder)
        member, path = folder / "model.h5", folder / name
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(member, "weights/model.h5")
        else:
            with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as archive:
                archive.add(member, "weights/model.h5")
        member.unlink()

    return make
