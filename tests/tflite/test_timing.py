"""A benchmark times every contestant on pictures of its own size, or says in a sentence why it does not."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tflite_helpers import digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.running import timing

IMAGES, _ = digits()
layers = keras.layers


def sized(size: int, name: str = "sized") -> keras.Model:
    pixels = keras.Input((size, size, 3))
    x = layers.Flatten()(layers.AveragePooling2D(8)(layers.Rescaling(1 / 255)(pixels)))
    return keras.Model(pixels, layers.Dense(3, "softmax", name="predictions")(x), name=name)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[int, dict[str, Path]]:
    folder = tmp_path_factory.mktemp("sizes")
    return {size: kt.export(sized(size), folder / str(size), modes="float32").files for size in (32, 96)}


def test_each_contestant_is_fed_its_own_size(files, monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, tuple[int, ...]] = {}

    def watch(calls, **options):
        seen.update({name: call.args[0].shape for name, call in calls.items()})
        return interleaved(calls, **options)

    interleaved = timing.interleaved
    monkeypatch.setattr(timing, "interleaved", watch)
    contestants = {"96": files[96]["float32"], "32": files[32]["float32"], "saved": files[32]["saved_model"]}
    rows = kt.benchmark({**contestants, "keras": sized(48), "sum": np.sum}, batch=2, runs=1, warmup=0)
    sizes = {"96": 96, "32": 32, "saved": 32, "keras": 48, "sum": 96}
    assert seen == {name: (2, size, size, 3) for name, size in sizes.items()}
    assert [row.batch for row in rows] == [2] * 5


def test_given_images_of_another_size_are_refused_by_name(files):
    with pytest.raises(kt.ExportError, match=r"Received: shape \(1, 32, 32, 3\) for large, which takes 96x96x3\."):
        kt.benchmark({"small": files[32]["float32"], "large": files[96]["float32"]}, np.zeros((1, 32, 32, 3), "uint8"))


def test_two_of_one_name_are_two_rows():
    first, second = sized(32), sized(32)
    rows = kt.benchmark([first, second, lambda batch: batch, lambda batch: batch], runs=1, warmup=0, vs="sized")
    assert [row.name for row in rows] == ["sized", "sized (2)", "<lambda>", "<lambda> (2)"]
    assert rows[0].ratio == 1.0


def test_a_model_of_any_size_needs_images():
    pixels = keras.Input((None, None, 3))
    model = keras.Model(pixels, layers.GlobalAveragePooling2D()(pixels))
    with pytest.raises(kt.ExportError, match="images must be given"):
        kt.benchmark([model])
    assert kt.benchmark([model, sized(32)], runs=1)[0].batch == 1
    assert kt.benchmark([model], np.zeros((3, 20, 30, 3), "uint8"), runs=1)[0].batch == 3


def test_a_foreign_saved_model_is_a_sentence(tmp_path: Path):
    class Doubled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
        def __call__(self, x):
            return {"y": 2 * x}

    module = Doubled()
    tf.saved_model.save(module, str(tmp_path / "foreign"), signatures=module.__call__)
    with pytest.raises(kt.ExportError, match="must map 'images' to 'predictions'.* with x to y"):
        kt.benchmark([tmp_path / "foreign", tiny()], runs=1)
    archive = keras.export.ExportArchive()
    archive.track(model := sized(32))
    spec = tf.TensorSpec((None, 32, 32, 3), tf.float32, name="images")
    archive.add_endpoint("serving_default", lambda images: {"predictions": model(images)}, input_signature=[spec])
    archive.write_out(str(tmp_path / "floats"), verbose=False)
    with pytest.raises(kt.ExportError, match="must take uint8 pixels. Received: .*floats, which takes float32"):
        kt.benchmark([tmp_path / "floats"], runs=1)


def test_a_saved_model_that_tells_no_size_is_fed_another_ones(tmp_path: Path):
    module = tf.Module()
    spec = tf.TensorSpec(None, tf.uint8, name="images")
    module.serve = tf.function(lambda images: {"predictions": tf.cast(images, tf.float32)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "any"), signatures=module.serve)
    with pytest.raises(kt.ExportError, match="images must be given"):
        kt.benchmark([tmp_path / "any"])
    assert [row.kind for row in kt.benchmark([tmp_path / "any", sized(32)], runs=1)] == ["saved_model", "keras"]


def test_a_foreign_onnx_file_is_a_sentence(tmp_path: Path):
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    for name, kind, message in (("x", "FLOAT", "with x to predictions"), ("images", "FLOAT", "uint8 pixels")):
        floats = getattr(onnx.TensorProto, kind)
        ends = [onnx.helper.make_tensor_value_info(end, floats, ["n", 4]) for end in (name, "predictions")]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", [name], ["predictions"])], "g", ends[:1], ends[1:]
        )
        opset = [onnx.helper.make_opsetid("", 17)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "foreign.onnx")
        with pytest.raises(kt.ExportError, match=message):
            kt.benchmark([tmp_path / "foreign.onnx", tiny()], runs=1)


@pytest.mark.parametrize("options", [{"runs": 0}, {"batch": 0}])
def test_a_benchmark_of_nothing_is_a_sentence(options: dict[str, int]):
    with pytest.raises(kt.ExportError, match="at least one run"):
        kt.benchmark([tiny()], **options)
