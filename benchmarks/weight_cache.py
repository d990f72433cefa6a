"""What XNNPACK's weight cache saves when an app starts: time to load, time to the first answer, memory.

    python benchmarks/weight_cache.py EXPORT/model_float32.tflite EXPORT/model_int8.tflite --csv FILE

Each start is a process of its own that has imported LiteRT and nothing else, on one thread: a compiled model without a
cache, one that writes the cache, and one that finds it. Rounds take them in turns; figures are medians. Memory is what
the process has to itself after its first answer, less what it had before it opened the file. The mapped pages of a
cache are shared with the disk's own copy and given back under pressure; they do not count.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = {"without": "without a cache", "first": "that writes it", "later": "that finds it"}
COLUMNS = ("network", "mode", "start", "loaded", "first answer", "memory of its own", "cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--csv", type=Path, help="where the table shall be written")
    options = parser.parse_args()
    rows = [row for file in options.files for row in rows_of(file, options.rounds)]
    for row in rows:
        print(*row.values(), sep="  ")
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def rows_of(file: Path, rounds: int) -> list[dict[str, str]]:
    """A row for each kind of start."""
    found: dict[str, list[list[float]]] = {kind: [] for kind in STARTS}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "cache"
            for kind in STARTS:
                words = [sys.executable, __file__, "--start", str(file), "" if kind == "without" else str(cache)]
                told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
                found[kind].append(json.loads(told.splitlines()[-1]))
            size = cache.stat().st_size / 1e6
    rows = []
    for kind, starts in found.items():
        load, first, private = (statistics.median(column) for column in zip(*starts, strict=True))
        words = [file.parent.name, file.stem.removeprefix("model_"), STARTS[kind], f"{load:.1f} ms", f"{first:.1f} ms"]
        words += [f"{private:.0f} MB", "" if kind == "without" else f"{size:.1f} MB"]
        rows.append(dict(zip(COLUMNS, words, strict=True)))
    return rows


def start(file: str, cache: str) -> None:
    """In a process of its own: prints the milliseconds until it is loaded, until it has answered, and the megabytes."""
    import numpy as np
    from ai_edge_litert import compiled_model as litert

    before, began = private_megabytes(), time.perf_counter()
    cpu = litert.CpuOptions(num_threads=1, xnnpack_weight_cache_path=cache)
    options = litert.Options(litert.HardwareAccelerator.CPU, cpu_options=cpu)
    model = litert.CompiledModel.from_file(file, options=options)
    (given,) = model.create_input_buffers(0)
    answers = model.create_output_buffers(0)
    loaded = time.perf_counter()
    (takes,) = model.get_input_tensor_details("serving_default").values()
    given.write(np.zeros(takes["shape"], takes["dtype"]))
    model.run_by_index(0, [given], answers)
    answered = time.perf_counter()
    found = [(loaded - began) * 1e3, (answered - began) * 1e3, private_megabytes() - before]
    print(json.dumps(found))


def private_megabytes() -> float:
    """Memory of this process that no file on disk holds."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:")) / 1024


if __name__ == "__main__":
    start(*sys.argv[2:]) if sys.argv[1:2] == ["--start"] else main()
