"""What batch norms do to a trained network that trains on, before a weight has moved: the table of docs/fine_tuning.md.

Run it with `python benchmarks/batch_norms.py FOLDER WEIGHTS`: photographs with a sub-folder a class, and a file of
weights of Inception v3. The first five pictures of each class give the class's mean feature, the next five are
classified by the nearest one, all in shuffled batches of 8 at 224 pixels.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np

import keras_inception as ki

A_CLASS = 5
SIZE = 224
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    options = parser.parse_args()
    pictures, labels = read(options.folder)
    order = np.random.default_rng(0).permutation(len(pictures))
    pictures, labels, known = (
        pictures[order],
        labels[order],
        (np.arange(len(pictures)) % (2 * A_CLASS) < A_CLASS)[order],
    )
    model = ki.create_model(
        "inception_v3", include_top=False, pooling="avg", include_preprocessing=True, input_shape=(SIZE, SIZE, 3),
        weights=str(options.weights),
    )  # fmt: skip

    def features(training: bool) -> np.ndarray:
        batches = np.array_split(pictures, -(-len(pictures) // BATCH))
        return np.concatenate([np.asarray(model(batch, training=training)) for batch in batches])

    stored = features(training=False)
    contestants = {
        "the stored statistics, as in prediction": stored,
        "the statistics of the batch, as in training": features(training=True),
        "the stored statistics, after that one pass in training mode": features(training=False),
    }
    for name, found in contestants.items():
        change = np.mean(np.linalg.norm(found - stored, axis=1) / np.linalg.norm(stored, axis=1))
        right = nearest(found[known], labels[known], found[~known]) == labels[~known]
        print(f"{name}: features change by {change:.0%}, {right.mean():.0%} of {len(right)} right")


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures, uint8 [n, SIZE, SIZE, 3], class by class, and their classes."""
    from PIL import Image, ImageOps

    files = [sorted(name.iterdir())[: 2 * A_CLASS] for name in sorted(folder.iterdir()) if name.is_dir()]
    pictures = [ImageOps.fit(Image.open(file).convert("RGB"), (SIZE, SIZE)) for group in files for file in group]
    return np.stack([np.asarray(picture) for picture in pictures]), np.repeat(np.arange(len(files)), 2 * A_CLASS)


def nearest(known: np.ndarray, labels: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The class whose mean feature is nearest."""
    means = np.stack([known[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return np.linalg.norm(features[:, None] - means, axis=2).argmin(axis=1)


if __name__ == "__main__":
    main()
