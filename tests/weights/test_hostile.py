"""Damaged and hostile files: refused with one sentence; nothing is run, changed, or written elsewhere."""

import json
import pickle
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from foreign import write_safetensors, write_slim
from hostile import SMALL, refused
from PIL import Image

import keras_inception as ki
from keras_inception import weights
from keras_inception.preprocessing import Preprocessing
from keras_inception.weights import WeightsError, pictures, readers
from keras_inception.weights.slots import slots


@pytest.fixture(scope="module")
def timm() -> dict[str, np.ndarray]:
    """The tensors of timm's MobileNet v1 for the small model."""
    from keras_inception.weights import pytorch

    tensors = {}
    for slot in slots(ki.MobileNetV1(**SMALL)):
        name = pytorch.MOBILENET_V1.modules[slot.layer] + pytorch.LAYOUT.suffixes(slot)[0]
        value = np.asarray(slot.variable)
        backwards = {"conv": (3, 2, 0, 1), "depthwise": (2, 3, 0, 1), "dense": (1, 0)}
        tensors[name] = np.ascontiguousarray(value.transpose(backwards[slot.kind]) if slot.name == "kernel" else value)
    return tensors


def test_the_good_files_load(model, own, timm, tmp_path):
    for path in own.values():
        weights.load_weights(model, path)
    write_safetensors(tmp_path / "timm.safetensors", timm)
    weights.load_weights(model, tmp_path / "timm.safetensors")


# Tensors that do not fit


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.pop("blocks.1.0.conv_pw.weight"), "none for 1 weights, the first 'block2_conv/kernel'"),
        (lambda t: t.pop("classifier.bias"), "no weights for the classifiers 'predictions'"),
        (lambda t: t.update({"surprise.weight": np.zeros(3, "float32")}), "1 that do not, the first 'surprise.weight'"),
        (lambda t: t.update({"bn1.weight": np.zeros(7, "float32")}), r"shape \(8,\)"),
        (lambda t: t.update({"classifier.weight": np.zeros((11, 256), "float32")}), "'classifier.weight' of the shape"),
        (lambda t: t.update({"bn1.bias": np.zeros(8, "int32")}), "floating-point numbers"),
        (lambda t: t.update({"bn1.bias": np.full(8, np.nan, "float32")}), "NaN or infinity in 'bn1.bias'"),
        (lambda t: t.update({"bn1.bias": np.full(8, np.inf, "float32")}), "NaN or infinity in 'bn1.bias'"),
        (lambda t: t.clear(), "names in a weights file"),
    ],
    ids=["missing", "no top", "unknown", "vector shape", "classes", "dtype", "nan", "infinity", "empty"],
)
def test_tensors_that_do_not_fit(model, timm, tmp_path, change, match):
    tensors = dict(timm)
    change(tensors)
    write_safetensors(tmp_path / "bad.safetensors", tensors)
    refused(model, tmp_path / "bad.safetensors", match)


def test_half_precision_is_read(model, timm, tmp_path):
    write_safetensors(tmp_path / "half.safetensors", {name: value.astype("float16") for name, value in timm.items()})
    weights.load_weights(model, tmp_path / "half.safetensors")


def test_weights_of_another_network(own):
    refused(ki.MobileNetV2(alpha=0.35, input_shape=(32, 32, 3), classes=10), own["safetensors"])


# Damage


@pytest.mark.parametrize("to", ["safetensors", "h5"])
def test_every_truncation_is_refused(model, own, tmp_path, to):
    content = own[to].read_bytes()
    path = tmp_path / own[to].name
    for length in [0, 1, 7, 8, 9, 100, *np.linspace(200, len(content) - 1, 8).astype(int)]:
        path.write_bytes(content[:length])
        refused(model, path)


