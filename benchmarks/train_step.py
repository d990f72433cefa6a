"""Time and memory of a training step: ours against keras.applications with plain `fit`, and against timm on PyTorch.

    python benchmarks/train_step.py --models inception_v3 xception mobilenet_v2 --size 128 --batch 16
    python benchmarks/train_step.py --against timm --timm-python ENVIRONMENT/bin/python --precision bfloat16
    KERAS_BACKEND=jax python benchmarks/train_step.py --against timm --models inception_v3 inception_v4 --batch 128

All sides train the same network in the same precision on the same random batch: SGD with momentum, cross-entropy on
1,000 classes, no auxiliary head. Ours is the `Trainer` of `keras_inception.training` with the callbacks that watch
every step of a run, with XLA or without as `--xla` says; keras.applications' network is compiled and fitted plainly,
which takes XLA wherever Keras can; timm's runs in channels_last under autocast, on a GPU through `torch.compile`, in a
process of its own (timm_step.py), with the interpreter of an environment that has torch and timm. Where there is none
it is skipped, with the reason. The rounds of the sides alternate; figures are medians over rounds, and the ratio is
ours to the other's images a second, so that 1.0 or more is the aim. Memory is the peak of a GPU, or on a CPU the growth
of a process of its own that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
import numpy as np
from peers import THEIRS

import keras_inception as ki

TIMM = {
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "legacy_xception",
    "resnext50": "resnext50_32x4d",
    "resnext101": "resnext101_32x4d",
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}

Step = Callable[[int], None]
"""Runs so many training steps and returns when the device has finished them."""


def batch_of(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (count, size, size, 3)).astype("float32")
    return pixels, np.eye(1000, dtype="float32")[rng.integers(0, 1000, count)]


def fitted(model: keras.Model, size: int, count: int, callbacks: Callable[[], list]) -> Step:
    """Steps of a compiled model's `fit`, on the same batch again and again."""
    import tensorflow as tf

    untuned = tf.data.Options()  # a tuner of tf.data's sleeps, ever longer, and the end of `fit` waits until it wakes
    untuned.autotune.enabled = False
    data = tf.data.Dataset.from_tensors(batch_of(size, count)).repeat().prefetch(2).with_options(untuned)

    def run(steps: int) -> None:
        model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False, callbacks=callbacks())

    return run


def ours(name: str, size: int, count: int, precision: str, xla: bool) -> Step:
    from keras_inception.training.config import OptimizerConfig, ScheduleConfig, TrainConfig
    from keras_inception.training.engine.checkpoints import Place
    from keras_inception.training.engine.objective import Objective
    from keras_inception.training.engine.trainer import make_trainer
    from keras_inception.training.engine.watching import Speed, Steps, StopOnNaN

    config = TrainConfig(
        precision=POLICIES[precision],
        jit_compile=xla,
        optimizer=OptimizerConfig(name="sgd", learning_rate=0.01, momentum=0.9, nesterov=False),
        schedule=ScheduleConfig(name="constant"),
    )
    model = ki.create_model(name, input_shape=(size, size, 3))
    trainer = make_trainer(config, model, Objective({"predictions": 1.0}, 1000, 0.0), 1000)

    def callbacks() -> list:
        steps = Steps(1000, Place())
        return [steps, StopOnNaN(steps, str, lambda _: []), Speed(steps, count)]

    return fitted(trainer, size, count, callbacks)


def theirs(name: str, size: int, count: int, *_: object) -> Step:
    model = THEIRS[name](weights=None, input_shape=(size, size, 3))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return fitted(model, size, count, list)


