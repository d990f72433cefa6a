"""Files that tell strangers: the distance is the one of the paper, and every file answers it as Keras does."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from sklearn.covariance import OAS
from tflite_helpers import CLASSES, answers, coloured, colours, digits, fit_classifier, tiny, two_headed

import keras_inception.tflite as kt
from keras_inception.tflite.files.metadata import trust_of
from keras_inception.tflite.running.litert import LiteRTModel
from keras_inception.tflite.running.others import open_onnx, open_saved_model

IMAGES, LABELS = digits()
STRANGERS = 255 - IMAGES[:200]  # black on white: no digit that was seen
TRUST = kt.Trust({0.9: 0.4, 0.95: 0.2, 0.99: None}, temperature=0.5)


def drawn(count: int, *, features: int = 24, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes far apart, which vary along a sixth of all directions more than along the others."""
    rng, shape = np.random.default_rng(seed), np.random.default_rng(7)
    labels = np.arange(count) % classes
    wide = rng.normal(size=(count, features // 6)) @ shape.normal(size=(features // 6, features))
    means = 9 * shape.normal(size=(classes, features))
    return (rng.normal(size=(count, features)) + wide + means[labels]).astype("float32"), labels


def distances(found: kt.Familiarity, features: np.ndarray) -> np.ndarray:
    return np.asarray(found.unfamiliar(features)).ravel()


def test_the_distance_is_mahalanobis_to_the_nearest_class():
    features, labels = drawn(6000)
    held_out, _ = drawn(200, seed=1)
    found = kt.fit_familiarity(features, labels, held_out)
    means = np.stack([features[labels == index].mean(0) for index in range(3)])
    precision = np.linalg.inv(OAS(assume_centered=True).fit(features - means[labels]).covariance_)
    strange = 20 * np.random.default_rng(2).normal(size=(50, 24)).astype("float32")
    for some in (held_out, strange):
        apart = some[:, None] - means
        expected = np.einsum("nci,ij,ncj->nc", apart, precision, apart).min(axis=1)
        ratio = distances(found, some) / expected
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.05)
    assert distances(found, means) == pytest.approx(0, abs=1e-4)
    assert np.median(distances(found, strange)) > 10


@pytest.mark.parametrize("keep", [0.9, 0.95])
def test_the_limit_keeps_what_it_promises(keep: float):
    features, labels = drawn(300)
    shares = []
    for seed in range(40):
        found = kt.fit_familiarity(features, labels, drawn(59, seed=100 + seed)[0], keep=keep)
        shares.append((distances(found, drawn(500, seed=200 + seed)[0]) <= 1).mean())
    assert np.mean(shares) == pytest.approx(keep, abs=0.02)
    own = distances(found, drawn(59, seed=139)[0])
    assert (own < 0.9999).sum() == np.ceil(60 * keep) - 1
    assert np.isclose(own, 1, atol=1e-5).sum() == 1


def test_many_features_of_few_images_still_tell_strangers():
    features, labels = drawn(30, features=200)
    found = kt.fit_familiarity(features, labels, drawn(40, features=200, seed=1)[0])
    friends, strangers = drawn(200, features=200, seed=2)[0], drawn(200, features=200, seed=2)[0][:, ::-1]
    assert (distances(found, friends) <= 1).mean() > 0.85
    assert (distances(found, strangers) > 1).mean() > 0.95


FEATURES, OF = drawn(60)
BAD = {
    "too few held out": (lambda: kt.fit_familiarity(FEATURES, OF, FEATURES[:18]), "95% .* takes at least 19 held out"),
    "too few for 99 %": (lambda: kt.fit_familiarity(FEATURES, OF, FEATURES, keep=0.99), "takes at least 99 held out"),
    "no share": (lambda: kt.fit_familiarity(FEATURES, OF, FEATURES, keep=1.0), "share between 0 and 1. Received: 1.0"),
    "an image a class": (lambda: kt.fit_familiarity(FEATURES, np.arange(60), FEATURES), "60 images of 60 classes"),
    "equal images": (lambda: kt.fit_familiarity(0 * FEATURES, OF, FEATURES), "variance of 0"),
    "no numbers": (lambda: kt.fit_familiarity(np.nan * FEATURES, OF, FEATURES), "variance of nan"),
    "other features": (lambda: kt.fit_familiarity(FEATURES, OF, FEATURES[:, :3]), r"Received: \(60, 24\), \(60,\)"),
    "no labels": (lambda: kt.familiarity(tiny(), [IMAGES[:40]], [IMAGES[40:80]]), "a class each. Received: none"),
    "another end": (
        lambda: kt.familiarity(pooled_maps(), [(IMAGES[:40], LABELS[:40])], [IMAGES[40:80]]),
        "must end in a dense layer.*GlobalAveragePooling2D",
    ),
    "another network's": (
        lambda: kt.export(tiny(), "absent", familiarity=kt.fit_familiarity(FEATURES, OF, FEATURES)),
        "the 16 features of tiny. Received: of 24",
    ),
    "coverage of sigmoids": (
        lambda: kt.export(tiny_with("sigmoid"), "absent", trust=TRUST), "one label an image. Received: a network",
    ),
    "coverage of logits": (lambda: kt.export(tiny(), "absent", trust=TRUST, output="logits"), "Received: logits"),
    "no probability": (lambda: kt.Trust({0.9: 1.5}), r"its threshold a probability. Received: \{0.9: 1.5\}"),
    "a level without threshold": (
        lambda: kt.Trust({0.9: 0.1, 0.99: None}, score_threshold=0.99), r"\(0.9\). Received: 0.99, which too few",
    ),
    "another level": (lambda: kt.Trust({0.9: 0.1}, score_threshold=0.8), "Received: 0.8, which is none of them"),
    "no temperature": (lambda: kt.Trust(temperature=0), "above 0. Received: 0"),
    "a limit": (lambda: kt.Limits(known_agreement=2), "Received: 2"),
}  # fmt: skip


def pooled_maps() -> keras.Model:
    pixels = keras.Input((32, 32, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(10, 3)(pixels))
    return keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(x), name="pooled")


def tiny_with(activation: str) -> keras.Model:
    model = tiny()
    return keras.Model(model.inputs[0], keras.layers.Dense(10, activation, name="predictions")(model.layers[-2].input))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(case: str):
    act, message = BAD[case]
    with np.errstate(invalid="ignore"), pytest.raises(kt.ExportError, match=message) as raised:
        act()
    assert "\n" not in str(raised.value)


@cache
def known() -> kt.Familiarity:
    return kt.familiarity(two_headed(), [(IMAGES[:600], LABELS[:600])], [IMAGES[600:900]])


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> kt.Export:
    return kt.export(
        two_headed(),
        tmp_path_factory.mktemp("familiarity") / "out",
        class_names=CLASSES,
        modes=("float32", "float16", "dynamic", "int8", "int16x8"),
        calibration=IMAGES[:60],
        trust=TRUST,
        familiarity=known(),
    )


def in_keras(images: np.ndarray) -> np.ndarray:
    """The distances by Keras alone."""
    model = two_headed()
    features = keras.Model(model.inputs[0], model.get_layer("predictions_logits").input)
    return np.asarray(known().unfamiliar(answers(features, images)))


DIFFERENCES = {"float32": 1e-3, "float16": 0.1, "dynamic": 0.1, "int8": 0.2, "int16x8": 0.1}


@pytest.mark.parametrize("mode", DIFFERENCES)
def test_a_file_answers_predictions_first_and_the_distance_second(exported: kt.Export, mode: str):
    path = exported.files[mode]
    content = path.read_bytes()
    outputs = Interpreter(model_content=content).get_output_details()
    assert [tuple(output["shape"]) for output in outputs] == [(1, 10), (1, 1)]
    assert {output["dtype"] for output in outputs} == {np.float32}
    model = LiteRTModel(path)
    images = np.concatenate([IMAGES[1000:1040], STRANGERS[:40]])
    found = model.answers(images)["unfamiliar"]
    expected = in_keras(images)
    np.testing.assert_allclose(found, expected, rtol=DIFFERENCES[mode])
    assert (found[40:] > 1).mean() > 0.95
    np.testing.assert_array_equal(model(images), model.answers(images)["predictions"])


def test_the_saved_model_answers_it_too(exported: kt.Export):
    found = open_saved_model(exported.files["saved_model"]).answers(IMAGES[1000:1040])
    np.testing.assert_allclose(found["unfamiliar"], in_keras(IMAGES[1000:1040]), rtol=1e-3)


def test_onnx_answers_it_too(tmp_path: Path):
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    export = kt.export(two_headed(), tmp_path / "out", modes=(), saved_model=False, onnx=True, familiarity=known())
    found = open_onnx(export.files["onnx"]).answers(IMAGES[1000:1040])
    np.testing.assert_allclose(found["unfamiliar"], in_keras(IMAGES[1000:1040]), rtol=1e-3)


def test_predictions_are_those_of_files_without_it(exported: kt.Export, tmp_path: Path):
    modes = ("float32", "int8")
    plain = kt.export(two_headed(), tmp_path / "out", modes=modes, saved_model=False, calibration=IMAGES[:60])
    for mode in modes:
        ours, theirs = (LiteRTModel(export.files[mode])(IMAGES[:100]) for export in (exported, plain))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
        assert LiteRTModel(plain.files[mode]).answers(IMAGES[:1]).keys() == {"predictions"}
        assert trust_of(plain.files[mode]) == kt.Trust()


def test_files_of_any_batch_have_a_distance_for_each_image(tmp_path: Path):
    export = kt.export(
        two_headed(), tmp_path / "out", modes=("float32", "int8"), saved_model=False, batch=None, familiarity=known(),
        calibration=IMAGES[:60],
    )  # fmt: skip
    for mode in ("float32", "int8"):
        found = LiteRTModel(export.files[mode]).answers(IMAGES[1000:1007])["unfamiliar"]
        np.testing.assert_allclose(found, in_keras(IMAGES[1000:1007]), rtol=DIFFERENCES[mode])


def test_equalised_channels_leave_the_distance_as_it_is(tmp_path: Path):
    pixels = keras.Input((32, 32, 1))
    keras.utils.set_random_seed(0)
    x = keras.layers.ReLU()(keras.layers.Conv2D(16, 5, strides=4)(keras.layers.Rescaling(1 / 255)(pixels)))
    kernel, bias = x._keras_history.operation.input._keras_history.operation.get_weights()
    x._keras_history.operation.input._keras_history.operation.set_weights([kernel * np.linspace(0.1, 3, 16), bias])
    x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, keras.layers.Softmax(name="predictions")(x))
    found = kt.familiarity(model, [(IMAGES[:600], LABELS[:600])], [IMAGES[600:900]])
    export = kt.export(
        model, tmp_path / "out", modes="int8", saved_model=False, calibration=IMAGES[:60], familiarity=found
    )
    expected = kt.Predictor(model, familiarity=found).batch(IMAGES[1000:1050])
    answered = LiteRTModel(export.files["int8"]).answers(IMAGES[1000:1050])["unfamiliar"].ravel()
    assert np.abs(answered - [prediction.unfamiliar for prediction in expected]).mean() < 0.2


