"""Images with several labels: tables of them, their splits, objective, training, evaluation and report."""

import dataclasses
import json
import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from killed_training import tiny_registered, with_tiny
from table_helpers import DIGITS, PATHS, SEVERAL, table, write
from training_helpers import tiny_config, with_pipeline

from keras_inception.training import Evaluation, Run, evaluate, pack, scan, train, write_arrays, write_frame
from keras_inception.training.config import AugmentConfig, ObjectiveConfig
from keras_inception.training.data.several import even_part
from keras_inception.training.data.sources import describe, open_labelled, open_splits
from keras_inception.training.engine.losses import asymmetric, binary
from keras_inception.training.engine.network import build_model
from keras_inception.training.engine.objective import make_objective
from keras_inception.training.evaluation.labels import choose_thresholds, label_figures
from keras_inception.training.pipeline.training import training_batches

LABELS = ["digit_0", "digit_1", "digit_2"]
ROWS = SEVERAL


@pytest.fixture
def data(here) -> str:
    return write(here, table(ROWS, "path,labels"))


def labels_by_name(splits) -> dict[str, set[str]]:
    return {
        Path(name).relative_to(Path(name).parents[1]).as_posix(): {
            splits.class_names[i] for i in np.flatnonzero(targets)
        }
        for part in ("train", "validation", "test")
        for name, targets in zip(splits[part].names, splits[part].labels, strict=True)
    }


def test_a_table_of_several_labels_becomes_zeros_and_ones(data):
    splits = open_splits(tiny_config(data))
    assert splits.several
    assert splits.class_names == LABELS
    assert splits.train.labels.dtype == np.float32
    assert labels_by_name(splits) == {path: set(filter(None, cell.split("|"))) for path, cell in ROWS}
    assert sum(splits.describe(part)["per_class"]["digit_0"] for part in ("train", "validation", "test")) == sum(
        "digit_0" in cell for _, cell in ROWS
    )


def test_the_splits_are_reproducible_and_have_every_label(data):
    one, same = open_splits(tiny_config(data)), open_splits(tiny_config(data))
    other = open_splits(with_pipeline(tiny_config(data), split_seed=1))
    assert one.test.names == same.test.names != other.test.names
    for part in ("train", "validation", "test"):
        assert one[part].labels.any(axis=0).all()


def test_even_parts_have_their_share_of_every_label():
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 8)) < np.linspace(0.02, 0.5, 8)).astype(np.float32)
    chosen = even_part(labels, 100, seed=0)
    assert abs(chosen.sum() - 100) <= 3
    assert np.abs(labels[chosen].sum(0) - labels.sum(0) / 4).max() <= 1


def test_bars_in_a_column_label_part_labels_too_and_one_label_stays_one(here):
    barred = [(path, cell or "digit_0") for path, cell in ROWS]
    assert open_splits(tiny_config(write(here, table(barred, "path,label")))).several
    assert not open_splits(tiny_config(write(here, table(DIGITS, "path,label")))).several
    assert open_splits(tiny_config(write(here, table(DIGITS, "path,labels")))).several


def test_a_folder_beside_a_table_of_several_has_images_of_one_of_them(here, data):
    extra = [(f"{here}/{path}", cell) for path, cell in ROWS]
    (here.parent / "more" / "digit_2").mkdir(parents=True)
    (here / "digit_2" / "000.png").rename(here.parent / "more" / "digit_2" / "000.png")
    rows = [row for row in extra if not row[0].endswith("digit_2/000.png")]
    splits = open_splits(tiny_config(f"{write(here, table(rows, 'path,labels'))},folder:{here.parent / 'more'}"))
    assert labels_by_name(splits)["digit_2/000.png"] == {"digit_2"}
    (here.parent / "more" / "digit_2").rename(here.parent / "more" / "digit_1|digit_2")
    with pytest.raises(ValueError, match=r"name without \| where .* several labels. Received: 'digit_1\|digit_2' in"):
        open_splits(tiny_config(f"{write(here, table(rows, 'path,labels'))},folder:{here.parent / 'more'}"))


def test_a_data_frame_keeps_its_labels(here):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"file": PATHS, "labels": [cell or None for _, cell in ROWS]})
    splits = open_splits(tiny_config(write_frame(here / "frame.csv", frame, folder=here)))
    assert labels_by_name(splits) == {path: set(filter(None, cell.split("|"))) for path, cell in ROWS}


