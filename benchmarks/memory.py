"""Does the memory of an epoch grow with its length? Peaks of fresh processes over 1, 4 and 16 times the same images.

Run it with `python benchmarks/memory.py FOLDER`, a folder of class folders of JPEG files. Each size is made of links to
the files, once as they are and once packed into shards, and goes through the training pipeline for one epoch, with
the full Inception augmentation and nothing kept in memory (`cache_mb=0`); as they are also with decoded pictures on
disk (`cache_dir`), where the epoch both writes and reads them. The peak is the whole process's, mapped files counted.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TIMES = (1, 4, 16)


def peak() -> float:
    """The process's peak memory so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one_epoch(data: str, cache_dir: str) -> None:
    """Runs one epoch, and prints how many images it had and the process's peak."""
    from keras_inception.training.config import AugmentConfig, PipelineConfig, TrainConfig
    from keras_inception.training.data.sources import open_splits
    from keras_inception.training.pipeline.training import training_batches

    augment = AugmentConfig(min_area=0.05, flip=True, brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2)
    pipeline = PipelineConfig(batch_size=32, augment=augment, cache_mb=0, cache_dir=cache_dir, shuffle_buffer=256)
    config = TrainConfig(data=data, epochs=1, pipeline=pipeline)
    splits = open_splits(config, known_bad=())
    count = 0
    for images, _ in training_batches(splits.train, config, len(splits.class_names)):
        count += len(images)
    print(count, peak())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="class folders of JPEG files")
    parser.add_argument("--worker", action="store_true", help="run one epoch over this data: the script's own use")
    parser.add_argument("--cache-dir", default="", help="the worker's cache of decoded pictures")
    options = parser.parse_args()
    if options.worker:
        one_epoch(options.folder, options.cache_dir)
    else:
        compare(Path(options.folder))


def compare(images: Path) -> None:
    """Prints a row for each source and size."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    print(f"{'source':<10} {'times':>5} {'images':>8} {'peak':>9} {'to 1x':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for source in ("folder", "tfrecord", "disk"):
            first = 0.0
            for times in TIMES:
                kind = "folder" if source == "disk" else source
                data = f"{kind}:{make(kind, images, Path(folder), times)}"
                command = [sys.executable, __file__, data, "--worker"]
                command += ["--cache-dir", f"{folder}/decoded"] if source == "disk" else []
                result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                count, megabytes = result.stdout.split()
                first = first or float(megabytes)
                ratio = float(megabytes) / first
                print(f"{source:<10} {times:>5} {count:>8} {float(megabytes):>6.0f} MB {ratio:>6.2f}", flush=True)


def make(source: str, images: Path, folder: Path, times: int) -> Path:
    """Multiplies a folder by links to its files, and packs it where shards are wanted."""
    links = folder / f"links-{times}"
    if not links.is_dir():
        for path in sorted(images.resolve().glob("*/*")):
            for copy in range(times):
                link = links / path.parent.name / f"{copy}-{path.name}"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
    if source == "folder":
        return links
    from keras_inception.training import pack

    packed = folder / f"packed-{times}"
    pack(f"folder:{links}", packed, shard_mb=16)
    return packed


if __name__ == "__main__":
    main()
