"""From a file to pixels: photographs are turned upright wherever files are read."""

import dataclasses
import io
import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from training_helpers import tiny_config, with_pipeline

from keras_inception.tflite.pictures import fitting
from keras_inception.tflite.pictures import orientation as exported
from keras_inception.training import Run, pack, scan, write_arrays
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.decode import cut, decode, decode_bytes, decode_bytes_window
from keras_inception.training.data.orientation import orientation
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline import preparing
from keras_inception.training.pipeline.crops import crops
from keras_inception.training.pipeline.preparing import cached, evaluation_batches, prepare
from keras_inception.training.pipeline.training import training_batches
from keras_inception.training.runs import folder as run_folder


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


# ---- strips


@pytest.mark.parametrize("crops_count", [1, 10, 144])
@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
@pytest.mark.parametrize("length", [1000, 1001])
def test_of_a_strip_the_same_is_seen_as_if_all_of_it_were_resized(monkeypatch, crops_count, turned, length):
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3, image_size=32))
    order = np.random.default_rng(0)
    strip = tf.image.resize(order.uniform(0, 255, (20, 60, 3)), (40, length), "bicubic").numpy().clip(0, 255)
    strip = tf.constant(np.swapaxes(strip, 0, 1) if turned else strip, tf.uint8)

    def seen() -> np.ndarray:
        views = prepare(strip, config)[None] if crops_count == 1 else crops(strip, config, crops_count)
        return views.numpy().astype(float)

    found = seen()
    monkeypatch.setattr(preparing, "_LONGEST", 100)
    # The place of a crop is rounded to whole pixels of the resized strip, so that half a pixel may lie between the two.
    assert np.abs(found - seen()).mean() < (1 if crops_count == 1 else 3)


@pytest.mark.parametrize("crops_count", [1, 144])
def test_a_strip_of_five_thousand_pixels_takes_little_memory(crops_count):
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3, image_size=96))
    strip = tf.zeros((1, 5000, 3), tf.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if crops_count == 1:
        prepare(strip, config)
    else:
        crops(strip, config, crops_count)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


# ---- read alike by the exported network's reader


def picture_files() -> dict[str, bytes]:
    """A picture of every mode and some proportions, by a name for it."""
    rows, columns = np.mgrid[0:45, 0:60]
    pixels = np.stack([rows * 5, columns * 4, 255 - rows * 2 - columns * 2], axis=-1).astype(np.uint8)
    colour = Image.fromarray(pixels)
    clear = colour.copy()
    clear.putalpha(Image.fromarray((columns * 4).astype(np.uint8)))
    palette = colour.quantize(16)
    transparent = palette.copy()
    transparent.info["transparency"] = 3
    deep = Image.fromarray((rows * 1400).astype(np.uint16))
    strip = Image.fromarray(np.arange(5000, dtype=np.uint16).astype(np.uint8).reshape(1, -1).repeat(1, 0))
    files = {
        "grey.png": colour.convert("L"), "grey.jpg": colour.convert("L"), "bits.png": colour.convert("1"),
        "colour.png": colour, "colour.jpg": colour, "alpha.png": clear, "grey alpha.png": clear.convert("LA"),
        "palette.png": palette, "transparent.png": transparent, "deep.png": deep, "cmyk.jpg": colour.convert("CMYK"),
        "wide.png": strip, "tall.png": strip.transpose(Image.Transpose.ROTATE_90), "colour.webp": colour,
        "alpha.webp": clear, "colour.bmp": colour, "colour.gif": colour, "one.png": colour.crop((0, 0, 1, 1)),
    }  # fmt: skip
    encoded = {}
    for name, image in files.items():
        buffer = io.BytesIO()
        Image.Image.save(image, buffer, {"jpg": "JPEG"}.get(name[-3:], name.rpartition(".")[2].upper()))
        encoded[name] = buffer.getvalue()
    return encoded | {f"held {kind}.jpg": photo(kind, (40, 24)) for kind in (1, 6, 8)}


PICTURES = picture_files()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PICTURES)
def test_training_and_the_exported_reader_see_the_same_picture(name: str, channels: int, tmp_path: Path):
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=channels, image_size=32))
    if name == "alpha.webp":  # TensorFlow does not read it: training leaves it out and names it
        with pytest.raises(tf.errors.InvalidArgumentError, match="channels"):
            fitting.decode(tf.constant(PICTURES[name]), (32, 32, channels))
        (tmp_path / name).write_bytes(PICTURES[name])
        assert decode(str(tmp_path / name), channels)[1] == "a variant that TensorFlow does not read"
        return
    found = prepare(decode_bytes(tf.constant(PICTURES[name]), channels), config).numpy()
    expected = fitting.decode(tf.constant(PICTURES[name]), (32, 32, channels)).numpy()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 501), (501, 2), (3, 1000), (7, 503)])
