"""Every layer of an export's .tflite files against the float network's, on real images: where a file goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import Progress

from keras_inception.showing import in_place

from ..errors import ExportError, quiet
from ..files.modes import MODES
from ..files.tracing import SIGNATURE, output_named
from ..folder import Export
from ..network.deploying import EMBEDDING, deploy, without_unit_length
from ..network.equalization import scaled_layers
from ..network.familiarity import with_features
from ..network.graph import maker, nodes
from ..network.pools import convolve_pools, postpone_pools
from ..network.strides import subsample_first
from ..pictures.pixels import collect
from ..running.timing import compiled
from .layers import HALF_PRECISION, LayerRow, Layers

IMAGES = 32
"""How many images are looked at: each has many values in every layer."""
_STRONGEST = 32.0  # factor of an equalised channel; see `network/equalization.py`


def layer_errors(model: keras.Model, folder: str | Path, batches: Iterable[Any]) -> Layers:
    """Compares what each layer of an export's .tflite files answers with what the float network's layer does.

    The reference is the model's float32 twin with folded batch norms, since files have no others. Files run on LiteRT's
    own kernels, for XNNPACK shows nothing of what is inside. Files of fixed trunks that an app trains are left out.

    An int8 file that was rounded to compensate holds channels multiplied by factors from 1 to 32, which cancel in the
    next layer. In those layers a factor for each channel, the one that fits best, is taken out before the error is
    measured; an error that is itself such a factor then shows in the layers that read it.

    Args:
        model: The model that was exported.
        folder: The export.
        batches: As `verify` takes them; the first 32 images count.

    Returns:
        A row for each layer whose answer the files hold.

    Raises:
        FileNotFoundError: There is no export in the folder.
        ExportError: There is no .tflite file among its files, one is not whole, or the images have another size.
    """
    opened = Export.open(folder)
    modes = [entry for entry in opened.manifest["files"] if entry["mode"] in MODES]
    if not modes:
        raise ExportError(f"Layers are those of .tflite files. Received: {opened.folder} without one.")
    files = {entry["mode"]: _Inside(opened.whole(entry)) for entry in modes}
    images = collect(batches, opened.input_shape)[0][:IMAGES]
    twin = deploy(model, preprocessing=opened.outer_preprocessing, output=opened.output, fold=True)
    calls = {node.operation.name: node for node in nodes(twin)}
    outputs = {name: node.output_tensors[0] for name, node in calls.items() if node.input_tensors}
    last = maker(twin.outputs[0])[0].name
    layers = {mode: inside.layers(list(outputs), last) for mode, inside in files.items()}
    gained = _gained(opened, twin)

    reading = compiled(keras.Model(twin.inputs[0], outputs))
    sums: dict[str, dict[str, _Sums]] = {mode: {} for mode in files}
    largest = dict.fromkeys(outputs, 0.0)
    with in_place(Progress(console=Console(stderr=True), transient=True)) as progress:
        task = progress.add_task("Comparing layers", total=len(images))
        for image in images:
            with quiet():
                expected = reading(image[None])
            for name, values in expected.items():
                largest[name] = max(largest[name], float(np.abs(values).max()))
            for mode, inside in files.items():
                inside.run(image)
                for name, tensor in layers[mode].items():
                    values, step = inside.values(tensor)
                    if values.size == expected[name].size:
                        found = sums[mode].setdefault(name, _Sums(step, gained(mode, name)))
                        found.add(values.reshape(expected[name].shape), expected[name])
            progress.advance(task)
    rows: list[LayerRow] = []
    for mode, inside in files.items():
        measured = {layers[mode][name]: (name, found.facts()) for name, found in sums[mode].items()}
        errors = {tensor: facts["error"] for tensor, (_, facts) in measured.items()}
        read = inside.errors_read(errors)
        rows += [
            LayerRow(inside.path.name, mode, name, inside.operators[tensor], inside.names[tensor],
                     added=facts["error"] - read[tensor], **facts)
            for tensor, (name, facts) in sorted(measured.items(), key=lambda item: inside.order[item[0]])
        ]  # fmt: skip
    over = {name: value for name, value in largest.items() if value > HALF_PRECISION}
    operators = {inside.path.name: len(inside.operators) for inside in files.values()}
    return Layers(tuple(rows), over, operators, len(images))


def _gained(export: Export, twin: keras.Model) -> Callable[[str, str], bool]:
    """Whether a layer's channels are multiplied by factors in a mode's file."""
    network = without_unit_length(twin) if export.output == EMBEDDING else twin
    network = network if export.familiarity is None else with_features(network)
    equalized = export.manifest.get("rounding") == "compensated"
    scaled = scaled_layers(subsample_first(convolve_pools(postpone_pools(network)))) if equalized else set()
    return lambda mode, layer: mode == "int8" and layer in scaled


class _Inside:
    """A .tflite file in LiteRT's own kernels, every tensor to be read.

    Attributes:
        path: The file.
        names: Its tensors' names, by index.
        operators: By what they answer, the operators.
        order: By what they answer, their place.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.path = path
        with quiet():
            self._interpreter = Interpreter(
                str(path),
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._input = self._interpreter.get_input_details()[0]
            self._batch = max(1, int(self._input["shape_signature"][0]))
            shape = [self._batch, *self._input["shape"][1:]]
            self._interpreter.resize_tensor_input(self._input["index"], shape)
            self._interpreter.allocate_tensors()
        self._tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        self.names = {index: tensor["name"] for index, tensor in self._tensors.items()}
        self._calls = self._of_images(self._interpreter._get_ops_details())
        self.operators = {int(call["outputs"][0]): call["op_name"] for call in self._calls}
        self.order = {tensor: place for place, tensor in enumerate(self.operators)}
        details = self._interpreter.get_signature_runner(SIGNATURE).get_output_details()
        self._answer = details[output_named(list(details))]["index"]

    def _of_images(self, calls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The calls that read what depends on the images; others unpack weights."""
        depending, kept = {int(self._input["index"])}, []
        for call in calls:
            if depending.intersection(map(int, call["inputs"])):
                depending.update(map(int, call["outputs"]))
                kept.append(call)
        return kept

    def layers(self, names: Sequence[str], last: str) -> dict[str, int]:
        """Which tensor is a layer's answer: the last of those named after it; the file's own answer is `last`'s."""
        found: dict[str, int] = {}
        named = _layers_of((self.names[tensor] for tensor in self.operators), names)
        for tensor in self.operators:
            layer = last if tensor == self._answer else named.get(self.names[tensor])
            # Integers that are turned to floats say more than the floats: how many of them are saturated.
            if layer is not None and not (layer in found and self.operators[tensor] == "DEQUANTIZE"):
                found[layer] = tensor
        return found

    def run(self, image: np.ndarray) -> None:
        """Computes one image, as often as the file's batch is large."""
        batch = np.repeat(image[None], self._batch, 0).astype(self._input["dtype"])
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()

    def values(self, tensor: int) -> tuple[np.ndarray, tuple[float, float, float] | None]:
        """What a tensor holds of the image; of integers also the smallest and largest number, and a step."""
        values = self._interpreter.get_tensor(tensor)[:1]
        scales = self._tensors[tensor]["quantization_parameters"]["scales"]
        if not len(scales) or values.dtype.kind == "f":
            return values.astype(np.float64), None
        scale, zero = self._tensors[tensor]["quantization"]
        kind = np.iinfo(values.dtype)
        held = ((kind.min - zero) * scale, (kind.max - zero) * scale, scale)
        return (values.astype(np.float64) - zero) * scale, held

    def errors_read(self, errors: Mapping[int, float]) -> dict[int, float]:
        """By what each operator answers, the largest error of what it reads, through operators that are no layer's."""
        passed: dict[int, float] = dict(errors)
        read = {}
        for call in self._calls:
            largest = max((passed.get(int(tensor), 0.0) for tensor in call["inputs"]), default=0.0)
            for tensor in call["outputs"]:
                read[int(tensor)] = largest
                passed.setdefault(int(tensor), largest)
        return read


@dataclass
class _Sums:
    """What is summed up of a layer's values, f of the float network and q of a file, channel by channel."""

    held: tuple[float, float, float] | None
    gained: bool
    squares: Any = 0.0  # of f
    products: Any = 0.0
    of_file: Any = 0.0
    differences: float = 0.0
    ranges: list[float] = field(default_factory=lambda: [np.inf, -np.inf, np.inf, -np.inf])
    beyond: int = 0
    count: int = 0

    def add(self, values: np.ndarray, expected: np.ndarray) -> None:
        q, f = values.reshape(-1, values.shape[-1]), expected.astype(np.float64).reshape(-1, values.shape[-1])
        self.squares = self.squares + (f * f).sum(0)
        self.products = self.products + (q * f).sum(0)
        self.of_file = self.of_file + (q * q).sum(0)
        self.differences += float(((q - f) ** 2).sum())
        low, high, network_low, network_high = self.ranges
        self.ranges = [min(low, q.min()), max(high, q.max()), min(network_low, f.min()), max(network_high, f.max())]
        self.count += f.size
        if self.held is not None:
            smallest, largest, step = self.held
            scaled = f * self._gains() if self.gained else f
            # What a fused ReLU cuts off below is no loss: the float network's layer has none of it either.
            self.beyond += int(((scaled > largest + step) | (scaled < smallest - step)).sum())

    def _gains(self) -> np.ndarray:
        gains: np.ndarray = np.clip(self.products / np.maximum(self.squares, 1e-30), 1.0, _STRONGEST)
        return gains

    def facts(self) -> dict[str, Any]:
        total = max(float(self.squares.sum()), 1e-30)
        differences = self.differences
        if self.gained:
            gains = self._gains()
            differences = float((self.of_file / gains**2 - 2 * self.products / gains + self.squares).sum())
        low, high, network_low, network_high = map(float, self.ranges)
        return {
            "error": float(np.sqrt(max(differences, 0.0) / total)),
            "low": low,
            "high": high,
            "network_low": network_low,
            "network_high": network_high,
            "saturated": self.beyond / max(self.count, 1),
        }


def _layers_of(tensors: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """The layers that tensors' names begin with; of what is fused, the last one's.

    TensorFlow adds a number to the scope of each layer, or to none. A network that has `conv2d` and `conv2d_1` tells
    which by how many of its layers are found.
    """
    known = set(names)
    ways: list[dict[str, str]] = [{}, {}]
    for tensor in tensors:
        for part in tensor.partition(";")[0].split("/"):
            for way, name in zip(ways, (part, re.sub(r"_\d+$", "", part)), strict=True):
                if name in known and tensor not in way:
                    way[tensor] = name
    return max(ways, key=lambda way: len(set(way.values())))
