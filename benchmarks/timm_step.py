"""The side of timm in train_step.py, in a process of its own: PyTorch and TensorFlow do not share one well.

    python benchmarks/timm_step.py inception_v3 128 16 float32

Trains on a random batch, on the GPU where PyTorch has one. Reads numbers of steps from standard input, a line each, and
answers each with the seconds that they took; "memory" is answered with the peak in megabytes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def import_timm():
    """Imports timm, which needs torchvision for pictures: beside a PyTorch for CPUs PyPI's wheel lacks operators."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            OPERATORS.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    import timm

    return timm


class Side:
    """A network of timm in training: channels last, SGD with momentum, autocast; compiled on a GPU."""

    def __init__(self, name: str, size: int, count: int, precision: str) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        timm = import_timm()
        self.memory_before = self._resident()
        torch.manual_seed(0)
        model = timm.create_model(name).to(self.device).to(memory_format=torch.channels_last).train()
        pixels = torch.rand(count, 3, size, size, device=self.device) * 2 - 1
        self.pixels = pixels.to(memory_format=torch.channels_last)
        self.labels = torch.randint(0, 1000, (count,), device=self.device)
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        self.forward = model
        if self.device == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
            self.forward = torch.compile(model)
        self.enabled = precision != "float32"
        self.dtype = torch.float16 if precision == "float16" else torch.bfloat16
        self.scaler = torch.amp.GradScaler(self.device, enabled=precision == "float16")

    def run(self, steps: int) -> float:
        """Seconds of so many steps."""
        start = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(self.device, self.dtype, enabled=self.enabled):
                loss = torch.nn.functional.cross_entropy(self.forward(self.pixels).float(), self.labels)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - start

    def megabytes(self) -> float:
        """Peak memory so far, of the GPU or, less what the imports took, of the process."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return self._resident() - self.memory_before

    @staticmethod
    def _resident() -> float:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def main() -> None:
    """Answers line by line until the input ends."""
    name, size, count, precision = sys.argv[1:]
    side = Side(name, int(size), int(count), precision)
    print(f"timm {import_timm().__version__}, PyTorch {torch.__version__}, {side.device}", flush=True)
    for line in sys.stdin:
        print(side.megabytes() if line.strip() == "memory" else side.run(int(line)), flush=True)


if __name__ == "__main__":
    main()
