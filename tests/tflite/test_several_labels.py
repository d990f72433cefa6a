"""Thresholds of several labels a picture: in the files, in the proof, in what is predicted."""

import json
import subprocess
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import encode, number_types
from flatbuffers.table import Table
from sklearn.metrics import average_precision_score
from tflite_helpers import answers, digits

import keras_inception.tflite as kt
from keras_inception.tflite.files.metadata import labels_of, thresholds_of
from keras_inception.tflite.proving.measuring import Yardstick, mean_average_precision

IMAGES = digits()[0][:200]
NAMES = ("round", "straight", "wide", "dark", "two strokes")
THRESHOLDS = (0.5, 0.35, 0.62, 0.071234, 0.9)
layers = keras.layers


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 1))
    x = layers.Flatten()(layers.AveragePooling2D(4)(layers.Rescaling(1 / 127.5, -1)(pixels)))
    x = layers.Dense(
        len(NAMES), kernel_initializer=keras.initializers.RandomNormal(stddev=0.3), name="predictions_logits"
    )(x)
    return keras.Model(pixels, layers.Activation("sigmoid", name="predictions")(x), name="labels")


MODEL = network()
LABELS = (answers(MODEL, IMAGES) > THRESHOLDS).astype("float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> kt.Export:
    folder = tmp_path_factory.mktemp("labels") / "out"
    modes = ("float32", "int8")
    return kt.export(MODEL, folder, class_names=NAMES, thresholds=THRESHOLDS, modes=modes, calibration=IMAGES)


def table_at(content: bytes, place: int) -> Table:
    return Table(content, place + encode.Get(number_types.UOffsetTFlags.packer_type, content, place))


def field(table: Table, number: int) -> int:
    """Where a table's field lies; every field of these tables is set."""
    offset = table.Offset(4 + 2 * number)
    assert offset, number
    return table.Pos + offset


def elements(table: Table, number: int) -> list[Table]:
    offset = table.Offset(4 + 2 * number)
    start = table.Vector(offset)
    return [table_at(table.Bytes, start + 4 * i) for i in range(table.VectorLen(offset))]


@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_the_files_tell_their_thresholds_in_the_metadata(exported: kt.Export, mode: str):
    """Field numbers are those of metadata_schema.fbs: ModelMetadata 3, SubGraphMetadata 3, TensorMetadata 4 and 6."""
    path = exported.files[mode]
    assert thresholds_of(path) == pytest.approx(THRESHOLDS)
    assert labels_of(path) == NAMES
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    found = {model.Metadata(i).Name(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
    content = model.Buffers(found[b"TFLITE_METADATA"]).DataAsNumpy().tobytes()
    (graph,) = elements(table_at(content, 0), 3)
    (output,) = elements(graph, 3)
    calibration, thresholding = elements(output, 4)
    kind = number_types.Uint8Flags
    assert [unit.Get(kind, field(unit, 0)) for unit in (calibration, thresholding)] == [2, 3]
    transformation = table_at(content, field(calibration, 1))
    assert transformation.Get(kind, field(transformation, 0)) == 2  # INVERSE_LOGISTIC
    least = table_at(content, field(thresholding, 1))
    assert least.Get(number_types.Float32Flags, field(least, 0)) == pytest.approx(min(THRESHOLDS))
    files = elements(output, 6)
    assert [file.String(file.Offset(4) + file.Pos) for file in files] == [b"labels.txt", b"score_calibration.txt"]
    assert [file.Get(kind, field(file, 2)) for file in files] == [2, 4]


def test_score_calibration_leaves_what_is_found_and_zeroes_the_rest(exported: kt.Export):
    """By the formula of the schema: scale / (1 + e ** -(slope * g(x) + offset)) above min_score, else 0."""
    with zipfile.ZipFile(exported.files["float32"]) as archive:
        rows = [line.split(",") for line in archive.read("score_calibration.txt").decode().splitlines()]
    scale, slope, offset, least = np.array(rows, float).T
    scores = answers(MODEL, IMAGES).astype(float)
    calibrated = scale / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + offset)))
    calibrated = np.where(scores > least, calibrated, 0)
    np.testing.assert_allclose(calibrated, np.where(LABELS > 0, scores, 0), rtol=1e-6)


@pytest.mark.parametrize("source", ["folder", "float32"])
def test_a_predictor_names_what_is_above_its_threshold(exported: kt.Export, source: str):
    predict = kt.Predictor(exported.folder if source == "folder" else exported.files[source])
    assert predict.thresholds == pytest.approx(THRESHOLDS)
    for prediction, labels in zip(predict.batch(IMAGES[:40]), LABELS, strict=False):
        assert set(prediction.labels) == {NAMES[i] for i in np.flatnonzero(labels)}
        ranks = [prediction.probabilities[NAMES.index(name)] for name in prediction.labels]
        assert ranks == sorted(ranks, reverse=True)
    assert len({len(prediction.labels) for prediction in predict.batch(IMAGES)}) > 2
    assert kt.Predictor(MODEL, NAMES, thresholds=[1.0] * 5)(IMAGES[0]).labels == ()
    assert len(kt.Predictor(MODEL, NAMES)(IMAGES[0]).labels) == 1


