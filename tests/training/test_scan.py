"""Scanning folders, and training among damaged images: what is named, what is used, and what its pixels are."""

import dataclasses
import io
import json

import numpy as np
import pytest
from killed_training import tiny_registered, with_tiny
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits
from training_helpers import tiny_config, with_pipeline, write_digits

from keras_inception.cli import main
from keras_inception.training import pack, scan, train
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline.preparing import evaluation_batches


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture(seed: int = 0, size: tuple[int, int] = (32, 24)) -> Image.Image:
    """Two fields of colour and a white bar, which JPEG keeps well."""
    pixels = np.empty((*size, 3), np.uint8)
    pixels[:, : size[1] // 2], pixels[:, size[1] // 2 :] = [200, 40 + seed, 40], [30, 60, 220 - seed]
    pixels[size[0] // 3 : size[0] // 2] = 240
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One file of each kind, in train/, and what overlaps in validation/."""
    root = tmp_path_factory.mktemp("scan")
    a, b, held_out = root / "train" / "a", root / "train" / "b", root / "validation" / "a"
    for place in (a, b, held_out):
        place.mkdir(parents=True)
    whole = encoded(picture(0), "JPEG", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    grey16 = Image.fromarray(np.asarray(picture(1).convert("L")).astype(np.uint16) * 257)
    more = [picture(8), picture(9)]
    for path, content in {
        a / "whole.jpg": whole,
        a / "empty.png": b"",
        a / "text.jpg": b"not an image",
        a / "cut.jpg": whole[: len(whole) * 2 // 3],
        a / "cut.png": encoded(picture(2), "PNG")[:-20],
        a / "broken.png": encoded(picture(2), "PNG").replace(b"IDAT", b"IDAT\xff\xff", 1),
        a / "photo.tiff": encoded(picture(3), "TIFF"),
        a / "palette.bmp": encoded(picture(3).convert("P"), "BMP"),
        a / "png.jpg": encoded(picture(4), "PNG"),
        a / "cmyk.jpg": encoded(picture(5).convert("CMYK"), "JPEG", quality=95),
        a / "deep.png": encoded(grey16, "PNG"),
        a / "film.gif": encoded(picture(6), "GIF", save_all=True, append_images=more),
        a / "turned.jpg": encoded(picture(7), "JPEG", exif=turned),
        a / "again.jpg": whole,
        b / "conflict.bmp": encoded(picture(4), "BMP"),
        b / "wide.png": encoded(picture(10, (40, 60)), "PNG"),
        held_out / "overlap.gif": encoded(picture(6), "GIF"),
        a / "notes.txt": b"nobody's business",
    }.items():
        path.write_bytes(content)
    return root


def test_a_scan_names_everything(folder):
    result = scan(folder, large_megapixels=0.002)
    found = {(finding.kind, finding.path.rsplit("/", 1)[1]): finding.detail for finding in result.findings}
    details = {
        ("empty", "empty.png"): "empty file",
        ("unreadable", "text.jpg"): "not a JPEG, PNG, GIF, BMP or WebP image",
        ("truncated", "cut.jpg"): "truncated image",
        ("truncated", "cut.png"): "truncated image",
        ("damaged", "broken.png"): "damaged image",
        ("unreadable", "photo.tiff"): "not a JPEG, PNG, GIF, BMP or WebP image",
        ("unsupported", "palette.bmp"): "a variant that TensorFlow does not read",
        ("mislabelled", "png.jpg"): "PNG named .jpg",
        ("cmyk", "cmyk.jpg"): "CMYK",
        ("16-bit", "deep.png"): "I;16",
        ("animated", "film.gif"): "3 pictures",
        ("large", "wide.png"): "60 x 40",
        ("duplicate", "whole.jpg"): f"the same file as {folder}/train/a/again.jpg",
        ("conflict", "conflict.bmp"): f"the same pixels as {folder}/train/a/png.jpg",
        ("overlap", "overlap.gif"): f"the same pixels as {folder}/train/a/film.gif",
    }
    assert found == details
    assert (result.files, result.usable) == (17, 10)
    assert result.per_class == {"train/a": 7, "train/b": 2, "validation/a": 1}
    assert sum(result.formats.values()) == 10
    assert len(result.errors) == 9


def test_the_scan_agrees_with_training(folder):
    result = scan(folder)
    config = with_pipeline(tiny_config(f"folder:{folder}"), max_bad_share=0.9, validation_share=0.3)
    splits = open_splits(dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3)))
    left_out = {"empty", "unreadable", "truncated", "damaged", "unsupported"}
    assert {bad.path for bad in splits.bad_files} == {f.path for f in result.findings if f.kind in left_out}


def test_the_command_exits_with_1_for_errors_and_0_for_notes(folder, tmp_path, capsys):
    assert main(["scan", str(folder)]) == 1
    text = capsys.readouterr().out
    assert "17 images, 10 usable" in text
    assert f"overlap      {folder}/validation/a/overlap.gif: the same pixels as" in text
    assert main(["scan", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["usable"] == 10
    write_digits(tmp_path, classes=2, each=2)
    (tmp_path / "digit_0" / "png.jpg").write_bytes(encoded(picture(), "PNG"))
    assert main(["scan", str(tmp_path)]) == 0
    assert "mislabelled" in capsys.readouterr().out
    assert main(["scan", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err == f"keras-inception: A folder of images must exist. Received: {tmp_path}/nowhere\n"


@pytest.mark.parametrize("channels", [1, 3])
def test_unusual_images_are_the_picture_that_they_show(tmp_path, channels):
    original = picture(0, (36, 36))
    files = {
        "cmyk.jpg": encoded(original.convert("CMYK"), "JPEG", quality=98),
        "film.gif": encoded(original, "GIF", save_all=True, append_images=[picture(9, (36, 36))]),
        "png.jpg": encoded(original, "PNG"),
        "bmp.bmp": encoded(original, "BMP"),
        "webp.webp": encoded(original, "WEBP", lossless=True),
        "plain.png": encoded(original, "PNG"),
    }
    for label in "ab":
        (tmp_path / label).mkdir()
        for name, content in files.items():
            (tmp_path / label / name).write_bytes(content)
    config = tiny_config(f"folder:{tmp_path}")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=channels, image_size=36))
    train_images = open_splits(config).train
    expected = np.asarray(original if channels == 3 else original.convert("L")).reshape(36, 36, channels)
    [(pixels, _)] = evaluation_batches(train_images, config, 50).as_numpy_iterator()
    for name, image in zip(train_images.names, pixels, strict=True):
        assert np.abs(image - expected).mean() < 3, name  # JPEG blurs the edges of colours


def test_sixteen_bits_lose_the_lower_eight(tmp_path):
    deep = np.asarray(picture(0, (36, 36)).convert("L")).astype(np.uint16) * 256 + 77
    for label in "ab":
        (tmp_path / label).mkdir()
        for copy in range(4):
            (tmp_path / label / f"{copy}.png").write_bytes(encoded(Image.fromarray(deep), "PNG"))
    config = tiny_config(f"folder:{tmp_path}")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=36))
    pixels, _ = next(evaluation_batches(open_splits(config).train, config).as_numpy_iterator())
    np.testing.assert_array_equal(pixels[0, ..., 0], deep // 256)


@pytest.mark.slow
def test_training_goes_through_500_damaged_images_among_2000(tmp_path):
    """Every unreadable file is named once, every readable one is used; what is readable, Pillow and the header say."""
    scans = load_digits()
    rng = np.random.default_rng(0)
    readable, unreadable = set(), set()
    for number in range(2500):
        kind = ("cut", "flipped", "renamed", "empty", "cmyk", "deep", "gif", "text")[number % 8]
        kind = kind if number < 500 else "good"
        label = number % 4
        scan_of = scans.images[scans.target == label][number % 170]
        grey = Image.fromarray(np.round(scan_of * (255 / 16)).astype(np.uint8)).resize((24, 24))
        image = Image.merge("RGB", [grey, grey, grey.point(lambda value, n=number: (value + n) % 256)])
        path = tmp_path / "data" / str(label) / f"{number:04}-{kind}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        jpeg = encoded(image, "JPEG")
        content = {
            "good": jpeg, "cut": jpeg[: len(jpeg) * rng.integers(2, 9) // 10], "empty": b"", "text": b"no image at all",
            "renamed": encoded(image, "PNG"), "gif": encoded(image, "GIF"),
        }.get(kind)  # fmt: skip
        if kind == "cmyk":
            content = encoded(image.convert("CMYK"), "JPEG")
        elif kind == "deep":
            content = encoded(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG")
        elif kind == "flipped":  # a bit of a PNG's pixels, which its checksums notice
            png = bytearray(encoded(image, "PNG"))
            png[len(png) // 2] ^= 1 << int(rng.integers(8))
            content = bytes(png)
        assert content is not None
        path.write_bytes(content)
        (unreadable if kind in ("cut", "flipped", "empty", "text") else readable).add(str(path))
    assert (len(readable), len(unreadable)) == (2249, 251)

    config = with_pipeline(
        tiny_config(f"folder:{tmp_path / 'data'}"), max_bad_share=0.2, batch_size=64, cache_mb=0,
        augment=AugmentConfig(min_area=0.5, flip=True, contrast=0.2),
    )  # fmt: skip
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3))
    output = io.StringIO()
    with tiny_registered():
        run = train(with_tiny(config), tmp_path / "run", console=Console(file=output, width=400))
    lines = (run.folder / "quarantine.txt").read_text().splitlines()
    assert sorted(line.split("\t")[0] for line in lines) == sorted(unreadable)
    assert output.getvalue().count("warning: left out") == len(unreadable)
    splits = run.splits
    used = [*splits.train.names, *splits.validation.names, *splits.test.names]
    assert sorted(used) == sorted(readable)
    assert json.loads((run.folder / "metrics.json").read_text())["test_accuracy"] > 0

    index = pack(f"folder:{tmp_path / 'data'}", tmp_path / "packed", max_bad_share=0.2)
    assert {bad["path"] for bad in index["left_out"]} == unreadable


@pytest.mark.parametrize("end", [b"!\xf9;", b"!\xf9\x01\x00\x00;"])
def test_a_second_picture_that_pillow_cannot_read_hinders_no_scan(tmp_path, end):
    (tmp_path / "film.gif").write_bytes(encoded(picture(), "GIF")[:-1] + end)
    assert scan(tmp_path).usable == 1
