"""The same images from folders, tables, arrays, shards, TFDS and Hugging Face are the same batches; their weights."""

import contextlib
import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console
from training_helpers import tiny_config, with_pipeline

from keras_inception.cli import main
from keras_inception.training import pack, train, write_arrays, write_frame
from keras_inception.training.config import AugmentConfig
from keras_inception.training.data import packing, shards
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline.preparing import cached, evaluation_batches
from keras_inception.training.pipeline.training import names_of_step, training_batches

CLASSES = ["daisy", "iris", "rose"]
AUGMENT = AugmentConfig(min_area=0.2, flip=True, brightness=0.1, contrast=0.5, saturation=0.5, hue=0.2, mixup=0.2)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / ".keras"))  # where labels of TFDS are kept


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """24 colourful PNG pictures of three classes, 20x18, to train on and 6 to test on: the same in every source."""
    import tensorflow_datasets as tfds

    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    pixels = {part: rng.integers(0, 256, (n, 20, 18, 3), np.uint8) for part, n in (("train", 24), ("test", 6))}
    labels = {part: np.sort(np.arange(len(images)) % 3) for part, images in pixels.items()}
    for part, images in pixels.items():
        for i, (image, label) in enumerate(zip(images, labels[part], strict=True)):
            folder = root / "folder" / part / CLASSES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i:02}.png")
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(20, 18, 3)), "label": tfds.features.ClassLabel(names=CLASSES)}
    )
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        "tiny_flowers", "1.0.0", features,
        {part: tf.data.Dataset.from_tensor_slices({"image": pixels[part], "label": labels[part]}) for part in pixels},
        data_dir=root / "tfds", disable_shuffling=True,
    )  # fmt: skip
    test = (pixels["test"], labels["test"])
    array = write_arrays(root / "flowers.npz", pixels["train"], labels["train"], class_names=CLASSES, test=test)
    pack(f"folder:{root / 'folder'}", root / "packed", shuffle_seed=None)
    rows = [
        (path.relative_to(root).as_posix(), path.parent.name, path.parent.parent.name)
        for path in sorted((root / "folder").rglob("*.png"))
    ]
    lines = ["split;file;class", *(f"{part};{path};{label}" for path, label, part in rows[::-1])]
    (root / "flowers.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    for path, label, part in rows:  # the first half of each class, and the others
        half = root / ("a" if int(Path(path).stem) % 8 < 4 else "b") / part / label / Path(path).name
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes((root / path).read_bytes())
    found = {
        "folder": f"folder:{root / 'folder'}", "array": array, "tfrecord": f"tfrecord:{root / 'packed'}",
        "tfds": f"tfds:{builder.data_path}", "csv": f"csv:{root / 'flowers.csv'}",
        "folders": f"folder:{root / 'b'},folder:{root / 'a'}",
    }  # fmt: skip
    with contextlib.suppress(ImportError):
        import pandas as pd

        frame = pd.DataFrame(rows, columns=["path", "label", "split"]).sample(frac=1, random_state=0)
        found["frame"] = write_frame(root / "frame.csv", frame, folder=root)
    with contextlib.suppress(ImportError):
        import datasets

        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
        parts = {}
        for part in ("train", "test"):
            of_part = [(str(root / path), label) for path, label, its_part in rows if its_part == part]
            columns = dict(zip(("image", "label"), map(list, zip(*of_part, strict=True)), strict=True))
            parts[part] = datasets.Dataset.from_dict(columns, features=features)
        datasets.DatasetDict(parts).save_to_disk(str(root / "hf"))
        found["hf"] = f"hf:{root / 'hf'}"
    return found


def place_of(places, source):
    if source not in places:
        pytest.skip("the extra hf is not installed")
    return places[source]


def config_for(data, **pipeline):
    config = with_pipeline(tiny_config(data), **{"augment": AUGMENT, "batch_size": 6, **pipeline})
    return dataclasses.replace(config, model=dataclasses.replace(config.model, channels=3), epochs=2)


def batches_of(config, **arguments):
    return list(training_batches(open_splits(config).train, config, 3, **arguments).as_numpy_iterator())


@pytest.fixture(scope="module")
def from_folder(places):
    return batches_of(config_for(places["folder"], cache_mb=0))


@pytest.mark.parametrize("source", ["folder", "folders", "csv", "frame", "array", "tfrecord", "tfds", "hf"])
@pytest.mark.parametrize("cache_mb", [0, 64])
def test_every_source_gives_the_same_batches_bit_for_bit(places, from_folder, source, cache_mb):
    found = batches_of(config_for(place_of(places, source), cache_mb=cache_mb))
    assert len(found) == len(from_folder) == 6
    for batch, expected in zip(found, from_folder, strict=True):
        for values, others in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(values, others)


def test_one_shard_is_read_by_several_readers_in_order(places, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SEGMENT", 5)
    monkeypatch.setattr(packing, "SEGMENT", 5)
    index = pack(places["folder"], tmp_path / "packed")
    assert len(index["shards"]["train-00000.tfrecord"]["starts"]) == 5

    def read(seed=None):
        stream = open_splits(config_for(f"tfrecord:{tmp_path / 'packed'}")).train.open_stream(seed)
        return list(stream.as_numpy_iterator())

    parted, shuffled = read(), read([3, 4])
    records = tf.data.TFRecordDataset(str(tmp_path / "packed" / "train-00000.tfrecord")).as_numpy_iterator()
    whole = [tf.train.Example.FromString(record).features.feature["image/encoded"] for record in records]
    assert parted == [(i, feature.bytes_list.value[0]) for i, feature in enumerate(whole)]
    path = tmp_path / "packed" / "index.json"
    facts = json.loads(path.read_text())
    for starts in ([0, 7, 7, 8, 9], [1, 7, 8, 9, 10], [0, 7, 8, 9, 10**9], [0, 7]):
        facts["shards"]["train-00000.tfrecord"]["starts"] = starts
        path.write_text(json.dumps(facts))
        with pytest.raises(ValueError, match="index.json must"):
            read()
    for shard in facts["shards"].values():  # as older versions packed
        del shard["starts"]
    path.write_text(json.dumps(facts))
    assert read() == parted and read([3, 4]) == shuffled


@pytest.mark.parametrize("source", ["csv", "frame", "tfrecord"])
def test_every_source_that_has_weights_gives_the_same_weighted_batches(places, tmp_path, source):
    root = Path(places["folder"].partition(":")[2])
    paths = sorted((root / "train").rglob("*.png"))
    weights = [0.5 + i / 7 for i in range(len(paths))]
    lines = [f"{path},{path.parent.name},{weight}" for path, weight in zip(paths, weights, strict=True)]
    data = f"csv:{tmp_path / 'weighted.csv'}"
    (tmp_path / "weighted.csv").write_text("\n".join(["path,label,weight", *lines[::-1]]))
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    labels = np.array([CLASSES.index(path.parent.name) for path in paths])
    array = write_arrays(tmp_path / "a", pixels, labels, class_names=CLASSES, weights=np.array(weights))
    if source == "frame":
        pd = pytest.importorskip("pandas")
        data = write_frame(tmp_path / "b", pd.DataFrame({"file": paths, "class": labels, "weight": weights}))
    elif source == "tfrecord":
        pack(data, tmp_path / "packed", shuffle_seed=None)
        data = f"tfrecord:{tmp_path / 'packed'}"
    found, expected = batches_of(config_for(data, cache_mb=0)), batches_of(config_for(array, cache_mb=0))
    assert len(found) == len(expected) > 0
    for batch, others in zip(found, expected, strict=True):
        assert len(batch) == 3
        for values, other in zip(batch, others, strict=True):
            np.testing.assert_array_equal(values, other)


def test_every_source_gives_the_same_evaluation_images_and_classes(places):
    found = {}
    for source, data in places.items():
        splits = open_splits(config_for(data))
        assert splits.class_names == CLASSES
        found[source] = next(evaluation_batches(splits.test, config_for(data)).as_numpy_iterator())
    for pixels, labels in found.values():
        np.testing.assert_array_equal(pixels, found["folder"][0])
        np.testing.assert_array_equal(labels, [0, 0, 1, 1, 2, 2])


def test_a_stream_larger_than_its_buffer_gives_every_image_once_and_can_be_entered_anywhere(places):
    config = config_for(places["tfrecord"], shuffle_buffer=5, augment=AugmentConfig(), cache_mb=0, batch_size=7)
    splits = open_splits(config)
    whole = batches_of(config)
    plain = {p.tobytes() for batch, _ in evaluation_batches(splits.train, config, 1) for p in batch.numpy()}
    first = [p.astype(np.float32).tobytes() for batch, _ in whole[:3] for p in batch]
    assert len(first) == len(set(first)) == 21
    assert set(first) == plain
    tail = batches_of(config, first_epoch=1, first_step=1)
    for batch, expected in zip(tail, whole[4:], strict=True):
        np.testing.assert_array_equal(batch[0], expected[0])


def test_the_images_of_a_step_are_known_by_name(places):
    config = config_for(places["folder"], augment=AugmentConfig(), cache_mb=0)
    train = open_splits(config).train
    pixels, _ = batches_of(config, first_epoch=1, first_step=2)[0]
    names = names_of_step(train, config, 1, 2)
    chosen = train.subset(np.array([train.names.index(name) for name in names]))
    ((images, _),) = evaluation_batches(chosen, config, 6).as_numpy_iterator()
    np.testing.assert_array_equal(images, pixels)


def test_shards_are_split_by_size_and_shuffled_by_seed(places, tmp_path):
    index = pack(places["folder"], tmp_path / "packed")
    assert index["images"]["train"] == {"daisy": 8, "iris": 8, "rose": 8}
    names = (tmp_path / "packed" / "examples.csv").read_text().splitlines()[1:25]
    assert names != sorted(names)
    with pytest.raises(ValueError, match="packed folder must be new, or overwrite must be set"):
        pack(places["folder"], tmp_path / "packed")
    pack(places["folder"], tmp_path / "packed", shuffle_seed=3, overwrite=True)
    assert (tmp_path / "packed" / "examples.csv").read_text().splitlines()[1:25] != names
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_many_shards_are_one_stream_and_carry_weights(tmp_path):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (40, 200, 200, 1), np.uint8), np.arange(40) % 2
    data = write_arrays(tmp_path / "noise", images, labels, weights=np.linspace(0, 1, 40))
    index = pack(data, tmp_path / "packed", shard_mb=1, shuffle_seed=None)
    assert [shard["examples"] for shard in index["shards"].values()] == [10] * 4
    config = dataclasses.replace(tiny_config(f"tfrecord:{tmp_path / 'packed'}"), epochs=1)
    train = open_splits(config).train
    np.testing.assert_allclose(train.weights, np.linspace(0, 1, 40)[train.positions], rtol=1e-6)
    [(pixels, found)] = evaluation_batches(train, config, 100).as_numpy_iterator()
    again = dataclasses.replace(config, data=data)
    [(expected, expected_labels)] = evaluation_batches(open_splits(again).train, again, 100).as_numpy_iterator()
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(found, expected_labels)


def test_packed_folders_that_changed_are_refused(places, tmp_path):
    pack(places["folder"], tmp_path / "packed")
    config = config_for(f"tfrecord:{tmp_path / 'packed'}")
    shard = tmp_path / "packed" / "train-00000.tfrecord"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"A shard must be as it was packed .*train-00000"):
        open_splits(config)
    shard.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    assert main(["scan", str(tmp_path / "packed")]) == 1  # the size alone does not tell
    shard.write_bytes(content)
    assert main(["scan", str(tmp_path / "packed")]) == 0
    examples = tmp_path / "packed" / "examples.csv"
    whole = examples.read_bytes()
    examples.write_bytes(whole.replace(b"iris", b"rose"))
    with pytest.raises(ValueError, match=r"examples.csv must be as it was packed"):
        open_splits(config)
    examples.write_bytes(whole)
    index = json.loads((tmp_path / "packed" / "index.json").read_text())
    lies = ({"shards": "none"}, {"class_names": 3}, {"images": {"train": {"iris": "8"}}}, {"weighted": None})
    for content in ("[1]", "[" * 200_000, *(json.dumps({**index, **lie}) for lie in lies)):
        (tmp_path / "packed" / "index.json").write_text(content)
        with pytest.raises(ValueError, match="of format 1. Received: something else"):
            open_splits(config)
    first = next(iter(index["shards"]))
    others = {name: shard for name, shard in index["shards"].items() if name != first}
    (tmp_path / "packed" / "index.json").write_text(json.dumps({**index, "shards": others}))
    with pytest.raises(ValueError, match=r"index.json must list every shard that examples.csv names"):
        open_splits(config)
    for class_names in (
        index["class_names"][:2],
        [*index["class_names"], "tulip"],
        ["aster", *index["class_names"][1:]],
    ):
        (tmp_path / "packed" / "index.json").write_text(json.dumps({**index, "class_names": class_names}))
        with pytest.raises(ValueError, match=r"must count the train images of examples.csv by class"):
            open_splits(config)
    (tmp_path / "packed" / "index.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="of format 1. Received: format 99"):
        open_splits(config)
    with pytest.raises(FileNotFoundError, match="holds index.json"):
        open_splits(config_for(f"tfrecord:{tmp_path}"))


def test_a_damaged_record_is_told_in_one_sentence(places, tmp_path):
    pack(places["folder"], tmp_path / "packed")
    config = config_for(f"tfrecord:{tmp_path / 'packed'}")
    shard = tmp_path / "packed" / "train-00000.tfrecord"
    content = shard.read_bytes()
    shard.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(ValueError, match=r"A shard must be as it was packed. Received: a damaged record") as caught:
        cached(open_splits(config).train, config)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="Received: a damaged record"):
        train(config, tmp_path / "run", console=Console(file=io.StringIO()))


