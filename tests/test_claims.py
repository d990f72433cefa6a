"""The networks of benchmarks/claims.py differ in the idea alone, and docs/claims.py computes what it says."""

import csv
import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("claim", "arm", "seed", "accuracy", "loss", "weights", "multiply_adds", "seconds", "epochs")


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def claims():
    """The benchmark, its networks registered."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        module = load(ROOT / "benchmarks" / "claims.py")
        module.claims_networks.register()
        yield module
    finally:
        from keras_inception import registry

        for name in [name for name in registry._ENTRIES if name.startswith("claims_")]:
            del registry._ENTRIES[name]
        sys.path.remove(str(ROOT / "benchmarks"))


def test_arms_differ_in_the_idea_alone(claims):
    from keras_inception.graph import block_table
    from keras_inception.training.engine.network import build_model

    costs = {}
    for claim, arms in claims.CLAIMS.items():
        for arm, changes in arms.items():
            config = claims.config_of(changes, 0, "digits", "")
            config.validate()
            with keras.StatelessScope(initialize_variables=False):
                model = build_model(config, 10)
            kinds = [type(layer).__name__ for layer in model.layers]
            multiply_adds = sum(row.multiply_adds or 0 for row in block_table(model))
            costs[claim, arm] = (model.count_params(), multiply_adds, kinds.count("Add"), "BatchNormalization" in kinds)
    weights, multiply_adds, *_ = costs["residual", "residual"]
    assert (
        costs["residual", "nothing added"][:3] == (weights, multiply_adds, 0) and costs["residual", "residual"][2] > 9
    )
    assert costs["shuffle", "none"] == costs["shuffle", "shuffle"]
    assert [costs["norms", arm][3] for arm in claims.CLAIMS["norms"]] == [False, True, True]
    assert costs["multiplier", "2"][1] > 1.5 * costs["multiplier", "1"][1]
    assert costs["heads", "an auxiliary head"][0] > costs["heads", "none"][0]


def test_without_the_shuffle_nothing_moves(claims):
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    common = {"classes": 10, "input_shape": (32, 32, 3), "groups": 8, "alpha": 0.25, "stem": "low_resolution"}
    plain, shuffled = claims.claims_networks.unshuffled(**common), claims.claims_networks.ki.ShuffleNet(**common)
    plain.set_weights(shuffled.get_weights())
    assert np.abs(np.asarray(plain(images)) - np.asarray(shuffled(images))).max() > 0
    assert not [layer.name for layer in plain.layers if type(layer).__name__ in ("Permute", "ChannelShuffle")]


def test_differences_are_those_of_pairs_with_students_interval(tmp_path, monkeypatch):
    stats = pytest.importorskip("scipy.stats")
    page = load(ROOT / "docs" / "claims.py")
    accuracies = {"none": [60.0, 62.0, 64.0, 61.0, 63.0], "shuffle": [65.0, 66.0, 70.0, 64.0, 69.0]}
    (tmp_path / "figures").mkdir()
    with (tmp_path / "figures" / "claims.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for arm, values in accuracies.items():
            writer.writerows(["shuffle", arm, seed, value, 1.0, 10, 100, 5, 10] for seed, value in enumerate(values))
    monkeypatch.setattr(page, "HERE", tmp_path)
    (row,) = page.compared()
    differences = np.subtract(accuracies["shuffle"], accuracies["none"])
    low, high = stats.t.interval(0.95, 4, differences.mean(), stats.sem(differences))
    assert row["difference"] == pytest.approx(differences.mean())
    assert row["interval"] == pytest.approx((high - low) / 2, rel=1e-3)
    assert page.table([row])[1][3:6] == ["62.0 %", "66.8 %", f"{differences.mean():+.1f} ± {(high - low) / 2:.1f}"]
    picture = page.drawn([row])
    assert "shuffled channels: shuffle" in picture and picture.count("<circle") == 1