def test_arrays_and_data_sets_of_hugging_face_have_them_too(here, tmp_path):
    labels = np.array([[name in cell for name in LABELS] for _, cell in ROWS], np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 12, 12), np.uint8)
    splits = open_splits(tiny_config(write_arrays(tmp_path / "several.npz", pixels, labels, class_names=LABELS)))
    assert splits.several
    for part in ("train", "test"):
        numbers = [int(name.rpartition("/")[2]) for name in splits[part].names]
        np.testing.assert_array_equal(splits[part].labels, labels[numbers])
    with pytest.raises(ValueError, match=r"zeros and ones for each .* Received: .* 2 classes and labels of .*\(3,\)"):
        open_splits(tiny_config(write_arrays(tmp_path / "wrong.npz", pixels, labels, class_names=LABELS[:2])))
    with pytest.raises(ValueError, match=r"or zeros and ones \[n, classes\]. Received: uint8 \[24, 3\]"):
        write_arrays(tmp_path / "wrong.npz", pixels, labels * 2)

    datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
    kind = datasets.Sequence(datasets.ClassLabel(names=LABELS))
    columns = {
        "image": [str(here / path) for path in PATHS],
        "found": [[name for name in LABELS if name in cell] for _, cell in ROWS],
    }
    features = datasets.Features({"image": datasets.Image(), "found": kind})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "saved"))
    found = open_splits(tiny_config(f"hf:{tmp_path / 'saved'}"))
    assert found.several and found.class_names == LABELS
    by_row = {PATHS[int(name.partition("/")[0])]: labels for name, labels in labels_by_name(found).items()}
    assert by_row == {path: set(filter(None, cell.split("|"))) for path, cell in ROWS}


def test_other_data_is_numbered_by_the_runs_classes_and_may_have_one_label(here, data):
    images, _ = open_labelled(
        write(here, table(ROWS[:12], "path,labels"), "more.csv"), tiny_config(), LABELS, several=True
    )
    assert images.labels.shape == (12, 3)
    single, _ = open_labelled(f"folder:{here}", tiny_config(), ["other", *LABELS], several=True)
    np.testing.assert_array_equal(single.labels.sum(0), [0, 8, 8, 8])
    with pytest.raises(ValueError, match="trained on one label an image .* Received: images of several labels in csv:"):
        open_labelled(data, tiny_config(), LABELS)


def test_a_changed_label_changes_the_fingerprint(data):
    splits = open_splits(tiny_config(data))
    changed = splits.train.labels.copy()
    changed[0, 0] = 1 - changed[0, 0]
    other = describe(dataclasses.replace(splits.train, labels=changed), LABELS)
    assert other["fingerprint"] != splits.describe("train")["fingerprint"]


def test_an_image_weighs_as_the_heaviest_of_its_labels(data):
    weighted = open_splits(with_pipeline(tiny_config(data), class_weights={"digit_0": 3.0, "digit_1": 0.5})).train
    of_class = np.array([3.0, 0.5, 1.0])
    for targets, weight in zip(weighted.labels, weighted.weights, strict=True):
        assert weight == (of_class[targets > 0].max() if targets.any() else 1.0)
    balanced = open_splits(with_pipeline(tiny_config(data), balance_classes=True)).train
    counts = balanced.labels.sum(0)
    rarest = int(counts.argmin())
    alone = (balanced.labels[:, rarest] == 1) & (balanced.labels.sum(1) == 1)
    np.testing.assert_allclose(balanced.weights[alone], counts.mean() / counts[rarest], rtol=1e-6)


def test_a_scan_counts_an_image_for_each_of_its_labels(data):
    cells = [cell for _, cell in ROWS]
    expected = {name: sum(name in cell for cell in cells) for name in LABELS} | {"no label": cells.count("")}
    assert scan(data).per_class == expected


def test_packed_images_keep_their_labels(here, data):
    pack(data, here.parent / "packed")
    splits = open_splits(tiny_config(f"tfrecord:{here.parent / 'packed'}"))
    found = labels_by_name(splits)
    assert {name.split("/")[-2] + "/" + name.split("/")[-1]: labels for name, labels in found.items()} == {
        path: set(filter(None, cell.split("|"))) for path, cell in ROWS
    }


TARGETS = np.array([[1, 0, 1], [0, 0, 0], [0.3, 1, 0]], np.float32)
ANSWERS = np.array([[0.9, 0.2, 0.4], [0.03, 0.5, 0.999], [0.5, 1e-4, 0.06]], np.float32)


