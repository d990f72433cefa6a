"""Times loading InceptionV3's weights against Keras's own `load_weights` of as many bytes, and measures memory.

    python benchmarks/load_weights.py [--repeats 7]

Both load the same 95 MB into the same model, in turn; the ratio is of medians. Peak memory is what a process of its own
needs above the model, in multiples of the file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Writes the files, times both loaders in turn, prints medians, ratios and peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak(arguments.peak))
        return

    import keras

    import keras_inception as ki
    from keras_inception import weights

    with tempfile.TemporaryDirectory() as folder:
        source = keras.applications.InceptionV3(weights=None)
        theirs, ours = Path(folder) / "keras.weights.h5", Path(folder) / "ours.safetensors"
        source.save_weights(theirs)
        model = ki.InceptionV3()
        weights.load_weights(model, theirs)
        weights.save_weights(model, ours)
        loaders = {
            "keras load_weights": lambda: source.load_weights(theirs),
            "load_weights of the same file": lambda: weights.load_weights(model, theirs),
            "load_weights of our safetensors": lambda: weights.load_weights(model, ours),
        }
        seconds: dict[str, list[float]] = {name: [] for name in loaders}
        for repeat in range(arguments.repeats + 1):
            for name, load in loaders.items():
                begun = time.perf_counter()
                load()
                if repeat:  # the first one warms caches
                    seconds[name].append(time.perf_counter() - begun)
        base = statistics.median(seconds["keras load_weights"])
        for name, taken in seconds.items():
            median = statistics.median(taken)
            print(f"{name:34} median {median:6.3f} s  best {min(taken):6.3f} s  ratio {median / base:5.2f}")
        for path in (theirs, ours):
            command = [sys.executable, __file__, "--peak", str(path)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"peak memory of {path.name}: {float(result.stdout.split()[-1]):.2f} times the file")


def peak(path: str) -> float:
    """Peak memory while loading above that before, in multiples of the file."""
    import keras_inception as ki
    from keras_inception import weights

    model = ki.InceptionV3()
    small = ki.MobileNetV1(alpha=0.25)
    with tempfile.TemporaryDirectory() as folder:  # so that the readers' libraries are there already
        for suffix in ("h5", "safetensors"):
            weights.save_weights(small, Path(folder) / f"small.{suffix}")
            weights.load_weights(small, Path(folder) / f"small.{suffix}")
    done, before = threading.Event(), resident()
    highest = [before]

    def watch() -> None:
        while not done.wait(0.001):
            highest.append(max(highest.pop(), resident()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    weights.load_weights(model, path)
    done.set()
    watcher.join()
    return (highest[0] - before) / Path(path).stat().st_size


def resident() -> int:
    """Bytes of this process's own memory (Linux); pages of mapped files, which the system may drop, are not counted."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
