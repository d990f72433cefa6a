"""Crops against a plain NumPy reference, ensembles, what is left out, and calibration."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import tiny_registered, with_tiny
from training_helpers import tiny_config, with_pipeline, write_digits

from keras_inception.training import Run, evaluate
from keras_inception.training.config import ModelConfig, TrainConfig
from keras_inception.training.data.sources import open_splits
from keras_inception.training.engine.network import build_model
from keras_inception.training.evaluation.evaluate import predict
from keras_inception.training.evaluation.result import summarise
from keras_inception.training.pipeline.crops import CROPS, crops
from keras_inception.training.pipeline.preparing import prepare
from keras_inception.training.runs import folder as run_folder

SIZE = 14


def config_of(size=SIZE):
    return TrainConfig(model=ModelConfig(image_size=size, channels=3))


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized(image, height, width):
    """TensorFlow's resize, rounded to whole numbers; where images are cut is NumPy's alone in this reference."""
    return np.clip(np.round(tf.image.resize(image, (height, width), antialias=True)), 0, 255).astype(np.uint8)


def reference(image, size, count):
    """The crops as the GoogLeNet paper lists them: scales, squares, then the crops of each square."""
    found = []
    for numerator in (8, 9, 10, 11) if count == 144 else (8,):
        side = round(size * numerator / 7)
        height, width = image.shape[:2]
        scaled = resized(image, *(round(length * side / min(height, width)) for length in (height, width)))
        spare_rows, spare_columns = scaled.shape[0] - side, scaled.shape[1] - side
        places = [(0, 0), (spare_rows // 2, spare_columns // 2), (spare_rows, spare_columns)]
        for row, column in places if count == 144 else places[1:2]:
            square = scaled[row : row + side, column : column + side]
            found += [square[:size, :size], square[:size, -size:], square[-size:, :size], square[-size:, -size:]]
            border = (side - size) // 2
            found.append(square[border : border + size, border : border + size])
            if count != 10:
                found.append(resized(square, size, size))
    return np.stack(found + [crop[:, ::-1] for crop in found])


@pytest.mark.parametrize("count", [10, 12, 144])
@pytest.mark.parametrize(("height", "width"), [(31, 47), (50, 20), (16, 16)], ids=["landscape", "portrait", "square"])
def test_crops_are_those_of_the_reference(count, height, width):
    image = picture(height, width)
    found = crops(tf.constant(image), config_of(), count).numpy()
    assert found.shape == (count, SIZE, SIZE, 3)
    np.testing.assert_array_equal(found, reference(image, SIZE, count))


@pytest.mark.parametrize("central_crop", [1.0, 0.875])
def test_two_views_are_what_is_evaluated_and_its_mirror_image(central_crop):
    image, config = tf.constant(picture(31, 47)), with_pipeline(config_of(), central_crop=central_crop)
    plain, mirrored = crops(image, config, 2).numpy()
    np.testing.assert_array_equal(plain, prepare(image, config))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


@pytest.mark.parametrize(("size", "shift"), [(14, 1), (32, 1), (96, 3)])
def test_six_views_are_shifted_by_a_thirty_second_of_the_side_as_well(size, shift):
    image, config = tf.constant(picture(120, 120)), config_of(size)
    found = crops(image, config, 6).numpy()
    whole = prepare(image, config).numpy()
    around = np.pad(whole, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
    plain = [whole, around[:size, :size], around[-size:, -size:]]
    np.testing.assert_array_equal(found, np.stack(plain + [view[:, ::-1] for view in plain]))


def test_the_scales_of_a_224_network_are_the_papers():
    """A band at each end of the longer side: the outer squares of each scale see theirs, the central ones neither."""
    image = np.zeros((64, 192, 3), np.uint8)
    image[:, :32], image[:, -32:] = 100, 200
    found = crops(tf.constant(image), config_of(224), 144).numpy()[:72].reshape(4, 3, 6, 224, 224, 3)
    assert (found[:, 0, 0, :, :32] == 100).all()
    assert (found[:, 2, 1, :, -32:] == 200).all()
    assert not found[:, 1].any()
    # The first 32 of 64 rows are half of the shorter side: 128, 144, 160 and 176 columns of the scales 256 to 352.
    edges = [(found[scale, 0, 0, 0, :, 0] >= 50).sum() for scale in range(4)]
    assert edges == pytest.approx([128, 144, 160, 176], abs=1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two run folders over the same files, each with a narrow network that has random weights."""
    data = write_digits(tmp_path_factory.mktemp("data"), classes=3, each=12)
    config = with_tiny(tiny_config(f"folder:{data}"))
    model = dataclasses.replace(config.model, aux_heads=False, batch_norm_momentum=0.0)
    config = dataclasses.replace(config, model=model)
    splits = open_splits(config)
    begun = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        folder = tmp_path_factory.mktemp("runs") / "run"
        run = Run(folder, config, splits.class_names, splits)
        run_folder.begin(run)
        with tiny_registered():
            model = build_model(config, 3)
        for pixels, _ in run.batches("train", batch_size=100):
            model(pixels, training=True)  # statistics for the batch norms: else all classes would be equally likely
        (folder / "checkpoints").mkdir(exist_ok=True)
        model.save(folder / "checkpoints" / "best.keras")
        begun.append(run)
    return begun


