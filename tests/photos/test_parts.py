"""The steps of a fit, each by itself: trunks, features, heads, choice."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_inception as ki
from keras_inception.graph import multiply_adds
from keras_inception.photos import keeping as room
from keras_inception.photos import trunks
from keras_inception.photos.choosing import OVER, UNDER, Candidate, Costs, check_limits, check_name, choose
from keras_inception.photos.comparing import _in_equal_shares, _segments
from keras_inception.photos.features import compute
from keras_inception.photos.heads import clearly_better, fit_head
from keras_inception.photos.keeping import FeatureFolder, Segment
from keras_inception.photos.making import specification
from keras_inception.photos.trunks import Trunk, find_trunks
from keras_inception.training.config import TrainConfig
from keras_inception.training.data.images import ArrayImages, FileImages
from keras_inception.training.data.sources import Splits
from keras_inception.weights import DownloadError

# ---------------------------------------------------------------------------------------------------------- heads


@pytest.mark.parametrize(("count", "width"), [(24, 40), (60, 8)], ids=["few pictures", "few features"])
def test_accuracy_is_that_of_heads_fitted_without_each_picture(count: int, width: int):
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 3
    inputs = chance.normal(size=(count, width)) + 1.5 * np.eye(3, width)[labels]
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    head = fit_head(inputs, labels, 3)
    # The penalty that was chosen, from what the kernel solves.
    targets = np.eye(3)[labels] - np.eye(3)[labels].mean(axis=0)
    residual = inputs.T @ (targets - inputs @ head.kernel)
    penalty = float((residual * head.kernel).sum() / (head.kernel**2).sum())
    hits = []
    for left_out in range(count):
        others = np.arange(count) != left_out
        ones = np.hstack([inputs[others], np.ones((count - 1, 1))])
        weight = np.diag([penalty] * width + [0.0])
        solved = np.linalg.solve(ones.T @ ones + weight, ones.T @ np.eye(3)[labels][others])
        hits.append(np.argmax(np.append(inputs[left_out], 1) @ solved) == labels[left_out])
    np.testing.assert_array_equal(head.hits, hits)
    assert 0.4 < head.accuracy < 1


def test_features_without_the_class_in_them_reach_no_more_than_chance():
    chance = np.random.default_rng(1)
    labels = np.arange(400) % 4
    assert fit_head(chance.normal(size=(400, 300)), labels, 4).accuracy < 0.33


def test_a_feature_that_never_moves_does_no_harm():
    labels = np.arange(20) % 2
    head = fit_head(np.column_stack([np.full(20, 7.0), labels + 0.1 * np.sin(np.arange(20))]), labels, 2)
    assert head.accuracy == 1
    np.testing.assert_array_equal(head.predict(np.array([[7.0, 0.0], [7.0, 1.0]])), [0, 1])


def test_better_is_told_from_chance():
    hits = np.zeros(100, bool)
    assert not clearly_better(np.arange(100) < 5, hits)
    assert clearly_better(np.arange(100) < 20, hits)
    assert not clearly_better(hits, np.arange(100) < 20)


# ---------------------------------------------------------------------------------------------------------- choice

ROWS = [
    Candidate(Trunk("mobilenet_v2", "a", size, "", "", 1), accuracy, 100, costs=Costs(latency, 3.0))
    for size, accuracy, latency in ((224, 0.95, 4.0), (160, 0.92, 2.0), (96, 0.85, 1.0))
] + [
    Candidate(Trunk("inception_v3", "b", 299, "", "", 1), 0.97, 100, costs=Costs(40.0, 22.0)),
    Candidate(Trunk("xception", "c", 299, "", "", 1), 0.5, 40, reason="plainly beaten"),
]


@pytest.mark.parametrize(
    ("under", "over", "name"),
    [
        ({}, {}, "inception_v3-299"),
        ({"latency_ms": 5}, {}, "mobilenet_v2-224"),
        ({"latency_ms": 2}, {}, "mobilenet_v2-160"),
        ({"size_mb": 5, "latency_ms": 100}, {}, "mobilenet_v2-224"),
        ({}, {"accuracy": 0.9}, "mobilenet_v2-160"),
        ({}, {"accuracy": 0.96}, "inception_v3-299"),
        ({"latency_ms": 3}, {"accuracy": 0.8}, "mobilenet_v2-96"),
    ],
)
def test_the_best_that_keeps_the_limits_is_taken(under, over, name):
    chosen, reason = choose(ROWS, under=under, over=over)
    assert chosen.name == name
    assert all(f"{limit} {value:g}" in reason for limit, value in under.items())


def test_of_equals_the_quicker_is_taken():
    twin = dataclasses.replace(ROWS[0], trunk=dataclasses.replace(ROWS[0].trunk, size=192), costs=Costs(3.0, 3.0))
    assert choose([ROWS[0], twin], under={}, over={})[0] == twin


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"under": {"latency_ms": 0.5}}, ["latency_ms 0.5", "the nearest is mobilenet_v2-96 with latency_ms 1"]),
        ({"under": {"latency_ms": 0.9, "size_mb": 2}}, ["nearest is mobilenet_v2-96", "size_mb 3"]),
        ({"over": {"accuracy": 0.99}}, ["accuracy 0.99", "nearest is inception_v3-299 with 0.970"]),
    ],
)
def test_limits_that_nothing_keeps_are_answered_with_the_nearest(limits, words):
    with pytest.raises(ValueError, match="Received") as error:
        choose(ROWS, **{"under": {}, "over": {}, **limits})
    assert all(word in str(error.value) for word in words)


def test_a_name_that_nothing_has_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="--choose names one of mobilenet_v2-224, .*Received: resnext50-224"):
        check_name("resnext50-224", [row.trunk for row in ROWS])
    assert choose(ROWS, under={}, over={}, named="xception-299")[0] == ROWS[-1]


@pytest.mark.parametrize("limits", [{"latency": 3}, {"latency_ms": 0}, {"latency_ms": "quick"}, {"latency_ms": True}])
def test_a_limit_is_a_known_name_and_a_positive_number(limits):
    with pytest.raises(ValueError, match="--under .*Received: "):
        check_limits(limits, UNDER, "--under")
    assert check_limits({"accuracy": 0.9}, OVER, "--over") == {"accuracy": 0.9}


# ---------------------------------------------------------------------------------------------------------- trunks


def test_a_file_tells_its_network_by_content_or_name_or_is_told(narrow: Path, tmp_path: Path):
    (found,) = find_trunks([], [str(narrow)], [64]).trunks
    assert (found.network, found.name, found.source) == ("mobilenet_v1", "mobilenet_v1-64", str(narrow))
    model = ki.create_model("mobilenet_v1", alpha=0.25, classes=2, input_shape=(64, 64, 3))
    assert found.multiply_adds == multiply_adds(model)
    bare = narrow.with_name("bare.h5")
    for spelled in ("MobileNet-v1_mine.h5", "mobilenetv1.h5"):
        (tmp_path / spelled).write_bytes(bare.read_bytes())
        assert find_trunks([], [str(tmp_path / spelled)], [64]).trunks[0].network == "mobilenet_v1"
    assert find_trunks([], [f"mobilenet_v1={bare}"], [64]).trunks[0].network == "mobilenet_v1"
    both = find_trunks([], [str(narrow), f"mobilenet_v1={bare}"], [64]).trunks
    assert [trunk.name for trunk in both] == ["mobilenet_v1-narrow-64", "mobilenet_v1-bare-64"]
    assert both[0].digest != both[1].digest


def test_what_is_not_at_hand_is_named_with_what_would_bring_it(narrow: Path, monkeypatch: pytest.MonkeyPatch):
    found = find_trunks([], [str(narrow)], [])
    assert [trunk.size for trunk in found.trunks] == [224, 160, 128, 96]
    assert "xception" in found.missing[0]
    assert "--networks NAME" in found.missing[0]

    def unreachable(weight_set):
        raise DownloadError("no network here")

    monkeypatch.setattr("keras_inception.weights.resolved.fetch", unreachable)
    found = find_trunks(["xception"], [str(narrow)], [96])
    assert [trunk.network for trunk in found.trunks] == ["mobilenet_v1"]
    assert found.missing == ["xception: no network here"]
    with pytest.raises(ValueError, match="Trained weights must be at hand.*no network here"):
        find_trunks([], [], [])


def test_the_cache_is_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "there"
    file.write_bytes(b"weights")
    monkeypatch.setattr(trunks, "_cached", lambda network: network == "shufflenet")
    monkeypatch.setattr("keras_inception.weights.resolved.fetch", lambda weight_set: file)
    assert {trunk.network for trunk in find_trunks([], [], []).trunks} == {"shufflenet"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sources": ["nosuch.h5"]}, "nosuch.h5"),
        ({"sources": ["mobilenet_v1=nosuch.h5"]}, "must exist. Received: .*nosuch.h5"),
        ({"sources": ["mobilnet_v1=nosuch.h5"]}, "Did you mean 'mobilenet_v1'"),
        ({"networks": ["mobilenet_v9"]}, "Did you mean"),
        ({"sizes": [16]}, "at least 32 pixels. Received: 16"),
    ],
)
def test_what_cannot_be_a_trunk_gets_a_sentence(narrow: Path, arguments, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        find_trunks(**{"networks": [], "sources": [str(narrow)], "sizes": [], **arguments})


def test_a_file_without_a_name_asks_for_its_network(narrow: Path, tmp_path: Path):
    (tmp_path / "mine.h5").write_bytes(narrow.with_name("bare.h5").read_bytes())
    with pytest.raises(ValueError, match=r"or as NETWORK=.*mine.h5"):
        find_trunks([], [str(tmp_path / "mine.h5")], [])


def test_photographs_are_a_folder_a_table_or_a_specification(tmp_path: Path):
    (tmp_path / "list.csv").write_text("path,label\n")
    assert specification(tmp_path) == f"folder:{tmp_path}"
    assert specification(tmp_path / "list.csv") == f"csv:{tmp_path / 'list.csv'}"
    assert specification("tfds:flowers") == "tfds:flowers"
    for nothing in ("photos", tmp_path / "absent", tmp_path / "a:b"):
        with pytest.raises(FileNotFoundError, match="must be a folder"):
            specification(nothing)


# ---------------------------------------------------------------------------------------------------------- features


@dataclasses.dataclass(frozen=True, eq=False)
class Counted(FileImages):
    """Files whose decoding is counted by name."""

    decoded: list[str] = dataclasses.field(default_factory=list)

    def decode(self, handle):
        def note(number):
            self.decoded.append(self.names[int(number)])
            return number

        noted = tf.numpy_function(note, [handle], handle.dtype)
        noted.set_shape([])
        return super().decode(noted)

    def subset(self, indices):
        part = super().subset(indices)
        return Counted(part.channels, part.labels, part.names, None, decoded=self.decoded)


@pytest.fixture
def pictures(digits_folder: Path) -> Counted:
    files = sorted(digits_folder.rglob("*.png"))
    return Counted(3, np.arange(len(files)) % 3, [str(file) for file in files])


def test_each_picture_is_decoded_once_for_all_trunks(narrow: Path, pictures: Counted, tmp_path: Path):
    chosen = find_trunks([], [str(narrow)], [64, 32]).trunks
    kept = FeatureFolder(tmp_path / "features", "these", len(pictures.labels))
    compute(kept, Segment(0, pictures), chosen, TrainConfig())
    assert sorted(pictures.decoded) == sorted(pictures.names)
    for trunk in chosen:
        assert kept.read(trunk).shape == (len(pictures.labels), 256)
    compute(kept, Segment(0, pictures), chosen, TrainConfig())
    assert len(pictures.decoded) == len(pictures.names)


def test_a_pass_that_was_killed_goes_on_and_ends_alike(narrow: Path, pictures: Counted, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(room, "BATCH", 8)
    chosen = find_trunks([], [str(narrow)], [64, 32]).trunks
    whole = FeatureFolder(tmp_path / "whole", "these", len(pictures.labels))
    compute(whole, Segment(0, pictures), chosen, TrainConfig())
    pictures.decoded.clear()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        broken = FeatureFolder(tmp_path / "broken", "these", len(pictures.labels))
        with pytest.raises(KeyboardInterrupt):
            compute(broken, Segment(0, pictures), chosen, TrainConfig(), stop)
    broken = FeatureFolder(tmp_path / "broken", "these", len(pictures.labels))
    assert [broken.done(trunk) for trunk in chosen] == [24, 24]
    compute(broken, Segment(0, pictures), chosen, TrainConfig())
    for trunk in chosen:
        np.testing.assert_array_equal(broken.read(trunk), whole.read(trunk))
    # Another trunk sees the pictures that the first ones have seen, and they see none again.
    (added,) = find_trunks([], [str(narrow)], [48]).trunks
    before = whole.read(chosen[0]).copy()
    compute(whole, Segment(0, pictures), [*chosen, added], TrainConfig())
    assert whole.done(added) == len(pictures.labels)
    np.testing.assert_array_equal(whole.read(chosen[0]), before)


def test_features_of_other_pictures_are_not_taken_for_these(narrow: Path, pictures: Counted, tmp_path: Path):
    chosen = find_trunks([], [str(narrow)], [32]).trunks
    compute(FeatureFolder(tmp_path, "these", len(pictures.labels)), Segment(0, pictures), chosen, TrainConfig())
    with pytest.raises(ValueError, match="must be those that the features were computed of"):
        FeatureFolder(tmp_path, "others", len(pictures.labels))


def test_the_first_pictures_hold_equal_shares_of_every_class():
    labels = np.repeat([0, 1, 2], [100, 10, 40])
    order = _in_equal_shares(labels, 3)
    assert sorted(order) == list(range(150))
    assert np.ptp(np.bincount(labels[order[:24]])) <= 1
    assert np.bincount(labels[order[:60]])[1] == 10


@pytest.mark.parametrize(("train", "validation", "pictures"), [(60, 12, 2000), (600, 60, 300), (120, 900, 100)])
def test_pictures_are_read_in_three_parts_and_no_more_than_asked(train: int, validation: int, pictures: int):
    def images(count: int) -> ArrayImages:
        return ArrayImages(np.zeros((count, 2, 2, 3), np.uint8), np.arange(count) % 3, [str(i) for i in range(count)])

    splits = Splits(images(train), images(validation), images(30), ["a", "b", "c"], [])
    audition, rest, test = _segments(splits, pictures)
    segments = [audition, *rest, test]
    assert [segment.begin for segment in segments[1:]] == [segment.end for segment in segments[:-1]]
    learning = [name for segment in segments[:-1] for name in segment.images.names]
    assert len(learning) == min(pictures, train + validation)
    assert np.bincount(audition.images.labels).min() >= 60 or train < 200
    assert len(test.images.names) == 30
