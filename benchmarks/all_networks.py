"""All networks in all modes beside what others make of them: size, latency, loading, memory, operators, as one CSV.

Run it with `python benchmarks/all_networks.py` on a quiet machine; names of networks limit it to them. It writes
docs/figures/networks.csv, from which the pages of the networks are made; rows of other networks stay. `--files FOLDER`
keeps the files between calls, `--make` stops when they are made.

Every network has its published size, 1,000 classes and random weights, its batch norms the statistics of pictures: what
is measured depends on neither. The contestants are

- `keras-inception`: what `export` writes, in five modes;
- `keras.applications`, where it has the network: TensorFlow's plain converter in the same modes, same weights;
- `onnxruntime`: our .onnx file, and the same quantised by ONNX Runtime (QDQ, a scale a channel);
- `openvino`: our .onnx file in OpenVINO, and the same quantised by NNCF, OpenVINO's own tool.

Latency is of one image from uint8 pixels to probabilities, with one thread and with two, all in turns in an order that
changes; int16x8 files run on kernels many times slower, so they are timed by themselves, three times. Loading (to the
end of the first answer) and the memory that this takes are those of a process that has imported the runtime and
nothing else, and opens the file by its path.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np

CSV = Path(__file__).parents[1] / "docs" / "figures" / "networks.csv"
COLUMNS = (
    "network", "who", "mode", "size_mb", "latency_1_ms", "latency_2_ms", "load_ms", "memory_mb", "operators",
    "on", "machine", "versions",
)  # fmt: skip
MODES = ("float32", "float16", "dynamic", "int8", "int16x8")
SLOW = "int16x8"
CALIBRATION_IMAGES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--make", action="store_true", help="make the files and measure nothing")
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--load", nargs=3, metavar=("WHO", "FILE", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(*options.load)))
        return
    import keras_inception as ki

    with tempfile.TemporaryDirectory() as temporary:
        for name in options.networks or ki.list_models():
            folder = (options.files or Path(temporary)) / name
            make(name, folder)
            if not options.make:
                write_rows(name, measure(name, folder, options.runs))
            if options.files is None:
                shutil.rmtree(folder)


# Making the files ----------------------------------------------------------------------------------------------------


def make(name: str, folder: Path) -> None:
    """Writes WHO_MODE.tflite, .onnx or .xml of a network for all that have it; what is there stays."""
    if (folder / "made").exists():
        return
    import keras
    from peers import THEIRS, give_weights, take_statistics
    from tflite_vs_keras_applications import convert_theirs, photographs

    import keras_inception as ki
    import keras_inception.tflite as kt

    folder.mkdir(parents=True, exist_ok=True)
    size = ki.get_entry(name).input_size
    images = photographs(CALIBRATION_IMAGES, size)
    keras.utils.set_random_seed(0)
    ours = ki.create_model(name, include_preprocessing=True)
    theirs = THEIRS[name](weights=None, classes=1000) if name in THEIRS else None
    if theirs is None:
        take_statistics(ours, images)
    else:
        take_statistics(theirs, ki.preprocess_input(images, name))
        give_weights(theirs, ours)
    start = time.perf_counter()
    # The rounding of weights changes neither the size nor the operators nor what is computed.
    export = kt.export(
        ours, folder / "export", modes=MODES, saved_model=False, onnx=True, calibration=images, rounding="nearest",
        overwrite=True,
    )  # fmt: skip
    for mode, path in export.files.items():
        shutil.move(path, folder / (f"keras-inception_{mode}.tflite" if mode != "onnx" else "onnxruntime_float32.onnx"))
    shutil.rmtree(folder / "export")
    for mode in MODES[:-1] if theirs is not None else ():
        (folder / f"keras.applications_{mode}.tflite").write_bytes(convert_theirs(theirs, mode, images, name))
    quantise_onnx(folder, images)
    (folder / "made").touch()
    print(f"{name}: files made in {time.perf_counter() - start:.0f} s", flush=True)


def quantise_onnx(folder: Path, images: np.ndarray) -> None:
    """Makes the .onnx file int8 as ONNX Runtime and as OpenVINO advise."""
    import nncf
    import openvino
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.left, None)
            return None if image is None else {"images": image[None]}

    source, prepared = folder / "onnxruntime_float32.onnx", folder / "prepared.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, folder / "onnxruntime_int8.onnx", Reader(), per_channel=True, activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    prepared.unlink()
    model = openvino.convert_model(source)
    model.reshape([1, *images.shape[1:]])
    openvino.save_model(model, folder / "openvino_float32.xml", compress_to_fp16=False)
    quantised = nncf.quantize(
        model, nncf.Dataset([image[None] for image in images]), subset_size=len(images),
        preset=nncf.QuantizationPreset.MIXED,
    )  # fmt: skip
    openvino.save_model(quantised, folder / "openvino_int8.xml")


# Measuring them ------------------------------------------------------------------------------------------------------


def measure(name: str, folder: Path, runs: int) -> list[dict[str, Any]]:
    """One row a file of the folder."""
    import keras_inception as ki
    from keras_inception.tflite.errors import quiet

    size = ki.get_entry(name).input_size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("uint8")
    files = sorted(folder.glob("*_*.*"))
    files = [file for file in files if file.suffix in (".tflite", ".onnx", ".xml")]
    loaded = {file: loading(file, size) for file in files}
    refused = {file: found for file, found in loaded.items() if isinstance(found, str)}
    files = [file for file in files if file not in refused]
    latency: dict[tuple[Path, int], float] = {}
    for threads in (1, 2):
        opened = {file: open_file(who(file), file, threads, name) for file in files}
        quick = {file: partial(call, image) for file, call in opened.items() if mode(file) != SLOW}
        with quiet():
            times = in_turns(quick, runs)
            for file in set(files) - set(quick):
                times |= in_turns({file: partial(opened[file], image)}, 3)
        latency |= {(file, threads): float(np.median(times[file])) * 1e3 for file in files}
    common = {"network": name, "on": time.strftime("%Y-%m-%d"), "machine": machine()}
    rows = []
    for file in [*files, *refused]:
        row = common | {"who": who(file), "mode": mode(file), "size_mb": f"{size_of(file) / 1e6:.3f}"}
        row |= {"operators": operators_of(file), "versions": versions(who(file))}
        if file in refused:
            row["operators"] = f"does not run: {refused[file]}"
        else:
            row |= {f"latency_{threads}_ms": f"{latency[file, threads]:.3f}" for threads in (1, 2)}
            row |= {key: f"{value:.1f}" for key, value in loaded[file].items()}
        rows.append({column: row.get(column, "") for column in COLUMNS})
    return rows


def in_turns(calls: dict[Path, Callable[[], Any]], runs: int) -> dict[Path, list[float]]:
    """Seconds of each call, in turns in an order that changes.

    Threads of ONNX Runtime and OpenVINO spin for a while when they have nothing to do, on the cores of whoever comes
    next: so each waits for silence first, and answers once before it is timed.
    """
    times: dict[Path, list[float]] = {file: [] for file in calls}
    files, order = list(calls), np.random.default_rng(0)
    for call in calls.values():
        call()
    for _ in range(runs):
        for index in order.permutation(len(files)):
            call = calls[files[index]]
            time.sleep(0.03)
            call()
            start = time.perf_counter()
            call()
            times[files[index]].append(time.perf_counter() - start)
    return times


def who(file: Path) -> str:
    """Whose file it is."""
    return file.stem.rpartition("_")[0]


def mode(file: Path) -> str:
    """Its mode."""
    return file.stem.rpartition("_")[2]


def size_of(file: Path) -> int:
    """Bytes of a file, its weights included."""
    weights = file.with_suffix(".bin")
    return file.stat().st_size + (weights.stat().st_size if file.suffix == ".xml" else 0)


def operators_of(file: Path) -> str:
    """Operators of a .tflite file, the most frequent first; nothing of others."""
    if file.suffix != ".tflite":
        return ""
    from keras_inception.tflite.files.flatbuffer import operators

    found = operators(file.read_bytes())
    return " ".join(f"{name}:{count}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0])))


def machine() -> str:
    """The processor and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
        flags = next((line.split() for line in lines if line.startswith("flags")), [])
        model += "".join(
            f", {name}" for flag, name in (("avx512_vnni", "AVX-512 VNNI"), ("amx_int8", "AMX")) if flag in flags
        )
    return f"{len(os.sched_getaffinity(0))} cores of {model}"


