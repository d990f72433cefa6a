"""How near integer files of MobileNetV2 come to its released weights on photographs: docs/figures/int8_photographs.csv.

    python benchmarks/int8_photographs.py mobilenet_v2_1.0_224.h5 PHOTOGRAPHS

PHOTOGRAPHS is a folder of pictures named by their WordNet ids, such as n01440764.jpg. They are shuffled once and
halved; each half calibrates the files that are held against the float network on the other, so that every picture
counts once. As few pictures near a tie decide, all is repeated with weights that differ by 1e-4 of themselves: means
over these, with the least and the most.
"""

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np

import keras_inception as ki
import keras_inception.tflite as kt
from keras_inception.tflite.running.litert import LiteRTModel

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "helpers"))

from tflite_helpers import photographs  # noqa: E402

CSV = ROOT / "docs" / "figures" / "int8_photographs.csv"
SIZE, BATCH = 224, 25
KINDS = {
    "dynamic": ("dynamic", "compensated"),
    "int8": ("int8", "compensated"),
    "int8, nearest steps": ("int8", "nearest"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="other rows stay")
    options = parser.parse_args()
    images, labels = photographs(options.photographs, SIZE)
    network = ki.MobileNetV2(weights=options.weights, include_preprocessing=True)
    batches = np.split(images.astype("float32"), range(BATCH, len(images), BATCH))
    floats = np.concatenate([np.asarray(network(batch, training=False)) for batch in batches])
    released = network.get_weights()
    rows = {row["file"]: row for row in csv.DictReader(CSV.open())} if CSV.exists() else {}
    for kind in options.kinds:
        found = []
        for repeat in range(options.repeats):
            noise = np.random.default_rng(repeat)
            network.set_weights(
                [w * (1 + 1e-4 * (repeat > 0) * noise.standard_normal(w.shape).astype("float32")) for w in released]
            )
            found.append(compared(answers(network, images, *KINDS[kind]), floats, labels))
            print(kind, repeat, *(f"{value:.4f}" for value in found[-1]), flush=True)
        agreement, shared, loss = np.transpose(found)
        rows[kind] = {
            "file": kind,
            "agreement": percent(agreement),
            "kept of the first five classes": percent(shared),
            "cross-entropy, less the network's": f"{loss.mean():.4f} ({loss.min():.4f} to {loss.max():.4f})",
        }
        with CSV.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[kind]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[name] for name in KINDS if name in rows)


def percent(shares: np.ndarray) -> str:
    """Their mean, with the least and the most."""
    return f"{100 * shares.mean():.1f} % ({100 * shares.min():.1f} to {100 * shares.max():.1f})"


def answers(network: object, images: np.ndarray, mode: str, rounding: str) -> np.ndarray:
    """Probabilities by files that the other half of the images calibrated."""
    half, found = len(images) // 2, []
    for measured, calibrating in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        with tempfile.TemporaryDirectory() as folder:
            export = kt.export(
                network, Path(folder) / "export", modes=mode, rounding=rounding, saved_model=False,
                calibration=images[calibrating],
            )  # fmt: skip
            found.append(LiteRTModel(export.files[mode])(images[measured]))
    return np.concatenate(found)


def compared(answer: np.ndarray, floats: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """The share of equal first classes, that of the float network's first five which are kept, and the loss added."""
    firsts, expected = (np.argsort(-some, 1, kind="stable")[:, :5] for some in (answer, floats))
    kept = [np.isin(one, other).mean() for one, other in zip(expected, firsts, strict=True)]
    losses = [-np.log(np.maximum(some[np.arange(len(labels)), labels], 1e-9)).mean() for some in (answer, floats)]
    return float(np.mean(firsts[:, 0] == expected[:, 0])), float(np.mean(kept)), float(losses[0] - losses[1])


if __name__ == "__main__":
    main()