class Timm:
    """timm's steps in another process, told over pipes."""

    def __init__(self, name: str, size: int, count: int, precision: str, python: str) -> None:
        worker = Path(__file__).with_name("timm_step.py")
        self.process = subprocess.Popen(
            [python, worker, TIMM[name], str(size), str(count), precision],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.versions = self._answer()

    def __call__(self, steps: int) -> None:
        """Runs so many training steps."""
        self.ask(steps)

    def ask(self, what: int | str) -> float:
        """The worker's answer to a line."""
        print(what, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            reason = self.process.communicate()[1].strip().splitlines()
            raise RuntimeError(reason[-1] if reason else f"exit code {self.process.returncode}")
        return line.strip()

    def close(self) -> None:
        """Ends the worker."""
        self.process.communicate()


SIDES = {"ours": ours, "keras.applications": theirs}


def compare(name: str, size: int, options: argparse.Namespace) -> dict:
    """Images a second of all sides, and the ratio of ours to each other."""
    sides: dict[str, Step] = {}
    left_out = {}
    for side in ("ours", *options.against):
        if side == "timm":
            try:
                sides[side] = Timm(name, size, options.batch, options.precision, options.timm_python)
            except (OSError, RuntimeError) as error:
                left_out[side] = str(error)
        elif side == "ours" or name in THEIRS:
            sides[side] = SIDES[side](name, size, options.batch, options.precision, options.xla)
    for run in sides.values():
        run(2)
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(options.rounds):
        for side in sorted(sides, reverse=bool(turn % 2)):
            start = time.perf_counter()
            sides[side](options.steps)
            speeds[side].append(options.batch * options.steps / (time.perf_counter() - start))
    row = {"left_out": left_out, "sides": {}}
    for side, run in sides.items():
        ratios = [mine / its for mine, its in zip(speeds["ours"], speeds[side], strict=True)]
        row["sides"][side] = {
            "images_per_s": round(statistics.median(speeds[side]), 2),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
        }
        if isinstance(run, Timm):
            run.close()
    return row


def memory_of(side: str, name: str, size: int, options: argparse.Namespace) -> float:
    """Megabytes that a process of its own needs for the side's training."""
    if side == "timm":
        worker = Timm(name, size, options.batch, options.precision, options.timm_python)
        worker(3)
        megabytes = worker.ask("memory")
        worker.close()
        return megabytes
    command = [sys.executable, __file__, "--memory-of", side, "--models", name, "--size", str(size)]
    command += ["--batch", str(options.batch), "--precision", options.precision] + ["--xla"] * options.xla
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def peak_megabytes(side: str, name: str, size: int, options: argparse.Namespace) -> float:
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        SIDES[side](name, size, options.batch, options.precision, options.xla)(3)
        if device.platform == "gpu":
            return device.memory_stats()["peak_bytes_in_use"] / 2**20
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            SIDES[side](name, size, options.batch, options.precision, options.xla)(3)
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    before = peak_of_process()
    SIDES[side](name, size, options.batch, options.precision, options.xla)(3)
    return peak_of_process() - before


def peak_of_process() -> float:
    """Megabytes; Linux's `getrusage` would count the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def main() -> None:
    """Prints a line a network and opponent, and all of it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["inception_v3", "xception", "mobilenet_v2"])
    others = ["keras.applications", "timm"]
    parser.add_argument("--against", nargs="*", choices=others, default=others)
    parser.add_argument(
        "--timm-python", default=sys.executable, help="interpreter of an environment with torch and timm"
    )
    parser.add_argument("--size", type=int, default=0, help="pixels; 0 takes each network's own")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", choices=list(POLICIES), default="float32")
    parser.add_argument("--xla", action="store_true", help="compile our step with XLA")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--no-memory", action="store_true", help="measure speed alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory-of", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = []
    for name in options.models:
        keras.config.set_dtype_policy(POLICIES[options.precision])  # anew: clear_session takes it back
        size = options.size or ki.get_entry(name).input_size
        if options.memory_of:
            print(peak_megabytes(options.memory_of, name, size, options))
            return
        row = {"model": name, "size": size} | compare(name, size, options)
        rows.append(row)
        for side, figures in row["sides"].items():
            if not options.no_memory:
                figures["megabytes"] = round(memory_of(side, name, size, options))
        if not options.json:
            tell(row, options)
        keras.utils.clear_session()
    if options.json:
        print(json.dumps(rows, indent=1))


def tell(row: dict, options: argparse.Namespace) -> None:
    """A line a side."""
    what = f"batch {options.batch}, {options.precision}, {keras.backend.backend()}"
    print(f"{row['model']} {row['size']}x{row['size']}, {what}")
    for side, figures in row["sides"].items():
        line = f"  {side:18} {figures['images_per_s']:7.2f} images/s"
        line += f"  {figures['megabytes']:6} MB" if "megabytes" in figures else ""
        least, most = figures["ratios"]
        print(line if side == "ours" else f"{line}  ours to it {figures['ratio']:.2f} ({least:.2f} to {most:.2f})")
    for side, reason in row["left_out"].items():
        print(f"  {side:18} left out: {reason}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