def test_the_mean_over_the_crops_is_what_counts(runs):
    run = runs[0]
    images = run.splits.test
    result = evaluate(run, crops=10)
    model, probabilities = run.model(), []
    for name in images.names:
        image = tf.io.decode_image(tf.io.read_file(name), channels=1).numpy()
        views = crops(tf.constant(image), run.config, 10).numpy().astype(np.float32)
        probabilities.append(np.asarray(model(views, training=False)).mean(axis=0))
    expected = summarise(np.array(probabilities), images.labels, images.names, run.class_names, "test")
    assert result.crops == 10
    assert result.accuracy == expected.accuracy
    assert result.loss == pytest.approx(expected.loss, rel=1e-4)
    assert result.confusion == expected.confusion
    kept = json.loads((run.folder / "evaluation-test-10crops.json").read_text())
    assert kept == result.to_dict()
    assert type(result).from_dict(kept) == result


def test_an_ensemble_is_the_mean_of_its_runs(runs):
    images = runs[0].splits.test
    each = [predict(run.model(), images, run.config) for run in runs]

    def loss(probabilities):
        return summarise(probabilities, images.labels, images.names, runs[0].class_names, "test").loss

    result = evaluate(runs)
    assert result.loss == pytest.approx(loss(np.mean(each, axis=0)))
    assert result.loss != pytest.approx(loss(each[0]))
    assert result.runs == [str(run.folder) for run in runs]
    assert (runs[0].folder / "evaluation-test-ensemble.json").is_file()


def test_an_ensemble_of_other_classes_or_images_is_refused(runs, tmp_path):
    other = shutil.copytree(runs[1].folder, tmp_path / "other")
    (other / "class_names.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match="must have the same classes"):
        evaluate([runs[0], Run.open(other)])
    with pytest.raises(ValueError, match="needs at least one run"):
        evaluate([])


def test_what_is_left_out_is_counted_both_ways(runs, tmp_path):
    run = runs[0]
    images, whole = run.splits.test, evaluate(run)
    probabilities = predict(run.model(), images, run.config)
    left_out = next(i for i, label in enumerate(images.labels) if label == 1)
    (tmp_path / "list.txt").write_text(f"{images.names[left_out]}\n\n")
    kept = np.array([label != 0 and i != left_out for i, label in enumerate(images.labels)])
    result = evaluate(run, without=["digit_0", str(tmp_path / "list.txt")])
    assert result.images == kept.sum() < whole.images
    right = probabilities.argmax(axis=1) == images.labels
    assert result.accuracy == pytest.approx(right[kept].mean())
    assert result.per_class["digit_0"] is None
    assert dataclasses.asdict(result.with_all_images).items() <= whole.to_dict().items()
    assert {miss.name for miss in result.misclassified} == {images.names[i] for i in np.flatnonzero(kept & ~right)}
    assert all(images.names[miss.index] == miss.name for miss in result.misclassified)


def test_strangers_in_what_is_left_out_are_refused(runs):
    with pytest.raises(ValueError, match="must be a class, an image of the evaluated data.*Received: 'digit_9'$"):
        evaluate(runs[0], without=["digit_9"])
    with pytest.raises(ValueError, match="must keep some of its images"):
        evaluate(runs[0], without=["digit_0", "digit_1", "digit_2"])


def test_other_numbers_of_crops_are_refused(runs):
    assert CROPS == (1, 2, 6, 10, 12, 144)
    with pytest.raises(ValueError, match="must be one of 1, 2, 6, 10, 12, 144. Received: 5"):
        evaluate(runs[0], crops=5)


def test_calibration_by_hand():
    """Two images sure by 0.9, one of them right; two sure by 0.6, both right: 0.5 * |0.9 - 0.5| + 0.5 * |0.6 - 1|."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    result = summarise(probabilities, np.array([0, 1, 0, 1]), list("abcd"), ["x", "y"], "test")
    assert result.calibration.error == pytest.approx(0.4)
    assert result.calibration.bins == [
        {"images": 2, "confidence": pytest.approx(0.6), "accuracy": 1.0},
        {"images": 2, "confidence": pytest.approx(0.9), "accuracy": 0.5},
    ]


def test_a_network_that_is_always_sure_and_right_is_calibrated():
    result = summarise(np.eye(3), np.arange(3), list("abc"), list("xyz"), "test")
    assert result.calibration.error == 0
    assert result.calibration.bins == [{"images": 3, "confidence": 1.0, "accuracy": 1.0}]
