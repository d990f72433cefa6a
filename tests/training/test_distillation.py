"""Learning from a teacher: its loss, its answers, and the cache that keeps them."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import tiny_registered, with_tiny
from training_helpers import tiny_config, with_pipeline

import keras_inception as ki
from keras_inception.training import resume, train
from keras_inception.training.config import AugmentConfig, ObjectiveConfig
from keras_inception.training.data.sources import open_splits
from keras_inception.training.engine.losses import distillation
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.engine.teacher import Teacher, _names_of, batches_to_learn
from keras_inception.training.pipeline.training import training_batches
from keras_inception.training.runs.run import SPLITS, Run

ALL_VARIED = AugmentConfig(crop_padding=1, brightness=0.2, mixup=0.2)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with tiny_registered():
        yield


@pytest.fixture(scope="module")
def teacher(photos, tmp_path_factory) -> Run:
    """A trained run on images of three classes, without its test and report."""
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    return train(with_tiny(tiny_config(f"folder:{photos}")), folder, stop_after=1)


def student(photos, teacher, *, size=12, augment=ALL_VARIED, epochs=1, **objective):
    """A configuration that learns from a run, on the same images."""
    config = with_tiny(tiny_config(f"folder:{photos}", epochs=epochs))
    model = dataclasses.replace(config.model, image_size=size, aux_heads=False)
    names = [str(getattr(one, "folder", one)) for one in (teacher if isinstance(teacher, list) else [teacher])]
    config = dataclasses.replace(
        config, model=model, objective=ObjectiveConfig(**{"teacher": ",".join(names), **objective})
    )
    return with_pipeline(config, augment=augment, batch_size=4).resolved()


def answers_of(config, count=None, **place):
    """Pixels, labels and the teacher's answers of training batches."""
    splits = open_splits(config)
    batches = training_batches(splits.train, config, 3, **place)
    told = Teacher(config, splits).beside(batches, **place)
    for pixels, targets in told.take(count or -1).as_numpy_iterator():
        yield pixels, targets[:, :3], targets[:, 3:]


def test_the_loss_is_hintons():
    logits = np.random.default_rng(0).normal(size=(2, 5, 4)) * 3
    of_teacher, of_student = (np.exp(each) / np.exp(each).sum(-1, keepdims=True) for each in logits)
    for temperature in (0.5, 1, 4):
        p, q = (np.exp(each / temperature) for each in logits)
        p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
        expected = temperature**2 * (p * np.log(p / q)).sum(-1)
        found = distillation(of_teacher.astype("float32"), of_student.astype("float32"), temperature)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(distillation(of_teacher, of_teacher, temperature), 0, atol=1e-6)


def test_of_several_labels_each_is_a_choice_of_two():
    logits = np.random.default_rng(0).normal(size=(2, 5, 4)) * 3
    of_teacher, of_student = 1 / (1 + np.exp(-logits))
    for temperature in (1, 4):
        p, q = 1 / (1 + np.exp(-logits / temperature))
        expected = temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).sum(-1)
        found = distillation(of_teacher.astype("float32"), of_student.astype("float32"), temperature, several=True)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_every_head_learns_from_labels_and_teacher_by_their_share_and_metrics_see_labels_alone():
    settings = ObjectiveConfig(label_smoothing=0.1, teacher="x", teacher_weight=0.3, temperature=3.0)
    config = with_tiny(tiny_config(objective=settings))
    model, objective = build_model(config, 10), make_objective(config, 10)
    model.compile("sgd", **objective.compile_arguments(), run_eagerly=True)
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (4, 12, 12, 1)).astype("float32"), np.eye(10, dtype="float32")[:4]
    answers = rng.dirichlet(np.ones(10), 4).astype("float32")
    outputs = model(pixels, training=False)
    expected = sum(
        weight
        * np.mean(
            0.7 * keras.losses.categorical_crossentropy(labels, outputs[head], label_smoothing=0.1)
            + 0.3 * distillation(answers, outputs[head], 3.0)
        )
        for head, weight in objective.weights.items()
    )
    logs = model.evaluate(
        pixels, objective.for_heads(np.concatenate([labels, answers], 1)), verbose=0, return_dict=True
    )
    of_labels = model.evaluate(pixels, objective.for_heads(labels), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(float(expected), rel=1e-5)
    for name in ("predictions_accuracy", "aux1_accuracy", "predictions_cross_entropy"):
        assert logs[name] == of_labels[name]


def test_the_teacher_sees_the_students_own_pixels(photos, teacher):
    model = teacher.model()
    for pixels, _, answers in answers_of(student(photos, teacher)):
        expected = model(pixels.astype("float32"), training=False)["predictions"]
        np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-7)


