"""How long building a network takes, against keras.applications in the same process.

Run it with `python benchmarks/build_time.py`; names of networks as arguments limit it to them. It prints medians over
rounds of both, and the ratio of the processor seconds, which a busy machine disturbs less than the clock.
The aim is a ratio of at most 1 for Inception-ResNet v2, and a half if it can be had.
"""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from peers import THEIRS

import keras_inception as ki

ROUNDS = 7


def seconds(build: Callable[..., keras.Model]) -> tuple[float, float]:
    """Processor seconds and clock seconds of one build."""
    keras.utils.clear_session()
    gc.collect()
    processor, clock = time.process_time(), time.perf_counter()
    build(weights=None)
    return time.process_time() - processor, time.perf_counter() - clock


def main() -> None:
    print(f"{'network':<20} {'ours':>14} {'keras.applications':>20} {'ratio':>7}   (processor / clock, s)")
    for name in sys.argv[1:] or THEIRS:
        builders = {"ours": ki.get_entry(name).load_builder(), "theirs": THEIRS[name]}
        for build in builders.values():  # what a process pays once
            build(weights=None)
        rounds = [{who: seconds(build) for who, build in builders.items()} for _ in range(ROUNDS)]
        (ours, our_clock), (theirs, their_clock) = (
            tuple(statistics.median(values) for values in zip(*(row[who] for row in rounds), strict=True))
            for who in builders
        )
        ratio = ours / theirs
        print(
            f"{name:<20} {ours:>7.2f}/{our_clock:<6.2f} {theirs:>11.2f}/{their_clock:<8.2f} {ratio:>7.2f}", flush=True
        )


if __name__ == "__main__":
    main()
