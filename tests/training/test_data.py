"""Sources, splits, quarantine and the pipeline: which images come, in which order, and what is set aside."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from training_helpers import tiny_config, with_pipeline, write_digits

from keras_inception.training import scan
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data.sources import describe, open_labelled, open_splits
from keras_inception.training.pipeline.preparing import evaluation_batches, prepare
from keras_inception.training.pipeline.training import training_batches


def all_batches(dataset):
    return [(images.copy(), labels.copy()) for images, labels in dataset.as_numpy_iterator()]


def test_digits_hold_out_360_test_digits_stratified_and_disjoint():
    splits = open_splits(tiny_config())
    parts = [splits.train, splits.validation, splits.test]
    assert [len(part.labels) for part in parts] == [1293, 144, 360]
    assert len(set().union(*(part.names for part in parts))) == 1797
    for part in parts:
        shares = np.bincount(part.labels, minlength=10) / len(part.labels)
        assert abs(shares - 0.1).max() < 0.01


def test_the_split_follows_its_own_seed_and_not_the_runs():
    first = open_splits(tiny_config(seed=1)).test.names
    assert open_splits(tiny_config(seed=2)).test.names == first
    assert open_splits(with_pipeline(tiny_config(), split_seed=1)).test.names != first


def test_a_flat_folder_is_split_stratified_and_disjoint(tmp_path):
    write_digits(tmp_path, classes=3, each=20)
    splits = open_splits(tiny_config(f"folder:{tmp_path}"))
    assert splits.class_names == ["digit_0", "digit_1", "digit_2"]
    assert {name: np.bincount(splits[name].labels).tolist() for name in ("train", "validation", "test")} == {
        "train": [14, 14, 15], "validation": [2, 2, 1], "test": [4, 4, 4],
    }  # fmt: skip
    names = splits.train.names + splits.validation.names + splits.test.names
    assert len(set(names)) == 60


@pytest.mark.parametrize("held_out", ["validation", "val", "test"])
def test_a_held_out_folder_is_the_test_set_and_validation_comes_from_train(tmp_path, held_out):
    write_digits(tmp_path / "train", each=10)
    write_digits(tmp_path / held_out, each=4)
    splits = open_splits(tiny_config(f"folder:{tmp_path}"))
    assert len(splits.test.labels) == 12
    assert all(f"/{held_out}/" in name for name in splits.test.names)
    assert len(splits.validation.labels) == 3
    assert all("/train/" in name for name in splits.validation.names + splits.train.names)


def test_named_validation_and_test_folders_are_used_as_they_are(tmp_path):
    for name, each in (("train", 6), ("val", 3), ("test", 2)):
        write_digits(tmp_path / name, each=each)
    splits = open_splits(tiny_config(f"folder:{tmp_path}"))
    assert [len(splits[name].labels) for name in ("train", "validation", "test")] == [18, 9, 6]


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("Train", "Validation", "Test"), ("training", "eval", "testing")]
)
def test_parts_are_known_by_the_names_that_other_tools_give_them(tmp_path, names):
    for name, each in zip(names, (6, 3, 2), strict=True):
        write_digits(tmp_path / name, each=each)
    splits = open_splits(tiny_config(f"folder:{tmp_path}"))
    assert [len(splits[name].labels) for name in ("train", "validation", "test")] == [18, 9, 6]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "val", "valid"), "one part for validation. Received: 'val', 'valid'"),
        (("val", "test"), "there must be train/"),
        (("train", "unlabelled"), "may hold images. Received: 'unlabelled'"),
    ],
)
def test_images_that_no_part_would_use_are_named(tmp_path, folders, message):
    for name in folders:
        write_digits(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        open_splits(tiny_config(f"folder:{tmp_path}"))


def test_a_class_may_be_called_train(tmp_path):
    write_digits(tmp_path, classes=3)
    (tmp_path / "digit_1").rename(tmp_path / "train")
    assert open_splits(tiny_config(f"folder:{tmp_path}")).class_names == ["digit_0", "digit_2", "train"]


def test_images_in_nested_folders_are_used_as_scan_counts_them(tmp_path):
    write_digits(tmp_path, classes=2, each=12)
    for label in range(2):
        deep = tmp_path / f"digit_{label}" / "more" / "still"
        deep.mkdir(parents=True)
        for image in sorted((tmp_path / f"digit_{label}").glob("*.png"))[:6]:
            image.rename(deep / image.name)
    (tmp_path / "digit_0" / ".hidden").mkdir()
    (tmp_path / "digit_0" / ".hidden" / "not.png").write_bytes(b"")
    (tmp_path / "digit_1" / "round").symlink_to(tmp_path / "digit_1")
    splits = open_splits(tiny_config(f"folder:{tmp_path}"))
    parts = [splits[name] for name in ("train", "validation", "test")]
    assert sum(len(part.labels) for part in parts) == 24 == scan(tmp_path).usable
    for part in parts:
        assert all(f"/digit_{label}/" in name for name, label in zip(part.names, part.labels, strict=True))


def test_test_data_is_taken_from_its_own_place_with_labels_by_name(tmp_path):
    write_digits(tmp_path / "a", classes=3)
    write_digits(tmp_path / "b", classes=3, each=2)
    for image in (tmp_path / "b" / "digit_0").iterdir():
        image.unlink()
    (tmp_path / "b" / "digit_0").rmdir()
    config = tiny_config(f"folder:{tmp_path / 'a'}", test_data=f"folder:{tmp_path / 'b'}")
    splits = open_splits(config)
    assert splits.test.labels.tolist() == [1, 1, 2, 2]
    assert len(splits.train.labels) + len(splits.validation.labels) == 24


def test_files_of_all_kinds_decode_to_the_same_picture(tmp_path):
    pixels = np.zeros((14, 14, 3), np.uint8)
    pixels[4:9, 3:12] = 200  # grey, since JPEG blurs colours
    for suffix in ("png", "bmp", "gif", "JPEG"):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            for copy in range(3):
                Image.fromarray(pixels).save(tmp_path / label / f"{suffix}{copy}.{suffix}", quality=100)
    config = tiny_config(f"folder:{tmp_path}")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3, image_size=14))
    splits = open_splits(config)
    assert splits.bad_files == []
    (images, _), *_ = all_batches(evaluation_batches(splits.train, config, 100))
    assert len(images) == 17
    assert np.abs(images - pixels).mean(axis=(1, 2, 3)).max() < 4  # JPEG rounds


@pytest.fixture
def damaged(tmp_path):
    """Twelve good images and three that only look like images."""
    write_digits(tmp_path, classes=2, each=6, suffix=".jpg")
    (tmp_path / "digit_0" / "text.jpg").write_text("not an image")
    whole = (tmp_path / "digit_0" / "000.jpg").read_bytes()
    (tmp_path / "digit_1" / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "digit_1" / "empty.png").write_bytes(b"")
    (tmp_path / "digit_1" / "notes.txt").write_text("no image by its name: nobody's business")
    return tmp_path


def test_undecodable_files_are_named_once_with_a_reason_and_left_out(damaged):
    splits = open_splits(with_pipeline(tiny_config(f"folder:{damaged}"), max_bad_share=0.5))
    assert {file.path.rsplit("/", 1)[1]: file.reason for file in splits.bad_files} == {
        "text.jpg": "not a JPEG, PNG, GIF, BMP or WebP image",
        "cut.jpg": "truncated image",
        "empty.png": "empty file",
    }
    names = splits.train.names + splits.validation.names + splits.test.names
    assert len(names) == 12
    assert not set(names) & {file.path for file in splits.bad_files}


def test_too_large_a_share_of_bad_files_stops_with_one_sentence(damaged):
    with pytest.raises(ValueError, match=r"Received: 3 of 15 in .*text\.jpg$") as caught:
        open_splits(with_pipeline(tiny_config(f"folder:{damaged}"), max_bad_share=0.1))
    assert "\n" not in str(caught.value)


def test_unusable_folders_are_refused_in_one_sentence(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    write_digits(tmp_path / "one", classes=1)
    write_digits(tmp_path / "hollow")
    for image in (tmp_path / "hollow" / "digit_2").iterdir():
        image.unlink()
    write_digits(tmp_path / "few", each=1)
    for place, error, message in [
        ("absent", FileNotFoundError, "A folder of images must exist"),
        ("empty", ValueError, "one sub-folder of images a class. Received: no images in"),
        ("one", ValueError, "at least two classes. Received: one, 'digit_0'"),
        ("hollow", ValueError, "Every class folder must hold images. Received: none in 'digit_2'"),
        ("few", ValueError, "at least 3 readable images to be split. Received: 1 in class 'digit_0'"),
    ]:
        with pytest.raises(error, match=message) as caught:
            open_splits(tiny_config(f"folder:{tmp_path / place}"))
        assert "\n" not in str(caught.value)


def test_classes_that_were_not_trained_on_are_refused(tmp_path):
    write_digits(tmp_path, classes=3)
    with pytest.raises(ValueError, match=r"among the 2 classes trained on. Received: 3 classes, 'digit_2' unknown"):
        open_labelled(f"folder:{tmp_path}", tiny_config(), ["digit_0", "digit_1"])


def test_an_unknown_tfds_data_set_is_refused_in_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match="tfds:NAME must name a data set") as caught:
        open_splits(tiny_config("tfds:no_such_data_set_anywhere"))
    assert "\n" not in str(caught.value)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / ".keras"))  # where labels of TFDS are kept


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """A real TFDS data set with one split, written here: 30 digits of 3 classes as PNG."""
    import tensorflow_datasets as tfds
    from sklearn.datasets import load_digits

    scans = load_digits()
    chosen = np.concatenate([np.flatnonzero(scans.target == label)[:10] for label in range(3)])
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 1)), "label": tfds.features.ClassLabel(names=["zero", "one", "two"])}
    )
    examples = [
        {"image": np.round(scans.images[i] * (255 / 16)).astype(np.uint8)[..., None], "label": int(scans.target[i])}
        for i in chosen
    ]
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        "tiny_digits", "1.0.0", features,
        {"train": tf.data.Dataset.from_generator(lambda: iter(examples), output_signature={
            "image": tf.TensorSpec((8, 8, 1), tf.uint8), "label": tf.TensorSpec((), tf.int64)})},
        data_dir=tmp_path_factory.mktemp("tfds"),
    )  # fmt: skip
    return builder.data_path


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_a_tfds_data_set_gives_every_image_once_an_epoch(tfds_folder, cache_mb):
    config = tiny_config(f"tfds:{tfds_folder}")
    config = with_pipeline(config, cache_mb=cache_mb, batch_size=1, augment=AugmentConfig())
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, image_size=8))
    splits = open_splits(config)
    assert splits.class_names == ["zero", "one", "two"]
    assert [len(splits[name].labels) for name in ("train", "validation", "test")] == [21, 3, 6]
    assert np.bincount(splits.test.labels).tolist() == [2, 2, 2]
    plain = {image.tobytes(): label for image, (label,) in all_batches(evaluation_batches(splits.train, config, 1))}
    trained = all_batches(training_batches(splits.train, config, 3))
    shuffled = {image.astype(np.float32).tobytes(): label.argmax() for image, (label,) in trained}
    assert len(plain) == 21
    assert shuffled == plain
    assert list(shuffled) != list(plain)


def test_a_tfds_data_set_like_imagenet_has_file_names_and_no_test_labels(tmp_path):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 3)),
            "label": tfds.features.ClassLabel(names=["zero", "one"]),
            "file_name": tfds.features.Text(),
        }
    )

    def part(name, count, labelled=True):
        rows = [
            {
                "image": np.full((8, 8, 3), i, np.uint8),
                "label": np.int64(i % 2 if labelled else -1),
                "file_name": f"{name}_{i:04}.JPEG",
            }
            for i in range(count)
        ]
        signature = {
            "image": tf.TensorSpec((8, 8, 3), tf.uint8),
            "label": tf.TensorSpec((), tf.int64),
            "file_name": tf.TensorSpec((), tf.string),
        }
        return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)

    builder = tfds.dataset_builders.store_as_tfds_dataset(
        "like_imagenet", "1.0.0", features,
        {"train": part("train", 20), "validation": part("val", 8), "test": part("test", 4, labelled=False)},
        data_dir=tmp_path,
    )  # fmt: skip
    config = tiny_config(f"tfds:{builder.data_path}")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3))
    splits = open_splits(config)
    assert sorted(splits.test.names) == [f"like_imagenet/validation/val_{i:04}.JPEG" for i in range(8)]
    numbers = [int(name[-9:-5]) for name in splits.test.names]
    assert splits.test.labels.tolist() == [number % 2 for number in numbers]
    pixels = np.concatenate([batch for batch, _ in evaluation_batches(splits.test, config, 4).as_numpy_iterator()])
    assert pixels.mean(axis=(1, 2, 3)).tolist() == numbers


AUGMENTED = AugmentConfig(
    min_area=0.3, crop_padding=2, flip=True, brightness=0.2, contrast=0.3, saturation=0.3, hue=0.1, erase=0.5,
    mixup=0.4, cutmix=1.0,
)  # fmt: skip


@pytest.fixture
def colour_files(tmp_path):
    write_digits(tmp_path, classes=2, each=12)
    config = with_pipeline(tiny_config(f"folder:{tmp_path}", epochs=3), augment=AUGMENTED, batch_size=5)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3))


def test_the_same_seed_gives_the_same_batches_whatever_the_threads(colour_files):
    config = with_pipeline(colour_files, augment=dataclasses.replace(AUGMENTED, randaugment=2))
    train = open_splits(config).train
    one, four = (all_batches(training_batches(train, with_pipeline(config, threads=n), 2)) for n in (1, 4))
    for (images, targets), (images_2, targets_2) in zip(one, four, strict=True):
        np.testing.assert_array_equal(images, images_2)
        np.testing.assert_array_equal(targets, targets_2)


def test_nobody_waits_for_a_tuner_of_tf_data(colour_files):
    """It sleeps for up to a minute, and with it whoever drops an iterator."""
    train = open_splits(colour_files).train
    for batches in (training_batches(train, colour_files, 2), evaluation_batches(train, colour_files)):
        assert batches.options().autotune.enabled is False


def test_the_process_seed_changes_nothing(colour_files):
    train = open_splits(colour_files).train
    tf.random.set_seed(0)
    first = all_batches(training_batches(train, colour_files, 2))
    tf.random.set_seed(77)
    for (images, _), (images_2, _) in zip(first, all_batches(training_batches(train, colour_files, 2)), strict=True):
        np.testing.assert_array_equal(images, images_2)


def test_an_epoch_entered_later_is_the_epoch_itself(colour_files):
    train = open_splits(colour_files).train
    whole = all_batches(training_batches(train, colour_files, 2))
    last = all_batches(training_batches(train, colour_files, 2, first_epoch=2))
    assert len(whole) == 3 * len(last)
    for (images, _), (images_2, _) in zip(whole[-len(last) :], last, strict=True):
        np.testing.assert_array_equal(images, images_2)


def test_a_step_entered_later_is_the_step_itself(colour_files):
    train = open_splits(colour_files).train
    whole = all_batches(training_batches(train, colour_files, 2))
    steps = len(whole) // 3
    tail = all_batches(training_batches(train, colour_files, 2, first_epoch=1, first_step=2))
    assert len(tail) == len(whole) - steps - 2
    for (images, targets), (images_2, targets_2) in zip(whole[steps + 2 :], tail, strict=True):
        np.testing.assert_array_equal(images, images_2)
        np.testing.assert_array_equal(targets, targets_2)


def test_the_last_epochs_can_do_without_mixing(colour_files):
    config = with_pipeline(colour_files, augment=dataclasses.replace(AUGMENTED, unmixed_epochs=1))
    train = open_splits(config).train
    mixed, half = (all_batches(training_batches(train, one, 2)) for one in (colour_files, config))
    last = len(mixed) * 2 // 3
    for (images, targets), (images_2, targets_2) in zip(mixed[:last], half[:last], strict=True):
        np.testing.assert_array_equal(images, images_2)
        np.testing.assert_array_equal(targets, targets_2)
    assert any(set(np.unique(targets)) != {0, 1} for _, targets in mixed[last:])
    assert all(set(np.unique(targets)) == {0, 1} for _, targets in half[last:])


def test_the_workers_slices_make_up_the_batch(colour_files):
    config = with_pipeline(colour_files, batch_size=4)
    train = open_splits(config).train
    whole = all_batches(training_batches(train, config, 2))
    slices = [all_batches(training_batches(train, config, 2, first_step=1, shard=(i, 2))) for i in range(2)]
    for (images, targets), first, second in zip(whole[1:], *slices, strict=True):
        assert len(first[0]) == 2
        np.testing.assert_array_equal(np.concatenate([first[0], second[0]]), images)
        np.testing.assert_array_equal(np.concatenate([first[1], second[1]]), targets)
    with pytest.raises(ValueError, match="divide evenly among 3 workers. Received: 4 images"):
        training_batches(train, config, 2, shard=(0, 3))


def test_epochs_and_seeds_differ(colour_files):
    train = open_splits(colour_files).train
    batches = all_batches(training_batches(train, colour_files, 2))
    other = all_batches(training_batches(train, dataclasses.replace(colour_files, seed=5), 2))
    steps = len(batches) // 3
    assert not np.array_equal(batches[0][0], batches[steps][0])
    assert not np.array_equal(batches[0][0], other[0][0])
    for images, _ in batches:
        assert images.shape == (5, 12, 12, 3)
        assert images.dtype == np.uint8


def test_without_augmentation_an_epoch_is_the_evaluation_images_shuffled():
    config = with_pipeline(tiny_config(), augment=AugmentConfig(), batch_size=1)
    images = open_splits(config).validation
    plain = sorted(pixels.tobytes() for pixels, _ in evaluation_batches(images, config, 1).as_numpy_iterator())
    trained = training_batches(images, config, 10).as_numpy_iterator()
    shuffled = sorted(pixels.astype(np.float32).tobytes() for pixels, _ in trained)
    assert plain == shuffled


def test_prepare_keeps_the_centre_of_a_wide_image_in_whole_numbers():
    config = tiny_config()
    wide = np.zeros((24, 72, 1), np.uint8)
    wide[:, 24:48] = 200
    pixels = prepare(tf.constant(wide), config).numpy()
    assert pixels.shape == (12, 12, 1)
    assert pixels.dtype == np.uint8
    assert pixels[:, 2:-2].min() == 200


def test_the_fingerprint_notices_a_changed_split():
    splits = open_splits(tiny_config())
    names = splits.class_names
    whole = describe(splits.test, names)
    assert whole["images"] == 360
    assert whole["per_class"]["3"] == int((splits.test.labels == 3).sum())
    assert describe(splits.test, names) == whole
    assert describe(splits.test.subset(np.arange(359)), names)["fingerprint"] != whole["fingerprint"]