def test_the_command_packs_a_folder(places, tmp_path, capsys):
    assert main(["pack", places["folder"], "-o", str(tmp_path / "packed")]) == 0
    assert "24 train, 6 test" in capsys.readouterr().out
    assert len(open_splits(config_for(f"tfrecord:{tmp_path / 'packed'}")).test.labels) == 6


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((4, 8, 8, 3), np.float32), "labels": np.arange(4)}, "uint8 .* Received: float32"),
        ({"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.arange(3)}, r"one whole number .*\[3\]"),
        ({"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.zeros(4, int)}, "at least two classes"),
        ({"pixels": np.zeros(3)}, "must hold images and labels. Received: .*'pixels'"),
        (
            {"images": np.zeros((4, 8, 8, 3), np.uint8), "labels": np.arange(4) % 2, "weights": -np.ones(4)},
            "Weights must be one number of at least 0",
        ),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        open_splits(config_for(f"array:{tmp_path / 'a.npz'}"))
    assert "\n" not in str(caught.value)


def test_a_label_does_not_count_to_where_memory_ends(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), labels=np.array([0, 1, 0, 2**62]))
    with pytest.raises(ValueError, match="with the label 4611686018427387904 and 1000000 classes"):
        open_splits(config_for(f"array:{tmp_path / 'a.npz'}"))


def test_a_file_that_is_no_array_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="must name a file"):
        open_splits(config_for(f"array:{tmp_path / 'a.npz'}"))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'shape': ((2, ".ljust(128))
    with pytest.raises(ValueError, match="whole .npz file without objects"):
        open_splits(config_for(f"array:{tmp_path / 'a.npz'}"))
    (tmp_path / "a.npz").write_text("no zip")
    with pytest.raises(ValueError, match="whole .npz file without objects"):
        open_splits(config_for(f"array:{tmp_path / 'a.npz'}"))


def test_classes_and_samples_are_weighted_together(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array([0] * 12 + [1] * 6 + [2] * 6)
    given = rng.uniform(0.5, 2, 24).astype(np.float32)
    pixels = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((1, 12, 12, 3), np.uint8)
    test = (pixels[::6], labels[::6])
    data = write_arrays(tmp_path / "a", pixels, labels, class_names=CLASSES, weights=given, test=test)
    config = config_for(data, augment=AugmentConfig(), class_weights={"rose": 3.0}, validation_share=0.1)
    for images, targets, weights in batches_of(config):
        index = images[:, 0, 0, 0]
        np.testing.assert_allclose(weights, given[index] * np.where(labels[index] == 2, 3.0, 1.0), rtol=1e-6)
        np.testing.assert_array_equal(targets.argmax(axis=1), labels[index])
    mixed = dataclasses.replace(config, pipeline=dataclasses.replace(config.pipeline, augment=AugmentConfig(mixup=1.0)))
    for _, targets, weights in batches_of(mixed):
        np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
        assert weights.min() >= 0.5
        assert weights.max() <= 6


def test_balanced_weights_are_scikit_learns(places, tmp_path):
    from sklearn.utils.class_weight import compute_sample_weight

    labels = np.array([0] * 12 + [1] * 6 + [2] * 6)
    data = write_arrays(tmp_path / "a", np.zeros((24, 12, 12, 3), np.uint8), labels, class_names=CLASSES)
    train = open_splits(config_for(data, balance_classes=True)).train
    np.testing.assert_allclose(train.weights, compute_sample_weight("balanced", train.labels), rtol=1e-6)
    assert open_splits(config_for(places["array"])).train.weights is None
    with pytest.raises(ValueError, match=r"must name some of the data's 3 classes. Received: 'tulip'"):
        open_splits(config_for(data, class_weights={"tulip": 2.0}))


def test_weights_act_alike_on_every_head(places):
    from keras_inception.training.engine.network import build_model
    from keras_inception.training.engine.objective import make_objective

    config = config_for(places["array"], augment=AugmentConfig(), class_weights={"iris": 0.0, "rose": 0.0})
    objective = make_objective(config, 3)
    assert len(objective.weights) == 3
    model = build_model(config, 3)
    model.compile(optimizer="sgd", run_eagerly=True, **objective.compile_arguments())
    images, targets, weights = batches_of(config)[0]
    assert set(weights) == {0.0, 1.0}
    values = model.test_on_batch(images, objective.for_heads(targets), objective.for_heads(weights), return_dict=True)
    kept = weights > 0
    alone = model.test_on_batch(images[kept], objective.for_heads(targets[kept]), return_dict=True)
    for head in objective.weights:
        assert values[f"{head}_loss"] * len(weights) == pytest.approx(alone[f"{head}_loss"] * kept.sum(), rel=1e-4)


def test_workers_of_a_data_service_prepare_the_same_batches(places):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1], port=0))
    here = config_for(places["folder"], cache_mb=0)
    there = config_for(places["folder"], cache_mb=0, service=dispatcher.target)
    for (pixels, targets), (others, other_targets) in zip(batches_of(there), batches_of(here), strict=True):
        np.testing.assert_array_equal(pixels, others)
        np.testing.assert_array_equal(targets, other_targets)
    with pytest.raises(ValueError, match="service needs images that are addressed by index"):
        batches_of(config_for(places["tfrecord"], cache_mb=0, service=dispatcher.target))
    del worker
