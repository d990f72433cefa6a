"""Where a file goes wrong: planted faults are found, and their layers named."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tflite_helpers import coloured

import keras_inception.tflite as kt
from keras_inception.cli import tables
from keras_inception.tflite.files.flatbuffer import read, write
from keras_inception.tflite.folder import Export, sha256

PICTURES = coloured(24)


def chain(largest: float = 1.0) -> keras.Model:
    """Four convolutions, one of which answers `largest` times what is usual and the next as much less."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocessing")(pixels)
    for name in ("first", "second", "third", "fourth"):
        x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", kernel_initializer="he_normal", name=name)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(10, name="predictions_logits")(x)
    model = keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(x), name="chain")
    for name, factor in {"second": largest, "third": 1 / largest}.items():
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * factor, bias])
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Export:
    folder = tmp_path_factory.mktemp("layers") / "whole"
    modes = ("float32", "int8")
    return kt.export(chain(), folder, modes=modes, calibration=PICTURES, saved_model=False, rounding="nearest")


@pytest.fixture(scope="module")
def found(whole: Export) -> kt.Layers:
    return kt.layer_errors(chain(), whole.folder, [PICTURES])


def planted(export: Export, folder: Path, mode: str, change: Callable[[Any, Any], None]) -> Export:
    """A copy of an export with a fault in one file, and a manifest that knows nothing of it."""
    shutil.copytree(export.folder, folder)
    path = folder / f"model_{mode}.tflite"
    model = read(path.read_bytes())
    change(model, model.subgraphs[0].tensors)
    path.write_bytes(write(model))
    manifest = json.loads((folder / "export.json").read_text())
    for row in manifest["files"]:
        if row["mode"] == mode:
            row |= {"sha256": sha256(path), "size": path.stat().st_size}
    (folder / "export.json").write_text(json.dumps(manifest))
    return Export.open(folder)


def weights_of(model: Any, layer: str) -> tuple[Any, Any]:
    """The kernel and the bias that a file's layer reads."""
    graph = model.subgraphs[0]
    (operator,) = [
        operator
        for operator in graph.operators
        if graph.tensors[operator.outputs[0]].name.decode().startswith(f"{layer}_1/")
    ]
    kernel, bias = (graph.tensors[index] for index in operator.inputs[1:3])
    return kernel, bias


def test_a_whole_export_has_an_error_of_rounding_alone(found: kt.Layers):
    names = ["first", "second", "third", "fourth", "pool", "predictions_logits", "predictions"]
    for mode, error in {"float32": 1e-5, "int8": 0.05}.items():
        rows = [row for row in found.rows if row.mode == mode]
        assert [row.layer for row in rows] == names
        assert all(row.error < error for row in rows)
        assert all(row.saturated == 0 for row in rows)
    assert not found.overflowing


def test_a_scale_off_by_two_is_found(whole: Export, found: kt.Layers, tmp_path: Path):
    def double(model: Any, _: Any) -> None:
        for tensor in weights_of(model, "third"):
            tensor.quantization.scale = tensor.quantization.scale * np.float32(2)

    faulty = planted(whole, tmp_path / "faulty", "int8", double)
    faults = kt.layer_errors(chain(), faulty.folder, [PICTURES])
    worst = faults.worst("model_int8.tflite")[0]
    assert worst.layer == "third" and 0.8 < worst.added < 1.2
    assert faults.worst("model_float32.tflite")[0].error < 1e-5


def test_swapped_channels_are_found(whole: Export, tmp_path: Path):
    def swap(model: Any, _: Any) -> None:
        kernel, _ = weights_of(model, "first")
        data = np.frombuffer(bytes(model.buffers[kernel.buffer].data), np.float32).reshape(kernel.shape)
        model.buffers[kernel.buffer].data = np.frombuffer(data[..., ::-1].tobytes(), np.uint8)

    faulty = planted(whole, tmp_path / "faulty", "float32", swap)
    worst = kt.layer_errors(chain(), faulty.folder, [PICTURES]).worst("model_float32.tflite")[0]
    assert worst.layer == "first" and worst.added > 0.2


