"""What docs/apps.md says of XNNPACK's weight cache, by LiteRT itself: when it serves, and when it must not be kept."""

import keras
import numpy as np
import pytest
from ai_edge_litert import compiled_model as litert
from keras import layers

import keras_inception.tflite as kt

SIZE = 16


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The float32 files of two networks that differ in their weights alone."""
    found = []
    for number in range(2):
        keras.utils.set_random_seed(number)
        model = keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255)])
        for filters in (16, 32):
            model.add(layers.Conv2D(filters, 3, activation="relu"))
        for layer in (layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")):
            model.add(layer)
        folder = tmp_path_factory.mktemp("exports") / f"export_{number}"
        done = kt.export(model, folder, modes=("float32",), saved_model=False, preprocessing="none")
        found.append(done.files["float32"])
    return found


def answer(file, cache=""):
    options = litert.Options(
        litert.HardwareAccelerator.CPU,
        cpu_options=litert.CpuOptions(num_threads=1, xnnpack_weight_cache_path=str(cache)),
    )
    model = litert.CompiledModel.from_file(str(file), options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8))
    model.run_by_index(0, inputs, outputs)
    return np.array(outputs[0].read(10, np.float32))


def test_a_start_that_finds_the_cache_answers_the_same(files, tmp_path):
    cache = tmp_path / "cache"
    first, later = answer(files[0], cache), answer(files[0], cache)
    assert cache.stat().st_size > 1000
    np.testing.assert_array_equal(first, answer(files[0]))
    np.testing.assert_array_equal(later, first)


def test_a_cache_is_not_held_against_the_weights_of_its_file(files, tmp_path):
    """Why the name of a cache has to tell the file: a retrained network's would go on with older weights."""
    cache = tmp_path / "cache"
    before = answer(files[0], cache)
    np.testing.assert_array_equal(answer(files[1], cache), before)
    assert np.abs(answer(files[1]) - before).max() > 0.01


def test_a_cache_that_is_cut_short_is_made_anew(files, tmp_path):
    cache = tmp_path / "cache"
    expected = answer(files[0], cache)
    whole = cache.read_bytes()
    cache.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(answer(files[0], cache), expected)
    assert cache.stat().st_size == len(whole)


def test_bytes_that_changed_within_a_cache_go_unnoticed(files, tmp_path):
    cache = tmp_path / "cache"
    expected = answer(files[0], cache)
    whole = bytearray(cache.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 1000] = bytes(1000)
    cache.write_bytes(whole)
    assert np.abs(answer(files[0], cache) - expected).max() > 1e-4
