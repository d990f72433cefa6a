"""The .tflite files say what they are, in the form that Android Studio and mediapipe read."""

import subprocess
import zipfile
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_helpers import CLASSES, answers, coloured, colours, digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.files.metadata import labels_of
from keras_inception.tflite.running.litert import LiteRTModel

IMAGES, _ = digits()
ABOUT = kt.About(version="2.1", licence="Apache-2.0", author="The authors", description="Tells digits apart.")
NAMES = ("Kätzchen", "two words", *CLASSES[2:])


@cache
def network() -> keras.Model:
    return tiny()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> kt.Export:
    folder = tmp_path_factory.mktemp("metadata") / "out"
    modes = ("float32", "int8")
    return kt.export(
        network(), folder, class_names=NAMES, about=ABOUT, modes=modes, saved_model=False, calibration=IMAGES[:20]
    )


def metadata(path: Path) -> bytes:
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    entries = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    return model.Buffers(entries[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_a_file_with_metadata_still_runs_and_holds_its_labels(exported: kt.Export, mode: str):
    path = exported.files[mode]
    np.testing.assert_allclose(LiteRTModel(path)(IMAGES[:5]), answers(network(), IMAGES[:5]), atol=0.02)
    assert labels_of(path) == NAMES
    content = metadata(path)
    assert content[4:8] == b"M001"
    for text in ("tiny", "2.1", "Apache-2.0", "The authors", "Tells digits apart.", "labels.txt", "1.0.0"):
        assert text.encode() in content
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
        assert entry.compress_type == zipfile.ZIP_STORED


def test_weights_lie_aligned_as_the_runtime_reads_them(exported: kt.Export):
    content = exported.files["float32"].read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    places = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(places) >= 3
    assert all(place % 16 == 0 for place in places)


def test_a_file_is_sealed_by_a_hash_of_it_all(exported: kt.Export, tmp_path: Path):
    content = exported.files["int8"].read_bytes()
    path = tmp_path / "changed.tflite"
    for place in np.random.default_rng(0).integers(8, len(content) - 100, 20):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(kt.ExportError, match=r"must be as it was written. Received: .*changed.tflite"):
            LiteRTModel(path)


def test_a_damaged_directory_of_labels_is_named(exported: kt.Export, tmp_path: Path):
    path, content = tmp_path / "plain.tflite", exported.files["int8"].read_bytes()
    for field in (6, 8, 42):  # of the directory's entry: the version and the flags that reading needs, the place
        changed = bytearray(content)
        changed[content.rindex(b"PK\x01\x02") + field] = 0xFF
        path.write_bytes(changed)
        with pytest.raises(kt.ExportError, match=r"must hold labels\.txt.*plain\.tflite"):
            labels_of(path)


def test_a_file_without_labels_is_named(tmp_path: Path):
    (tmp_path / "plain.tflite").write_bytes(b"something else")
    with pytest.raises(kt.ExportError, match=r"must hold labels\.txt.*plain\.tflite"):
        labels_of(tmp_path / "plain.tflite")


CLASSIFY = """
import sys
import numpy as np
import mediapipe as mp
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
path, pictures = sys.argv[1], np.load(sys.argv[2])
options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=path), max_results=1)
with vision.ImageClassifier.create_from_options(options) as classifier:
    for picture in pictures:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        best = classifier.classify(image).classifications[0].categories[0]
        print(best.category_name, best.score, sep="\\t")
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_mediapipe_reads_a_file_and_answers_with_our_labels(mode: str, mediapipe_python: str, tmp_path: Path):
    model, pictures = colours(), coloured(8)
    export = kt.export(model, tmp_path / "out", class_names=NAMES, modes=mode, saved_model=False, calibration=pictures)
    np.save(tmp_path / "pictures.npy", pictures)
    command = [mediapipe_python, "-c", CLASSIFY, str(export.files[mode]), str(tmp_path / "pictures.npy")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    expected = LiteRTModel(export.files[mode])(pictures)
    assert [name for name, _ in lines] == [NAMES[index] for index in expected.argmax(1)]
    assert len({name for name, _ in lines}) > 2
    np.testing.assert_allclose([float(score) for _, score in lines], expected.max(1), atol=1e-3)