def versions(contestant: str) -> str:
    """Versions of what runs a contestant's files."""
    from importlib.metadata import version

    runtime = {"onnxruntime": ["onnxruntime"], "openvino": ["openvino", "nncf"]}
    return " ".join(f"{name} {version(name)}" for name in runtime.get(contestant, ["ai-edge-litert"]))


def open_file(contestant: str, file: Path, threads: int, network: str = "") -> Callable[[np.ndarray], np.ndarray]:
    """A file as a function of uint8 pixels, in its own runtime; imports nothing else."""
    if contestant == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {"images": image})[0]
    if contestant == "openvino":
        import openvino

        wanted = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.compile_model(file, "CPU", wanted)
        return lambda image: compiled(image)[0]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=threads)
    runner = interpreter.get_signature_runner("serving_default")
    (given,) = runner.get_input_details()
    if not network or contestant == "keras-inception":
        dtype = runner.get_input_details()[given]["dtype"]
        return lambda image: next(iter(runner(**{given: image.astype(dtype, copy=False)}).values()))
    from keras_inception import preprocess_input

    return lambda image: next(iter(runner(**{given: preprocess_input(image, network)}).values()))


def loading(file: Path, size: int) -> dict[str, float] | str:
    """Time and memory of opening a file and answering once, in a process of its own: the median of three.

    Of a file that its runtime cannot run, what that says.
    """
    found = []
    for _ in range(3):
        words = [sys.executable, __file__, "--load", who(file), str(file), str(size)]
        answer = subprocess.run(words, capture_output=True, text=True)
        if answer.returncode:
            return next(line for line in reversed(answer.stderr.splitlines()) if line.strip())
        found.append(json.loads(answer.stdout.splitlines()[-1]))
    return {key: float(np.median([row[key] for row in found])) for key in found[0]}