def test_a_teacher_of_another_size_sees_them_resized_and_several_are_averaged(photos, teacher):
    pixels, _, answers = next(answers_of(student(photos, [teacher, teacher], size=18)))
    resized = tf.image.resize(pixels, (12, 12), antialias=True)
    expected = teacher.model()(resized, training=False)["predictions"]
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-6)
    first, second = (next(answers_of(student(photos, teacher, size=size)))[2] for size in (12, 12))
    np.testing.assert_array_equal(first, second)


def test_classes_in_another_order_are_put_into_the_runs(photos, teacher, tmp_path):
    shutil.copytree(teacher.folder, tmp_path / "turned")
    names = (tmp_path / "turned" / "class_names.txt").read_text().splitlines()
    (tmp_path / "turned" / "class_names.txt").write_text("\n".join([names[2], names[0], names[1]]) + "\n")
    _, _, plain = next(answers_of(student(photos, teacher)))
    _, _, turned = next(answers_of(student(photos, tmp_path / "turned")))
    np.testing.assert_array_equal(turned, plain[:, [1, 2, 0]])


def test_places_and_slices_of_the_batches_get_the_answers_of_the_whole(photos, teacher):
    config = student(photos, teacher, epochs=2)
    whole = list(answers_of(config))
    steps = len(whole) // 2
    later = list(answers_of(config, first_epoch=1, first_step=1))
    assert len(later) == steps - 1
    for (_, _, some), (_, _, same) in zip(later, whole[steps + 1 :], strict=True):
        np.testing.assert_allclose(some, same, rtol=1e-5)
    _, _, second_half = next(answers_of(config, shard=(1, 2)))
    np.testing.assert_allclose(second_half, whole[0][2][2:], rtol=1e-5)


@pytest.mark.parametrize("augment", [ALL_VARIED, AugmentConfig()], ids=["varied", "as they are"])
def test_answers_are_kept_by_image_and_by_epoch_where_that_differs(photos, teacher, tmp_path, monkeypatch, augment):
    config = student(photos, teacher, epochs=2, augment=augment, teacher_cache=str(tmp_path / "kept"))
    plain = list(answers_of(student(photos, teacher, epochs=2, augment=augment)))
    for first, second in zip(answers_of(config), plain, strict=True):
        np.testing.assert_allclose(first[2], second[2], rtol=1e-5)
    (folder,) = (tmp_path / "kept").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == (
        ["epoch-0001.npy", "epoch-0002.npy"] if augment is ALL_VARIED else ["all.npy"]
    )
    monkeypatch.setattr(Teacher, "probabilities", lambda *_: pytest.fail("a teacher was asked again"))
    halves = list(answers_of(config, shard=(1, 2)))  # by image, whichever process asks
    for half, second in zip(halves, plain, strict=True):
        np.testing.assert_allclose(half[2], second[2][2:], rtol=1e-5)
    with pytest.raises(tf.errors.OpError, match="asked again"):
        list(answers_of(dataclasses.replace(config, seed=1)))


def test_a_half_written_row_is_asked_for_again(photos, teacher, tmp_path):
    config = student(photos, teacher, teacher_cache=str(tmp_path / "kept"))
    whole = [answers for _, _, answers in answers_of(config)]
    (path,) = tmp_path.glob("kept/*/*.npy")
    table = np.load(path)
    table[:, 1] = np.nan
    np.save(path, table)
    for again, before in zip(answers_of(config), whole, strict=True):
        np.testing.assert_array_equal(again[2], before)


@pytest.mark.slow
def test_a_resumed_student_is_the_undisturbed_one(photos, teacher, tmp_path):
    config = student(photos, teacher, epochs=2, teacher_cache=str(tmp_path / "kept"))
    train(config, tmp_path / "resumed", stop_after=1)
    resumed = resume(tmp_path / "resumed", stop_after=2)
    assert _same(train(config, tmp_path / "undisturbed", stop_after=2), resumed)


@pytest.mark.slow
def test_a_teacher_without_weight_changes_nothing(photos, teacher, tmp_path):
    config = student(photos, teacher)
    runs = {
        share: train(
            dataclasses.replace(config, objective=dataclasses.replace(config.objective, **changes)),
            tmp_path / share,
            stop_after=1,
        )
        for share, changes in {"none": {"teacher_weight": 0.0}, "half": {}, "alone": {"teacher": ""}}.items()
    }
    assert _same(runs["none"], runs["alone"])
    assert not _same(runs["half"], runs["alone"])


def _same(*runs):
    some, others = (run.model().get_weights() for run in runs)
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