def test_binary_cross_entropy_is_the_sum_over_the_labels():
    expected = -(TARGETS * np.log(ANSWERS) + (1 - TARGETS) * np.log(1 - ANSWERS)).sum(1)
    np.testing.assert_allclose(binary(TARGETS, ANSWERS), expected, rtol=1e-4)


def test_the_asymmetric_loss_is_the_papers():
    shifted = np.maximum(ANSWERS - 0.05, 0)
    absent = (1 - TARGETS) * shifted**4 * np.log(1 - shifted)
    expected = -(TARGETS * (1 - ANSWERS) * np.log(ANSWERS) + absent).sum(1)
    np.testing.assert_allclose(asymmetric(TARGETS, ANSWERS), expected, rtol=1e-5)
    assert float(asymmetric(np.zeros((1, 3)), np.full((1, 3), 0.05))[0]) == 0.0  # easy negatives cost nothing


@pytest.mark.parametrize("function", [binary, asymmetric])
def test_saturated_sigmoids_have_gradients_that_are_numbers(function):
    logits = tf.Variable([[-200.0, 200.0, 0.0, -3.0, 200.0, -200.0]])
    with tf.GradientTape() as tape:
        loss = function(tf.constant([[0.0, 1.0, 1.0, 0.0, 0.0, 1.0]]), keras.ops.sigmoid(logits))
    assert np.isfinite(loss.numpy()).all()
    gradient = tape.gradient(loss, logits).numpy()[0]
    assert np.isfinite(gradient).all()
    assert gradient[2] < 0  # towards the label that is there


@pytest.mark.parametrize("loss", ["auto", "asymmetric"])
def test_every_head_has_the_loss_with_its_weight_on_smoothed_targets(loss):
    config = tiny_config(objective=ObjectiveConfig(loss=loss, label_smoothing=0.2))
    model, objective = build_model(config, 3, several=True), make_objective(config, 3, several=True)
    model.compile(**objective.compile_arguments(), run_eagerly=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1)).astype(np.float32)
    outputs = model(images, training=False)
    function = asymmetric if loss == "asymmetric" else binary
    smooth = TARGETS * 0.8 + 0.1
    by_head = {head: float(np.mean(function(smooth, output))) for head, output in outputs.items()}
    logs = model.evaluate(images, objective.for_heads(TARGETS), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(
        sum(by_head[head] * weight for head, weight in objective.weights.items()), rel=1e-4
    )
    assert logs["predictions_cross_entropy"] == pytest.approx(
        float(np.mean(binary(smooth, outputs["predictions"]))), rel=1e-4
    )
    right = ((TARGETS > 0.5) == (np.asarray(outputs["aux1"]) > 0.5)).mean()
    assert logs["aux1_accuracy"] == pytest.approx(right, rel=1e-6)
    assert 0 <= logs["predictions_mean_average_precision"] <= 1
    assert {layer.activation for layer in model.layers if layer.name in objective.weights} == {
        keras.activations.sigmoid
    }


@pytest.mark.parametrize(
    ("loss", "several", "message"),
    [
        ("cross_entropy", True, "auto, binary or asymmetric where images have several labels. Received: cross_entropy"),
        ("binary", False, "auto or cross_entropy where images have one label. Received: binary"),
    ],
)
def test_a_loss_of_the_other_kind_of_labels_is_a_sentence(loss, several, message):
    with pytest.raises(ValueError, match=message):
        make_objective(tiny_config(objective=ObjectiveConfig(loss=loss)), 3, several)


def test_mixing_blends_the_zeros_and_ones(data):
    config = with_pipeline(tiny_config(data), augment=AugmentConfig(mixup=1.0))
    train = open_splits(config).train
    pixels, targets = next(iter(training_batches(train, config, 3).take(1)))
    assert pixels.shape[0] == targets.shape[0] == 8
    targets = targets.numpy()
    assert ((targets >= 0) & (targets <= 1)).all() and ((targets > 0) & (targets < 1)).any()
    plain = with_pipeline(tiny_config(data), augment=AugmentConfig())
    pairs = next(iter(training_batches(train, plain, 3).take(1)))[1].numpy().reshape(4, 2, 3)
    mixed = targets.reshape(4, 2, 3)
    assert (mixed >= pairs.min(1, keepdims=True) - 1e-6).all() and (mixed <= pairs.max(1, keepdims=True) + 1e-6).all()


def test_thresholds_are_those_of_the_largest_f1():
    generator = np.random.default_rng(0)
    targets = (generator.random((60, 3)) < (0.2, 0.5, 0)).astype(np.float32)
    scores = np.clip(0.4 * targets + 0.6 * generator.random((60, 3)), 0, 1).round(2)

    def f1(i, threshold):
        found = scores[:, i] > threshold
        return 2 * (found & (targets[:, i] > 0)).sum() / (found.sum() + targets[:, i].sum())

    chosen = choose_thresholds(scores, targets)
    for i in (0, 1):
        assert f1(i, chosen[i]) == max(f1(i, threshold) for threshold in np.linspace(0, 1, 201))
        assert not np.isin(chosen[i], scores)
    assert chosen[2] == 0.5  # no image has it


def test_average_precision_leaves_out_classes_without_images():
    scores = np.array([[0.9, 0.5], [0.8, 0.2], [0.1, 0.7], [0.3, 0.1]])
    there = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], bool)
    found = label_figures(scores, there, ["a", "b"], np.array([0.5, 0.5]))
    assert found.by_class["a"].average_precision == pytest.approx((1 + 2 / 4) / 2)
    assert found.mean_average_precision == found.by_class["a"].average_precision
    assert (found.by_class["a"].f1, found.by_class["a"].precision, found.by_class["a"].recall) == (0.5, 0.5, 0.5)
    assert found.by_class["b"].average_precision is None


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory) -> Run:
    """A run of two epochs, with auxiliary heads and mixed images."""
    folder = tmp_path_factory.mktemp("several")
    rows = [(photos / path, cell) for path, cell in ROWS]
    config = with_tiny(tiny_config(write(folder, table(rows, "path,labels")), epochs=2))
    config = with_pipeline(config, augment=AugmentConfig(mixup=0.2), balance_classes=True)
    with tiny_registered():
        return train(config, folder / "run")