def load(contestant: str, file: str, size: str) -> dict[str, float]:
    """In the process of its own: milliseconds to the end of the first answer, and megabytes at the peak of that."""
    import_runtime = {"onnxruntime": "onnxruntime", "openvino": "openvino"}
    __import__(import_runtime.get(contestant, "ai_edge_litert.interpreter"))
    image = np.zeros((1, int(size), int(size), 3), np.uint8)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    start = time.perf_counter()
    open_file(contestant, Path(file), 2)(image)
    return {"load_ms": (time.perf_counter() - start) * 1e3, "memory_mb": (status("VmHWM") - before) / 1e3}


def status(key: str) -> float:
    """A figure of this process in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(key)))


def write_rows(name: str, rows: list[dict[str, Any]]) -> None:
    """Puts a network's rows in place of its earlier ones; the order is that of the networks."""
    import keras_inception as ki

    old = list(csv.DictReader(CSV.open())) if CSV.exists() else []
    names = ki.list_models()
    kept = sorted([row for row in old if row["network"] != name] + rows, key=lambda row: names.index(row["network"]))
    CSV.parent.mkdir(exist_ok=True)
    with CSV.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    for row in rows:
        print(" ".join(str(row[key]) for key in COLUMNS[:8]), flush=True)


if __name__ == "__main__":
    main()