def test_a_familiarity_is_kept_with_the_export(exported: kt.Export, tmp_path: Path):
    kept = exported.familiarity
    np.testing.assert_array_equal(
        kept.unfamiliar(np.eye(known().centre.size)), known().unfamiliar(np.eye(known().centre.size))
    )
    assert (kept.keep, kept.images, kept.held_out) == (0.95, 600, 300)
    manifest = json.loads((exported.folder / "export.json").read_text())
    assert manifest["unfamiliar"] == {"keep": 0.95, "limit": 1.0, "images": 600, "held_out": 300}
    assert manifest["trust"]["coverage"] == {"0.9": 0.4, "0.95": 0.2, "0.99": None}
    folder = shutil.copytree(exported.folder, tmp_path / "out")
    content = bytearray((folder / "familiarity.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "familiarity.npz").write_bytes(content)
    with pytest.raises(kt.ExportError, match="must be as it was written"):
        _ = kt.Export.open(folder).familiarity
    kt.export(two_headed(), folder, modes="float32", saved_model=False, overwrite=True)
    assert kt.Export.open(folder).familiarity is None


@pytest.mark.parametrize("what", ["export", "file", "network"])
def test_a_predictor_knows_strangers_and_names_candidates(exported: kt.Export, what: str):
    predict = {
        "export": lambda: kt.Predictor(exported),
        "file": lambda: kt.Predictor(exported.files["float32"]),
        "network": lambda: kt.Predictor(two_headed(), CLASSES, trust=TRUST, familiarity=known()),
    }[what]()
    friends, strangers = predict.batch(IMAGES[1000:1040]), predict.batch(STRANGERS)
    assert all(prediction.known for prediction in friends if prediction.unfamiliar <= 1)
    assert np.mean([prediction.known for prediction in friends]) > 0.85
    assert np.mean([prediction.known for prediction in strangers]) < 0.05
    np.testing.assert_allclose([p.unfamiliar for p in friends], in_keras(IMAGES[1000:1040]).ravel(), rtol=1e-2)
    assert predict(STRANGERS[0]).unfamiliar == pytest.approx(strangers[0].unfamiliar, rel=1e-4)
    for prediction in friends:
        likely = [
            CLASSES[index] for index in np.argsort(-prediction.probabilities) if prediction.probabilities[index] >= 0.2
        ]
        assert list(prediction.candidates()) == list(prediction.candidates(0.95)) == likely
        assert prediction.labels == (prediction.label,)
    with pytest.raises(kt.ExportError, match="Received: 0.99, which too few images told"):
        friends[0].candidates(0.99)
    assert kt.Predictor(two_headed(), CLASSES)(IMAGES[0]).known is None
    with pytest.raises(kt.ExportError, match="tells strangers by itself"):
        kt.Predictor(exported, familiarity=known())


def test_a_score_threshold_names_what_mediapipe_would(tmp_path: Path):
    trust = kt.Trust({0.9: 0.25}, score_threshold=0.9)
    export = kt.export(two_headed(), tmp_path / "out", class_names=CLASSES, modes="float32", trust=trust)
    for opened in (export, export.files["float32"]):
        for prediction in kt.Predictor(opened).batch(IMAGES[:20]):
            assert prediction.labels == prediction.candidates(0.9)
    assert export.thresholds is None  # the proof compares first classes, not decisions


def test_a_proof_tells_what_is_kept(tmp_path: Path):
    model, count = two_headed(), 300
    fit_classifier(model, count)
    held_out = (IMAGES[count : count + 200], LABELS[count : count + 200])
    found = kt.familiarity(model, [(IMAGES[:count], LABELS[:count])], [held_out])
    trust = kt.Trust({0.95: 0.05}, temperature=0.5)
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, trust=trust, familiarity=found)
    images, labels = IMAGES[600:800], LABELS[600:800]
    proof = kt.verify(model, export.folder, [(images, labels)], strangers=[STRANGERS[:60]], runs=1)
    assert proof.passed, proof.failures
    told = json.loads((export.folder / "proof.json").read_text())["rows"][1]["trusted"]
    probabilities = answers(model, images)
    kept = (probabilities[np.arange(200), labels] >= 0.05).mean()
    for row in proof.rows:
        assert row.trusted.coverage == {"0.95": pytest.approx(kept, abs=0.01)}
        assert row.trusted.difference < 1e-2 and row.trusted.agreement > 0.99
        assert 0 <= row.trusted.turned_away < 0.2
        assert row.trusted.let_in < 0.5
    assert told["coverage"] == proof.rows[1].trusted.coverage
    assert told["calibration_error"] == pytest.approx(calibration(probabilities, labels), abs=1e-3)
    squared = np.sqrt(probabilities)
    uncalibrated = squared / squared.sum(1, keepdims=True)
    assert told["uncalibrated_error"] == pytest.approx(calibration(uncalibrated, labels), abs=1e-3)
    headings = [column.header for column in proof.promises().columns]
    assert headings[:3] == ["file", "covers 95%", "calibration error"]
    assert headings[-2:] == ["turned away", "let in"]


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> float:
    from keras_inception.training.evaluation.result import calibration as of_training

    return of_training(probabilities, labels).error


def test_another_network_is_not_proven_to_know_the_same(exported: kt.Export):
    limits = kt.Limits(**dict.fromkeys(("difference", "float16_difference", "agreement"), None))
    proof = kt.verify(two_headed(seed=3), exported.folder, [IMAGES[1000:1040]], limits=limits, runs=1)
    assert any("must agree on 95.0% of the images who is a stranger" in failure for failure in proof.failures)


CLASSIFY = """
import sys
import numpy as np
import mediapipe as mp
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
path, pictures = sys.argv[1], np.load(sys.argv[2])
options = vision.ImageClassifierOptions(base_options=tasks.BaseOptions(model_asset_path=path))
with vision.ImageClassifier.create_from_options(options) as classifier:
    for picture in pictures:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        for head in classifier.classify(image).classifications:
            print(head.head_name, *[f"{c.category_name}={c.score}" for c in head.categories if c.score], sep="\\t")
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["float32", "int8"])
def test_mediapipe_applies_the_threshold_and_has_a_head_for_strangers(mode: str, mediapipe_python: str, tmp_path: Path):
    model, pictures = colours(), coloured(90)
    found = kt.familiarity(model, [(pictures[:60], np.arange(60) % 10)], [pictures[60:]])
    trust = kt.Trust({0.95: 0.3}, score_threshold=0.95)
    export = kt.export(
        model, tmp_path / "out", class_names=CLASSES, modes=mode, saved_model=False, calibration=pictures, trust=trust,
        familiarity=found,
    )  # fmt: skip
    np.save(tmp_path / "pictures.npy", pictures[:12])
    command = [mediapipe_python, "-c", CLASSIFY, str(export.files[mode]), str(tmp_path / "pictures.npy")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    heads = [line.split("\t") for line in lines]
    assert [name for name, *_ in heads] == ["predictions", "unfamiliar"] * 12
    expected = kt.Predictor(export.files[mode]).batch(pictures[:12])
    named = [[text.partition("=")[0] for text in texts] for _, *texts in heads[::2]]
    assert named == [list(prediction.candidates()) for prediction in expected]
    assert {len(names) for names in named} > {1}  # some pictures have two candidates or none
    apart = [float(texts[0].partition("=")[2]) for _, *texts in heads[1::2]]
    np.testing.assert_allclose(apart, [prediction.unfamiliar for prediction in expected], rtol=0.02)