def test_every_flipped_bit_of_our_safetensors_is_found(model, own, tmp_path):
    content = own["safetensors"].read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    rng = np.random.default_rng(0)
    positions = {*range(8), *rng.integers(8, header, 25), *rng.integers(header, len(content), 25), len(content) - 1}
    word = content.index(b'"format"')
    positions |= {*range(word, word + len('"format":"keras-inception"'))}  # what says that the file is ours
    path = tmp_path / "flipped.safetensors"
    for position in sorted(int(p) for p in positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises((ValueError, FileNotFoundError)):
            weights.load_weights(model, path)


def test_flipped_bits_of_the_values_in_our_hdf5_are_found(model, own, tmp_path):
    content = own["h5"].read_bytes()
    with h5py.File(own["h5"]) as file:
        places = []
        file.visititems(
            lambda _, item: places.append((item.id.get_offset(), item.nbytes)) if hasattr(item, "shape") else None
        )
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.h5"
    for offset, size in rng.permutation(places)[:15]:
        damaged = bytearray(content)
        damaged[int(offset + rng.integers(size))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        refused(model, path)


def as_slim_names_them(model) -> dict[str, np.ndarray]:
    """The weights of a MobileNet v1 as TF-Slim's checkpoints hold them."""
    from keras_inception.weights import slim

    tensors = {}
    for slot in slots(model):
        name = slim.MOBILENET_V1.modules[slot.layer] + slim.LAYOUT.suffixes(slot)[0]
        value = np.asarray(slot.variable)
        tensors[name] = value[None, None] if slot.kind == "dense" and slot.name == "kernel" else value
    return tensors


def test_as_many_features_as_classes_and_one_are_no_background_class(tmp_path):
    model = ki.MobileNetV1(alpha=0.25, input_shape=(32, 32, 3), classes=255)  # on 256 features
    prefix = write_slim(tmp_path / "own.ckpt", as_slim_names_them(model), single_file=True)
    loaded = ki.MobileNetV1(alpha=0.25, input_shape=(32, 32, 3), classes=255, weights=prefix)
    np.testing.assert_array_equal(loaded.layers[-2].kernel, model.layers[-2].kernel)


def test_flipped_bits_of_a_checkpoint_are_found(tmp_path):
    model = ki.MobileNetV1(alpha=0.25, input_shape=(32, 32, 3))
    tensors = as_slim_names_them(model)
    rng = np.random.default_rng(0)
    for single_file in (False, True):
        prefix = write_slim(tmp_path / f"single_{single_file}.ckpt", tensors, single_file=single_file)
        weights.load_weights(model, prefix)
        data = prefix if single_file else prefix.with_name(prefix.name + ".data-00000-of-00001")
        content = data.read_bytes()
        for position in rng.integers(0, len(content), 6):
            damaged = bytearray(content)
            damaged[position] ^= 1
            data.write_bytes(damaged)
            with pytest.raises(WeightsError):
                weights.load_weights(model, prefix)


# Hostility


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.write_text, (self.target, "ran"))


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.h5", "model.safetensors"])
def test_a_pickle_is_never_run(model, tmp_path, name):
    target = tmp_path / "ran.txt"
    (tmp_path / name).write_bytes(pickle.dumps({"conv1.weight": Bomb(target)}))
    with pytest.raises((WeightsError, ImportError)):
        weights.load_weights(model, tmp_path / name)
    assert not target.exists()


def test_links_in_hdf5_are_not_followed(model, own, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.zeros((3, 3, 3, 8), "float32")
    for link in (h5py.ExternalLink(str(secret), "kernel"), h5py.SoftLink("/bn1/beta")):
        path = tmp_path / "linked.h5"
        path.write_bytes(own["h5"].read_bytes())
        with h5py.File(path, "a") as file:
            del file["conv1_conv/kernel"]
            file["conv1_conv/kernel"] = link
        refused(model, path, "holds no links")


def test_data_of_other_files_in_hdf5_is_not_read(model, own, tmp_path):
    (tmp_path / "raw.bin").write_bytes(bytes(3 * 3 * 3 * 8 * 4))
    layout = h5py.VirtualLayout((3, 3, 3, 8), "float32")
    for kind in ("external", "virtual"):
        path = tmp_path / f"{kind}.h5"
        path.write_bytes(own["h5"].read_bytes())
        with h5py.File(path, "a") as file:
            del file["conv1_conv/kernel"]
            if kind == "external":
                raw = [(str(tmp_path / "raw.bin"), 0, h5py.h5f.UNLIMITED)]
                file["conv1_conv"].create_dataset("kernel", (3, 3, 3, 8), "float32", external=raw)
            else:
                layout[:] = h5py.VirtualSource(str(own["h5"]), "conv1_conv/kernel", (3, 3, 3, 8))
                file["conv1_conv"].create_virtual_dataset("kernel", layout)
        refused(model, path, "lies in another file")


@pytest.mark.parametrize("shape", [(2**20, 2**20), (2**62,), (3, 3, 3, 8)])
def test_a_shape_bomb_in_hdf5_is_not_allocated(model, own, tmp_path, shape):
    path = tmp_path / "bomb.h5"
    path.write_bytes(own["h5"].read_bytes())
    with h5py.File(path, "a") as file:
        del file["conv1_conv/kernel"]
        chunks = tuple(min(side, 1024) for side in shape)
        file["conv1_conv"].create_dataset("kernel", shape, "float32", chunks=chunks)
    refused(model, path, "declared and empty|at most 2 GiB")


def safetensors_with_header(path: Path, header: dict, data: bytes, length: int | None = None) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


@pytest.mark.parametrize(
    "lie",
    [
        {"conv1.weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**15]}},
        {"conv1.weight": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}},
        {"conv1.weight": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}},
        {"conv1.weight": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}},
        {"conv1.weight": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}},
        {"conv1.weight": {"dtype": "X9", "shape": [4], "data_offsets": [0, 16]}},
    ],
)
def test_a_header_that_lies_is_refused(model, tmp_path, lie):
    safetensors_with_header(tmp_path / "lie.safetensors", lie, bytes(16))
    refused(model, tmp_path / "lie.safetensors")


