"""What the papers claim, measured: networks with an idea and without it, trained alike, over seeds.

    python benchmarks/claims.py folder:cifar10/train folder:cifar10/test --claims shuffle residual --seeds 5

Every run is a row of docs/figures/claims.csv, and runs that stand there are not repeated, so that a call goes on where
the last one was broken off. A claim is a list of arms; all of them have the same images, steps, learning rates and
seeds, and a seed has the same split and order in all of them. What is compared with the first arm are the pairs of a
seed: their mean difference with its 95 % interval by Student's t.

Networks are small enough for a run to take some minutes on one core: an idea that pays only at ImageNet's size, or in
runs of a hundred epochs, does not show.
"""

import argparse
import csv
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import claims_networks

from keras_inception.graph import block_table
from keras_inception.training import load_recipe, train
from keras_inception.training.config import ModelConfig, ObjectiveConfig, OptimizerConfig, TrainConfig

CSV = Path(__file__).parents[1] / "docs" / "figures" / "claims.csv"
COLUMNS = ("claim", "arm", "seed", "accuracy", "loss", "weights", "multiply_adds", "seconds", "epochs")
EPOCHS = 8


def cell(**options: Any) -> dict[str, Any]:
    """A network of one Inception module, repeated."""
    return {"name": "inception_cell", "options": {"stem": "half_resolution", "width": 64, "modules": 3, **options}}


def made(name: str, **options: Any) -> dict[str, Any]:
    """A network of claims_networks.py."""
    return {"name": f"claims_{name}", "options": options}


SHUFFLE = {"alpha": 0.25, "options": {"groups": 8, "stem": "low_resolution"}}
LARGE_KERNEL = {"branch_1x1": 1, "branch_3x3": 1, "branch_5x5": 4, "branch_pool": 1}
CLAIMS: dict[str, dict[str, dict[str, Any]]] = {
    "heads": {"none": cell(), "an auxiliary head": cell() | {"aux_heads": True}},
    "smoothing": {"none": cell(), "0.1": cell() | {"smoothing": 0.1}},
    "norms": {
        "biases": cell() | {"name": "claims_cell_without_norms", "rate": 0.02},
        "batch norms, the same rate": cell() | {"rate": 0.02},
        "batch norms, five times the rate": cell(),
    },
    "factorised": {
        "one 5x5": cell(**LARGE_KERNEL),
        "two 3x3": cell(**LARGE_KERNEL, factorisation="two_3x3"),
        "1x5 and 5x1": cell(**LARGE_KERNEL, factorisation="1x5_5x1"),
    },
    "residual": {"nothing added": made("not_residual"), "residual": made("residual")},
    "multiplier": {"1": made("separable"), "2": made("separable", depth_multiplier=2)},
    "shuffle": {"none": {"name": "claims_unshuffled", **SHUFFLE}, "shuffle": {"name": "shufflenet", **SHUFFLE}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("test_data")
    parser.add_argument("--claims", nargs="+", default=list(CLAIMS), choices=list(CLAIMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    options = parser.parse_args()
    claims_networks.register()
    for seed in options.seeds:  # of every claim first one seed, then the next
        for claim in options.claims:
            for arm in CLAIMS[claim]:
                if not found(claim, arm, seed):
                    add_row(same_as(claim, arm, seed) or run(claim, arm, seed, options))


def rows() -> list[dict[str, str]]:
    """The runs so far."""
    return list(csv.DictReader(CSV.open(encoding="utf-8"))) if CSV.exists() else []


def found(claim: str, arm: str, seed: int) -> dict[str, str] | None:
    """The row of a run, where it stands there."""
    return next((row for row in rows() if (row["claim"], row["arm"], row["seed"]) == (claim, arm, str(seed))), None)


def same_as(claim: str, arm: str, seed: int) -> dict[str, Any] | None:
    """The row of a run that another claim has too: several begin from the same network."""
    for other, arms in CLAIMS.items():
        for name, changes in arms.items():
            if changes == CLAIMS[claim][arm] and (row := found(other, name, seed)):
                return row | {"claim": claim, "arm": arm}
    return None


def add_row(row: dict[str, Any]) -> None:
    everything = [*rows(), row]
    order = [(claim, arm) for claim, arms in CLAIMS.items() for arm in arms]
    everything.sort(key=lambda one: (order.index((one["claim"], one["arm"])), int(one["seed"])))
    with CSV.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(everything)
    print(*row.values(), flush=True)


def config_of(arm: dict[str, Any], seed: int, data: str, test_data: str) -> TrainConfig:
    """The run of an arm: recipe cifar10's pictures, and what all arms have in common."""
    recipe = load_recipe("cifar10")
    model = {key: value for key, value in arm.items() if key in ("name", "options", "alpha", "aux_heads")}
    return replace(
        recipe,
        recipe="",
        data=data,
        test_data=test_data,
        seed=seed,
        epochs=EPOCHS,
        model=ModelConfig(**{"aux_heads": False, "image_size": 32, "batch_norm_momentum": 0.9, **model}),
        optimizer=OptimizerConfig(learning_rate=arm.get("rate", 0.1), weight_decay=2e-3),
        objective=ObjectiveConfig(label_smoothing=arm.get("smoothing", 0.0)),
    )


def run(claim: str, arm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains an arm; its row."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        done = train(config_of(CLAIMS[claim][arm], seed, options.data, options.test_data), Path(folder) / "run")
        metrics, network = done.read_json("metrics.json"), done.model()
    cost = sum(row.multiply_adds or 0 for row in block_table(network))
    row = [claim, arm, seed, f"{metrics['test_accuracy']:.2%}"[:-1], f"{metrics['test_loss']:.4f}"]
    row += [network.count_params(), cost, round(time.process_time() - start), EPOCHS]
    return dict(zip(COLUMNS, row, strict=True))


if __name__ == "__main__":
    main()