def test_batches_to_learn_without_a_teacher_have_the_targets_of_the_labels(photos):
    config = with_pipeline(with_tiny(tiny_config(f"folder:{photos}")), batch_size=4)
    splits, objective = open_splits(config), make_objective(config, 3)
    _, targets = next(iter(batches_to_learn(splits, config, objective, Teacher.of(config, splits))))
    assert {head: target.shape for head, target in targets.items()} == dict.fromkeys(objective.weights, (4, 3))


def test_teachers_that_do_not_fit_are_refused_in_one_sentence(photos, teacher, tmp_path):
    def refused(match, error=ValueError, **changes):
        config = student(photos, **{"teacher": teacher, **changes})
        with pytest.raises(error, match=match):
            config.validate()
            Teacher(config, open_splits(config))

    other = tmp_path / "other"
    shutil.copytree(teacher.folder, other)
    (other / "class_names.txt").write_text("digit_0\ndigit_1\nowl\n")
    refused(
        "must know the run's 3 classes and no others. Received: .*other, which does not know 'digit_2'", teacher=other
    )
    (tmp_path / "empty").mkdir()
    refused("run folder holds config.json", FileNotFoundError, teacher=tmp_path / "empty")
    refused("objective.teacher must be a run folder, the tag of .* Received: 'nonsense'", teacher="nonsense")
    refused("objective.teacher_cache needs objective.teacher", teacher="", teacher_cache="kept")
    refused("temperature must be more than 0", temperature=0.0)
    refused("teacher_weight must be between 0 and 1", teacher_weight=1.5)
    with pytest.raises(ValueError, match="learnt several labels an image, as the run does. Received: .*, one label"):
        several = open_splits(student(photos, teacher))
        as_several = [
            dataclasses.replace(part, labels=np.eye(3, dtype="float32")[part.labels])
            for part in (several.train, several.validation, several.test)
        ]
        Teacher(student(photos, teacher), dataclasses.replace(several, **dict(zip(SPLITS, as_several, strict=True))))
    grey = student(photos, teacher)
    colour = dataclasses.replace(grey, model=dataclasses.replace(grey.model, channels=3))
    with pytest.raises(ValueError, match="must take images of the run's channels, 3. Received: .* for 1"):
        Teacher(colour, open_splits(colour))


def test_a_weights_file_teaches_the_classes_that_it_names(photos, tmp_path):
    small = {"classes": 3, "alpha": 0.25, "stem": "low_resolution"}
    model = ki.MobileNetV1(weights=None, input_shape=(32, 32, 3), include_preprocessing=True, **small)
    ki.weights.save_weights(model, tmp_path / "silent.h5")
    labels = ["digit_2", "digit_0", "digit_1"]
    ki.weights.convert(tmp_path / "silent.h5", tmp_path / "mine.h5", network="mobilenet_v1", labels=labels, **small)
    config = student(photos, tmp_path / "mine.h5")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3))
    pixels, _, answers = next(answers_of(config))
    found, _ = ki.weights.build(tmp_path / "mine.h5", include_preprocessing=True)
    resized = tf.image.resize(pixels, found.input_shape[1:3], antialias=True)
    expected = np.asarray(found(resized, training=False))[:, [1, 2, 0]]
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-6)


def test_released_weights_name_imagenets_classes_by_wordnet_id_and_by_name():
    model = ki.MobileNetV1(weights=None, alpha=0.25, stem="low_resolution", input_shape=(32, 32, 3))
    ids, names = _names_of(model, ())
    assert (len(set(ids)), ids[0], names[0]) == (1000, "n01440764", "tench")
    assert _names_of(model, ("ant", "bee")) == [("ant", "bee")]


@pytest.mark.parametrize("settings", [{}, {"teacher": "x"}, {"loss": "asymmetric"}], ids=["plain", "taught", "several"])
def test_a_compiled_model_is_saved_and_loaded_with_its_objective(settings, tmp_path):
    config = with_tiny(tiny_config(objective=ObjectiveConfig(**settings)))
    model, objective = build_model(config, 3), make_objective(config, 3, several="loss" in settings)
    model.compile("sgd", **objective.compile_arguments(), run_eagerly=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 1)).astype("float32")
    targets = objective.for_heads(np.eye(3, dtype="float32")[:2])
    before = model.evaluate(pixels, targets, verbose=0, return_dict=True)
    model.save(tmp_path / "compiled.keras")
    loaded = keras.saving.load_model(tmp_path / "compiled.keras")
    loaded.run_eagerly = True
    again = loaded.evaluate(pixels, targets, verbose=0, return_dict=True)
    assert again == pytest.approx(before, rel=1e-5)