def test_a_calibration_on_dim_pictures_is_found_by_what_it_saturates(tmp_path: Path):
    dim = (PICTURES // 8 + 112).astype(np.uint8)  # of little contrast
    export = kt.export(chain(), tmp_path / "dim", modes="int8", calibration=dim, saved_model=False, rounding="nearest")
    rows = {row.layer: row for row in kt.layer_errors(chain(), export.folder, [PICTURES]).rows}
    first = max(rows.values(), key=lambda row: row.added)
    assert first.layer == "first" and first.saturated > 0.25
    assert all(row.saturated > 0.2 for name, row in rows.items() if name not in ("predictions_logits", "predictions"))
    assert first.network_high > 4 * first.high


def test_what_overflows_half_precision_is_named(tmp_path: Path):
    large = chain(largest=1e5)
    export = kt.export(large, tmp_path / "large", modes="float16", saved_model=False)
    found = kt.layer_errors(large, export.folder, [PICTURES])
    assert list(found.overflowing) == ["second"]
    assert found.notes()[0].startswith("second reaches ") and found.notes()[0].endswith("half precision ends at 65,504")


def test_equalised_channels_are_no_error(tmp_path: Path):
    export = kt.export(chain(), tmp_path / "out", modes="int8", calibration=PICTURES, saved_model=False)
    found = kt.layer_errors(chain(), export.folder, [PICTURES])
    assert max(row.error for row in found.rows) < 0.05


def test_the_table_the_picture_and_the_overlay(found: kt.Layers, tmp_path: Path, capsys: pytest.CaptureFixture):
    written = found.write(tmp_path / "layers")
    assert [path.name for path in written] == [
        "layers.csv", "layers.svg", "model_float32.overlay.json", "model_int8.overlay.json",
    ]  # fmt: skip
    with written[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == [row.layer for row in found.rows]
    assert float(rows[-1]["error"]) == found.rows[-1].error
    assert "<svg" in written[1].read_text() and "int8" in written[1].read_text()
    overlay = json.loads(written[3].read_text())
    assert overlay["results"] == {row.tensor: {"value": row.error} for row in found.rows if row.mode == "int8"}
    assert [stop["stop"] for stop in overlay["gradient"]] == [0, 1]
    tables.show_layers(found, written)
    printed = capsys.readouterr().out
    assert all(row.layer in printed for row in found.worst("model_int8.tflite"))


def test_layers_that_keras_numbers_are_told_apart(tmp_path: Path):
    keras.backend.clear_session()
    x = pixels = keras.Input((32, 32, 3))
    for _ in range(3):
        x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", kernel_initializer="he_normal")(x)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    model = keras.Model(pixels, keras.layers.Activation("softmax", name="predictions")(x))
    export = kt.export(model, tmp_path / "out", modes="float32", saved_model=False, preprocessing="none")
    found = kt.layer_errors(model, export.folder, [PICTURES])
    names = [row.layer for row in found.rows]
    assert names[:3] == ["conv2d", "conv2d_1", "conv2d_2"]
    assert max(row.error for row in found.rows) < 1e-5
    other = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            layer.get_config()
            | ({"name": f"of_another_{layer.name}"} if isinstance(layer, keras.layers.Conv2D) else {})
        ),
    )
    other.set_weights(model.get_weights())
    (note,) = kt.layer_errors(other, export.folder, [PICTURES]).notes()
    assert note.startswith("model_float32.tflite: ") and note.endswith("bear the name of a layer of this network")


def test_bad_input_is_one_sentence(whole: Export, found: kt.Layers, tmp_path: Path):
    with pytest.raises(kt.ExportError, match=r"Images must be 32x32x3.* Received"):
        kt.layer_errors(chain(), whole.folder, [np.zeros((2, 16, 16, 3), "uint8")])
    export = kt.export(chain(), tmp_path / "saved", modes=(), saved_model=True)
    with pytest.raises(kt.ExportError, match="Layers are those of .tflite files"):
        kt.layer_errors(chain(), export.folder, [PICTURES])
    (tmp_path / "taken").write_text("")
    with pytest.raises(kt.ExportError, match="a folder of their own"):
        found.write(tmp_path / "taken")