def test_the_proof_counts_decisions_and_mean_average_precision(exported: kt.Export):
    proof = kt.verify(MODEL, exported.folder, [(IMAGES, LABELS)], runs=1)
    assert proof.passed, proof.failures
    keras_row, *rows = proof.rows
    assert keras_row.accuracy == keras_row.agreement == keras_row.mean_average_precision == 1.0
    for row in rows:
        answer = kt.Predictor(exported.folder / row.file).probabilities(IMAGES) if row.mode == "int8" else None
        if answer is not None:
            found = answer > np.array(THRESHOLDS, "float32")
            assert row.agreement == row.accuracy == (found == (LABELS > 0)).mean() < 1
            assert row.mean_average_precision == pytest.approx(average_precision_score(LABELS, answer, average="macro"))
    assert json.loads((exported.folder / "proof.json").read_text())["rows"][1]["mean_average_precision"] > 0.99
    assert [column.header for column in proof.table().columns][2] == "mAP"


def test_another_network_fails_by_agreement_and_by_precision(exported: kt.Export):
    for labels in (LABELS, None):
        batches = [IMAGES if labels is None else (IMAGES, labels)]
        proof = kt.verify(network(seed=1), exported.folder, batches, runs=1)
        sentences = " ".join(proof.failures)
        assert "model_float32.tflite must agree on 99.9% of the decisions, a label of an image each" in sentences
        assert "model_int8.tflite must agree on 98.0% of the decisions" in sentences
    loose = kt.Limits(difference=None, agreement=None, label_agreement=None, accuracy_loss=None)
    proof = kt.verify(network(seed=1), exported.folder, [IMAGES], limits=loose, runs=1)
    assert all("must lose 2.0% mean average precision at most" in sentence for sentence in proof.failures)
    assert proof.failures


def test_mean_average_precision_is_scikit_learns_with_equal_scores_too():
    generator = np.random.default_rng(0)
    scores, there = generator.random((300, 4)).round(1), generator.random((300, 4)) < (0.5, 0.1, 0.02, 0)
    expected = np.mean([average_precision_score(there[:, i], scores[:, i]) for i in range(3)])
    assert mean_average_precision(scores, there) == pytest.approx(expected)


def test_what_is_no_set_of_thresholds_is_a_sentence(exported: kt.Export, tmp_path: Path):
    for wrong in ([0.5] * 4, [0.5] * 4 + [1.5], [float("nan")] * 5):
        with pytest.raises(kt.ExportError, match="must be a probability for each of the 5 classes. Received: "):
            kt.export(MODEL, tmp_path / "out", thresholds=wrong, modes="float32", saved_model=False)
    softmax = keras.Sequential(
        [keras.Input((32, 32, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(5, "softmax")]
    )
    with pytest.raises(kt.ExportError, match="for a network that ends in sigmoids. Received: "):
        kt.export(softmax, tmp_path / "out", thresholds=[0.5] * 5, modes="float32", saved_model=False)
    manifest = json.loads((exported.folder / "export.json").read_text())
    for name in ("labels.txt", "export.json"):
        (tmp_path / name).write_text((exported.folder / name).read_text())
    manifest["output"]["thresholds"] = ["a"] * 5
    (tmp_path / "export.json").write_text(json.dumps(manifest))
    with pytest.raises(kt.ExportError, match="must be as export wrote them"):
        kt.Export.open(tmp_path)


def test_labels_may_be_one_a_picture():
    measure = Yardstick(
        MODEL, IMAGES, answers(MODEL, IMAGES).argmax(1), kt.Limits(), classes=5, preprocessing=None,
        output="probabilities", thresholds=[0.5] * 5,
    )  # fmt: skip
    assert 0.5 < measure.own.accuracy < 1


CLASSIFY = """
import sys
import numpy as np
import mediapipe as mp
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
path, pictures = sys.argv[1], np.load(sys.argv[2])
options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=path), max_results=-1)
with vision.ImageClassifier.create_from_options(options) as classifier:
    for picture in pictures:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        found = classifier.classify(image).classifications[0].categories
        print("\\t".join(f"{category.category_name}={category.score}" for category in found))
"""


@pytest.mark.slow
def test_mediapipe_finds_the_labels_above_the_thresholds_and_no_others(mediapipe_python: str, tmp_path: Path):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.AveragePooling2D(8)(layers.Rescaling(1 / 127.5, -1)(pixels)))
    x = layers.Dense(len(NAMES), kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))(x)
    model = keras.Model(pixels, layers.Activation("sigmoid", name="predictions")(x), name="colours")
    pictures = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    export = kt.export(
        model, tmp_path / "out", class_names=NAMES, thresholds=THRESHOLDS, modes="float32", saved_model=False
    )
    np.save(tmp_path / "pictures.npy", pictures)
    command = [mediapipe_python, "-c", CLASSIFY, str(export.files["float32"]), str(tmp_path / "pictures.npy")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    predict = kt.Predictor(export.files["float32"])
    expected = predict.batch(pictures)
    assert len({prediction.labels for prediction in expected}) > 2
    for line, prediction in zip(result.stdout.split("\n"), expected, strict=False):
        found = dict(part.split("=") for part in line.split("\t") if part)
        assert tuple(found) == prediction.labels
        scores = dict(prediction.top(len(NAMES)))
        assert {name: float(score) for name, score in found.items()} == pytest.approx(
            {name: scores[name] for name in found}, abs=1e-3
        )
