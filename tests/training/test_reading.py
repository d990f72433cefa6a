"""From a file to pixels: photographs are turned upright wherever files are read."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from training_helpers import tiny_config, with_pipeline

from keras_inception.tflite.pictures import orientation as exported
from keras_inception.training import pack, scan
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.decode import cut, decode_bytes, decode_bytes_window
from keras_inception.training.data.orientation import orientation
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline.preparing import evaluation_batches
from keras_inception.training.pipeline.training import training_batches


def photo(kind: int, size: tuple[int, int] = (160, 96), endian: str = "<") -> bytes:
    """A smooth picture of which no two corners are alike, held in a way of EXIF's; 0 for no such data."""
    order = np.random.default_rng(0)
    pixels = tf.image.resize(order.uniform(0, 255, (3, 4, 3)), size, "bicubic").numpy().clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F], exif[0x0112] = "Maker", kind
    file = io.BytesIO()
    options = {"exif": exif.tobytes()} if kind else {}
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0, **options)
    return file.getvalue()


def as_pillow_turns_it(content: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


@pytest.mark.parametrize("endian", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("kind", range(9))
def test_a_photograph_is_read_as_it_was_seen(kind: int, endian: str):
    content = photo(kind, endian=endian)
    found, expected = decode_bytes(tf.constant(content), 3).numpy(), as_pillow_turns_it(content)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 1.5  # TensorFlow decodes in fewer digits


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", range(1, 9))
def test_a_window_is_one_of_the_turned_picture(kind: int, factor: int):
    content = tf.constant(photo(kind))

    def window(shape: tf.Tensor) -> tf.Tensor:
        return tf.stack([shape[0] - 80, shape[1] - 88, 64, 80])

    part = decode_bytes_window(content, 3, window, 64 // factor).numpy().astype(float)
    whole = cut(decode_bytes(content, 3), window).numpy().astype(float)
    small = whole.reshape(64 // factor, factor, 80 // factor, factor, 3).mean((1, 3))
    assert part.shape == small.shape
    assert np.abs(part - small).mean() < 2


def test_both_rooms_that_read_exif_data_read_the_same():
    whole, plain = photo(6), photo(0)
    start = whole.index(b"Exif") - 4
    exif = whole[start : start + 2 + int.from_bytes(whole[start + 2 : start + 4], "big")]
    files = [photo(kind, (16, 16), endian) for kind in range(1, 9) for endian in "<>"]
    files += [whole[:cut] for cut in range(0, 80, 3)]
    files += [whole.replace(b"Exif", b"Exit"), plain, plain + exif, b"", b"\xff\xd8", b"Exif\0\0", b"\x89PNG Exif\0\0"]
    files += [plain[:20] + exif + plain[20:], plain[:2] + b"\xff\xff" + exif + plain[2:]]
    found = [int(orientation(tf.constant(content))) for content in files]
    assert found == [int(exported.orientation(tf.constant(content))) for content in files]
    assert found[-2:] == [6, 6]


def held(folder: Path) -> Path:
    """Two classes of the same pictures, in one of them held every way that there is."""
    for label, kinds in {"plain": [0] * 8, "turned": range(1, 9)}.items():
        (folder / label).mkdir(parents=True)
        for number, kind in enumerate(kinds):
            (folder / label / f"{number}.jpg").write_bytes(photo(kind, (24, 16)))
    return folder


@pytest.mark.parametrize("kind", ["folder", "tfrecord"])
@pytest.mark.parametrize("cache_mb", [0, 64])
def test_every_source_of_files_turns_them(tmp_path: Path, kind: str, cache_mb: int):
    place = held(tmp_path / "photos")
    if kind == "tfrecord":
        pack(f"folder:{place}", tmp_path / "packed", shuffle_seed=None)
        place = tmp_path / "packed"
    config = tiny_config(f"{kind}:{place}")
    config = with_pipeline(config, cache_mb=cache_mb, batch_size=1)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3, image_size=16))
    images = open_splits(config).train
    expected = {name.rsplit("/", 1)[-1]: i for i, name in enumerate(images.names) if "turned" in name}
    batches = [pixels.numpy()[0] for pixels, _ in evaluation_batches(images, config, 1)]
    shapes = [images.decode(handle).shape for _, handle in images.elements()]
    for name, index in expected.items():
        tall = int(name[0]) + 1 < 5
        assert shapes[index] == ((24, 16, 3) if tall else (16, 24, 3))
        upright = as_pillow_turns_it(photo(int(name[0]) + 1, (24, 16)))
        centre = upright[4:20] if tall else upright[:, 4:20]
        assert np.abs(batches[index] - centre).mean() < 6
    # The largest crop of chance is the whole picture, in the same proportions.
    augment = AugmentConfig(min_area=0.999, max_aspect=1.0)
    for pixels, _ in training_batches(images, with_pipeline(config, augment=augment), 2).take(2):
        assert pixels.shape == (1, 16, 16, 3)


def test_a_scan_takes_the_turned_picture_for_what_it_shows(tmp_path: Path):
    (tmp_path / "a").mkdir()
    content = photo(6, (24, 16))
    (tmp_path / "a" / "turned.jpg").write_bytes(content)
    stored = tf.io.decode_image(content, channels=3).numpy()
    Image.fromarray(np.rot90(stored, -1)).save(tmp_path / "a" / "upright.png")
    findings = scan(tmp_path).findings
    assert [(finding.kind, Path(finding.path).name) for finding in findings] == [("duplicate", "upright.png")]