@pytest.mark.parametrize("length", [0, 2**63, 10**9])
def test_a_header_of_a_lying_length_is_refused(model, tmp_path, length):
    safetensors_with_header(tmp_path / "lie.safetensors", {}, bytes(16), length)
    refused(model, tmp_path / "lie.safetensors")


def test_what_is_no_weights_file(model, tmp_path):
    for name, content in [("page.h5", b"<html>not found</html>"), ("empty.h5", b""), ("text", b"hello world, hello")]:
        (tmp_path / name).write_bytes(content)
        refused(model, tmp_path / name, "starts like none of them")
    with pytest.raises(FileNotFoundError):
        weights.load_weights(model, tmp_path / "nothing.h5")
    with pytest.raises(ValueError, match="weights must be None, 'imagenet', the tag"):
        weights.load_weights(model, "no/such_tag")


def test_a_damaged_caffemodel_is_refused(tmp_path):
    path = tmp_path / "bad.caffemodel"
    path.write_bytes(b"\x12\xff\xff\xff\xff\x0f not a net")
    refused(ki.InceptionV1(variant="paper", alpha=0.25, classes=10), path, "damaged")


def test_a_damaged_picture_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (40, 30)).save(path)
    content = path.read_bytes()
    assert pictures.read(path, Preprocessing(size=8)).shape == (8, 8, 3)
    for damaged in (content[:50], content[:20], content[:29] + bytes(4) + content[33:], content[:37] + bytes(8)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a file that Pillow reads. Received: .*picture.png") as caught:
            pictures.read(path, Preprocessing(size=8))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"absent.png"):
        pictures.read(tmp_path / "absent.png", Preprocessing(size=8))


def test_the_error_of_a_missing_library_is_one_sentence(model, tmp_path, monkeypatch):
    (tmp_path / "model.pth").write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setattr(readers, "require", refuse)
    with pytest.raises(ImportError, match="needs torch"):
        weights.load_weights(model, tmp_path / "model.pth")


def refuse(module: str, package: str, purpose: str):
    raise ImportError(f"{purpose} needs {package}: pip install {package}.")