def test_a_run_chooses_thresholds_on_validation_images_and_keeps_them(trained):
    kept = json.loads((trained.folder / "thresholds.json").read_text())
    assert list(kept) == LABELS
    assert trained.several and Run.open(trained.folder).thresholds == tuple(kept.values())
    result = Evaluation.from_dict(json.loads((trained.folder / "evaluation.json").read_text()))
    assert {name: of_class.threshold for name, of_class in result.labels.by_class.items()} == kept
    assert result.images == len(trained.splits.test.labels)
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    assert metrics["test_mean_average_precision"] == result.labels.mean_average_precision
    assert 0 < metrics["validation_mean_average_precision"] <= 1
    assert result == evaluate(Run.open(trained.folder))


def test_probabilities_are_sigmoids_and_crops_average_them(trained):
    model = trained.model()
    answers = np.concatenate([np.asarray(model(pixels)["predictions"]) for pixels, _ in trained.batches("test")])
    assert not np.allclose(answers.sum(1), 1)
    result = evaluate(trained, crops=10)
    assert result.crops == 10 and result.labels.by_class.keys() == set(LABELS)
    without = evaluate(trained, without=["digit_0"])
    assert without.images == int((trained.splits.test.labels[:, 0] == 0).sum())
    assert without.with_all_images.images == len(answers)


def test_the_report_shows_thresholds_and_no_confusion(trained):
    page = (trained.folder / "report.html").read_text()
    for text in ("test mAP", "Mean average precision", '<th class="n">threshold</th>', "Images with a wrong label"):
        assert text in page
    for text in ("What the network looks at", "most often confused", "test accuracy"):
        assert text not in page
    for threshold in trained.thresholds:
        assert f"{threshold:.3f}" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)


def test_damaged_thresholds_are_a_sentence(trained, tmp_path):
    for name in ("config.json", "class_names.txt"):
        (tmp_path / name).write_text((trained.folder / name).read_text())
    (tmp_path / "thresholds.json").write_text('{"digit_0": 0.5, "digit_1": 2.0, "digit_2": 0.5}')
    with pytest.raises(ValueError, match="thresholds.json must hold a share for each class. Received: "):
        _ = Run.open(tmp_path).thresholds


def test_the_example_pastes_photographs_and_lists_their_labels(here, tmp_path):
    example = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples" / "several_labels.py"))
    listed = example["main"](here, tmp_path / "pictures", 48)
    splits = open_splits(tiny_config(f"csv:{listed}"))
    assert splits.several and splits.class_names == LABELS
    assert [len(splits[part].labels) for part in ("train", "validation", "test")] == [34, 6, 8]
    assert {1, 2} <= set(splits.train.labels.sum(axis=1)) <= {1, 2, 3}
