"""How long `import keras_inception` and `keras-inception --help` take: medians over fresh processes.

Run it with `python benchmarks/import_time.py`. The aims are 0.15 s beyond a bare Python for the import and 0.5 s for
help, whole process included.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15
COMMAND = Path(sys.executable).with_name("keras-inception")
CONTESTANTS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import keras_inception": [sys.executable, "-c", "import keras_inception"],
    "keras-inception --help": [str(COMMAND), "--help"],
    "keras-inception train --help": [str(COMMAND), "train", "--help"],
    "keras-inception models": [str(COMMAND), "models"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(RUNS):  # in turns, so that a busy moment hits all alike
        for name, command in CONTESTANTS.items():
            times[name].append(seconds(command))
    for name, values in times.items():
        print(f"{name:<30} {statistics.median(values):.3f} s  (fastest {min(values):.3f} s)")


if __name__ == "__main__":
    main()
