"""How fast training images come: the full Inception augmentation against bare JPEG decoding, and against Keras.

Run it with `python benchmarks/pipeline.py FOLDER`, a folder of class folders of JPEG files. Everyone makes batches of
32 from the same files on the same cores, in short turns in a changing order. A turn begins when the others have filled
their buffers and gone idle, and with a few batches that are not timed, since they were waiting. Printed are medians
over the turns: images a second, images a second of processor time, and the ratios of both, taken round by round. On a
busy machine the ratios of processor time are the steadier ones. The contestants:

- decode: tf.data reads and decodes every file, as anyone would write it, and hands on nothing but the number of values
- streamed: this pipeline with `cache_mb=0`, which reads and decodes in every epoch
- ours: this pipeline as it is configured by default, which keeps decoded pictures in memory where they fit
- disk: this pipeline with `cache_dir`, which keeps them in a mapped file
- Keras: image_dataset_from_directory with the matching layers: zoom, translation, flip and colour jitter

Ours varies area (0.05 to 1), aspect ratio (3/4 to 4/3), flip, brightness, contrast, saturation and hue, as the
Inception papers' training does. The aims are 0.75 of bare decoding where nothing is kept, and 1.0 where something is.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

from keras_inception.training.config import AugmentConfig, ModelConfig, PipelineConfig, TrainConfig
from keras_inception.training.data.images import AnyImages
from keras_inception.training.data.sources import open_splits
from keras_inception.training.pipeline.training import training_batches

INCEPTION = AugmentConfig(min_area=0.05, flip=True, brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2)
BATCH = 32
STEPS, KERAS_STEPS = 20, 4  # batches a turn
WAITING = 6  # batches, at most, that the buffers hold


def bare(images: AnyImages) -> Iterator[Any]:
    def values(path: tf.Tensor) -> tf.Tensor:
        return tf.size(tf.io.decode_jpeg(tf.io.read_file(path), channels=3))

    paths = tf.data.Dataset.from_tensor_slices(images.names).shuffle(len(images.names)).repeat()
    return iter(paths.map(values, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2))


def ours(images: AnyImages, size: int, **kept: Any) -> Iterator[Any]:
    config = TrainConfig(
        epochs=10_000,
        model=ModelConfig(image_size=size),
        pipeline=PipelineConfig(batch_size=BATCH, augment=INCEPTION, **kept),
    )
    return iter(training_batches(images, config, 1 + int(images.labels.max())))


def theirs(folder: str, size: int) -> Iterator[Any]:
    images = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH, label_mode="categorical", verbose=False
    )
    layers = [
        keras.layers.RandomZoom((-0.7, 0.0), (-0.7, 0.0)),
        keras.layers.RandomTranslation(0.2, 0.2),
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomColorJitter(
            brightness_factor=INCEPTION.brightness,
            contrast_factor=INCEPTION.contrast,
            saturation_factor=INCEPTION.saturation,
            hue_factor=INCEPTION.hue,
        ),
    ]

    def varied(pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in layers:
            pixels = layer(pixels, training=True)
        return pixels, targets

    return iter(images.map(varied, num_parallel_calls=tf.data.AUTOTUNE).repeat().prefetch(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="class folders of JPEG files")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images made")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options, folder)


def compare(options: argparse.Namespace, folder: str) -> None:
    """Runs the turns and prints a row for each contestant; decoded pictures are kept in a folder."""
    images = open_splits(TrainConfig(data=f"folder:{options.folder}")).train
    contestants = {
        "decode": bare(images),
        "streamed": ours(images, options.size, cache_mb=0),
        "ours": ours(images, options.size),
        "disk": ours(images, options.size, cache_dir=folder),
        "Keras": theirs(options.folder, options.size),
    }
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for number in range(options.rounds + 1):
        names = list(contestants)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found = turn(contestants[name], KERAS_STEPS if name == "Keras" else STEPS)
            if number:  # the first round traces, compiles and fills the memory
                turns[name].append(found)
    print(f"{len(images.names)} images, {options.rounds} rounds, {os.cpu_count()} cores, {options.size} pixels")
    ratios = f"{'to decode':>10} {'to Keras':>9}"
    print(f"{'':<10} {'images/s':>9} {ratios} {'per CPU s':>10} {ratios}")
    for name, found in turns.items():
        cells = []
        for kind in (0, 1):
            rates = [turn[kind] for turn in found]
            decode, keras_ = ([turn[kind] for turn in turns[peer]] for peer in ("decode", "Keras"))
            cells.append(
                f"{statistics.median(rates):>9,.0f} {ratio(rates, decode):>10.2f} {ratio(rates, keras_):>9.2f}"
            )
        print(f"{name:<10} {cells[0]}  {cells[1]}")


def turn(contestant: Iterator[Any], steps: int) -> tuple[float, float]:
    """Images a second, and a second of processor time."""
    while True:  # until the others' threads have nothing left to do
        began = time.process_time()
        time.sleep(0.1)
        if time.process_time() - began < 0.005:
            break
    for _ in range(WAITING):
        next(contestant)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(contestant)
    count = steps * BATCH
    return count / (time.perf_counter() - wall), count / (time.process_time() - processor)


def ratio(rates: list[float], peers: list[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(rate / peer for rate, peer in zip(rates, peers, strict=True))


if __name__ == "__main__":
    main()