def test_training_and_the_exported_reader_cut_strips_alike(shape: tuple[int, int]):
    """Cutting the ends off a strip, an odd number of pixels too, moves its centre in neither."""
    picture = tf.constant(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    config = dataclasses.replace(
        tiny_config(), model=dataclasses.replace(tiny_config().model, channels=3, image_size=32)
    )
    found = prepare(picture, config).numpy().astype(int)
    assert np.abs(found - fitting.fit(picture, (32, 32, 3)).numpy()).max() <= 1


# ---- what is kept in memory


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_images_in_memory_are_cropped_once(tmp_path: Path, cache_mb: int):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 16, 16, 1), np.uint8)
    data = write_arrays(tmp_path / "noise", pixels, np.arange(40) % 2)
    config = with_pipeline(tiny_config(data), cache_mb=cache_mb, central_crop=0.5, augment=AugmentConfig())
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=16))
    images = open_splits(config).train
    expected = np.stack([prepare(tf.constant(picture), config).numpy() for picture in images.pixels])
    [(found, _)] = evaluation_batches(cached(images, config), config, 100).as_numpy_iterator()
    np.testing.assert_array_equal(found, expected)
    trained = {picture.tobytes() for batch, _ in training_batches(images, config, 2) for picture in batch.numpy()}
    assert trained <= {picture.tobytes() for picture in expected}


def test_pixels_are_shared_and_not_copied(tmp_path: Path):
    data = write_arrays(tmp_path / "noise", np.zeros((40, 16, 16, 1), np.uint8), np.arange(40) % 2)
    config = with_pipeline(tiny_config(data), augment=AugmentConfig())
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=16))
    images = open_splits(config).train
    assert cached(images, config) is images
    smaller = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=8))
    folder = with_pipeline(tiny_config(f"folder:{held(tmp_path / 'photos')}"), max_bad_share=0.5)
    folder = dataclasses.replace(folder, model=dataclasses.replace(folder.model, channels=3))
    whole = cached(open_splits(folder).train, folder, whole=True)
    for array, tensor in [
        *((kept.pixels, kept.tensor) for kept in (images, images.subset(np.arange(7)), cached(images, smaller))),
        (whole.values, whole.tensors[0]),
    ]:
        array[...] = 7
        assert int(tf.reduce_min(tensor)) == 7


# ---- data that changed


@pytest.mark.parametrize("kind", ["array", "folder", "tfrecord"])
def test_a_run_notices_other_pictures_under_the_same_names(tmp_path: Path, kind: str):
    def write(shade: int) -> str:
        if kind == "array":
            return write_arrays(tmp_path / "data", np.full((40, 8, 8, 1), shade, np.uint8), np.arange(40) % 2)
        for i in range(40):
            (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.random.default_rng(shade * 40 + i).integers(0, 256, (8, 8, 3), np.uint8))
            picture.crop((0, 0, 8, shade)).save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png")
        if kind == "tfrecord":
            pack(f"folder:{tmp_path / 'photos'}", tmp_path / "packed", shuffle_seed=None, overwrite=True)
            return f"tfrecord:{tmp_path / 'packed'}"
        return f"folder:{tmp_path / 'photos'}"

    config = tiny_config(write(7))
    splits = open_splits(config)
    run = Run(tmp_path / "run", config, splits.class_names, splits)
    run_folder.begin(run)
    assert Run.open(run.folder).splits.train.names == splits.train.names
    write(6)
    with pytest.raises(ValueError, match="A run's data must be what it was trained on"):
        _ = Run.open(run.folder).splits
    recorded = run.read_json("data.json")
    for split in recorded["splits"].values():
        del split["content"]
    run.write_json("data.json", recorded)  # a run from before content was recorded
    assert Run.open(run.folder).splits.train.names == splits.train.names
