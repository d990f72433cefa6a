"""End points by name, and the vector that a classifier reads: of our networks, of others and of models in models."""

import keras
import numpy as np
import pytest

import keras_inception as ki

layers = keras.layers
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")


def answered(model: keras.Model, pixels: np.ndarray = PIXELS):
    return keras.tree.map_structure(np.asarray, model(pixels, training=False))


def narrow(**options) -> keras.Model:
    return ki.create_model("mobilenet_v1", alpha=0.25, input_shape=(32, 32, 3), **options)


def test_end_points_are_what_the_layers_of_their_names_answer():
    model = narrow()
    names = ["global_pool", "block3", "block3_depthwise", "predictions"]
    pixels = PIXELS / 127.5 - 1
    found = answered(ki.features(model, names), pixels)
    assert list(found) == names
    for name, values in found.items():
        expected = keras.Model(model.input, model.get_layer(name).output)(pixels, training=False)
        np.testing.assert_array_equal(values, np.asarray(expected))
    assert found["block3"].shape == (2, 8, 8, 32)


def test_a_single_name_stands_for_its_output_alone():
    model = narrow()
    assert answered(ki.features(model, "global_pool")).shape == (2, 256)


def test_every_block_of_the_table_is_an_end_point():
    model = narrow()
    rows = ki.block_table(model)
    shapes = {row.name: row.output_shape for row in rows}
    found = ki.features(model, shapes).output
    assert {name: tuple(tensor.shape[1:]) for name, tensor in found.items()} == shapes


def transfer_learned() -> keras.Sequential:
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    top = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(5, activation="softmax")]
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 127.5, -1), base, *top])


def test_end_points_of_an_inner_model_are_found_beside_the_outer_ones():
    model = transfer_learned()
    base = model.layers[1]
    found = answered(ki.features(model, ["block_6_expand", base.name, "block_1_expand"]))
    scaled = PIXELS / 127.5 - 1
    assert list(found) == ["block_6_expand", base.name, "block_1_expand"]
    for name in ("block_6_expand", "block_1_expand"):
        inner = keras.Model(base.input, base.get_layer(name).output)
        np.testing.assert_allclose(found[name], np.asarray(inner(scaled, training=False)), atol=1e-6)
    np.testing.assert_allclose(found[base.name], np.asarray(base(scaled, training=False)), atol=1e-5)


def test_of_a_layer_that_other_models_call_as_well_the_call_of_this_one_counts():
    shared = layers.Dense(3, name="shared")
    first, second = keras.Input((4,)), keras.Input((4,))
    shared(first)
    model = keras.Model(second, layers.Softmax()(shared(layers.Rescaling(2.0)(second))))
    values = np.ones((1, 4), "float32")
    expected = np.asarray(shared(2 * values))
    np.testing.assert_allclose(answered(ki.features(model, "shared"), values), expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "near"), [("global_pol", "global_pool"), ("block33", "block3, "), ("xyz", None)])
def test_an_unknown_name_is_told_with_the_nearest_ones(name: str, near: str | None):
    with pytest.raises(ValueError, match="must be the name of a block or a layer, such as .*Received: ") as told:
        ki.features(narrow(), [name])
    assert repr(name) in str(told.value)
    if near is None:
        assert "near it" not in str(told.value)
    else:
        assert f"near it are {near}" in str(told.value)


def test_a_misspelt_end_point_of_an_inner_model_is_found_out():
    with pytest.raises(ValueError, match=r"'block_6_expnd' of .*; near it are block_6_expand, "):
        ki.features(transfer_learned(), "block_6_expnd")


def test_no_names_and_no_functional_model_are_refused():
    with pytest.raises(ValueError, match="of one end point at least"):
        ki.features(narrow(), [])
    for model in (keras.Sequential([layers.Dense(3)]), object()):
        for turn in (ki.embedding, lambda model: ki.features(model, "a")):
            with pytest.raises(ValueError, match="must be a functional Keras model, or a Sequential one that is built"):
                turn(model)


def with_end(*end, shape=(8, 8, 3)) -> keras.Model:
    pixels = keras.Input(shape)
    x = layers.Conv2D(6, 3, name="trunk")(pixels)
    for layer in end:
        x = layer(x)
    return keras.Model(pixels, x)


POOL = layers.GlobalAveragePooling2D
ENDS = {  # what follows the trunk, and which of its layers' outputs the classifier reads
    "dense and softmax": (lambda: [POOL(), layers.Dense(4), layers.Softmax()], 0),
    "softmax inside": (lambda: [POOL(), layers.Dropout(0.5), layers.Dense(4, activation="softmax")], 1),
    "sigmoid": (lambda: [layers.Flatten(), layers.Dense(1, activation="sigmoid")], 0),
    "logits": (lambda: [POOL(), layers.Dense(4)], 0),
    "hidden layer": (lambda: [POOL(), layers.Dense(7, activation="relu"), layers.Dense(4)], 1),
    "no top": (lambda: [POOL()], 0),
    "features at the end": (lambda: [POOL(), layers.Dense(7, activation="relu")], 1),
    "unit length": (lambda: [POOL(), layers.Dense(7), layers.UnitNormalization()], 2),
    "named so": (lambda: [POOL(), layers.Dense(7, name="embedding")], 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_embedding_is_what_the_classifier_reads(end: str):
    make, place = ENDS[end]
    chain = make()
    model = with_end(*chain)
    pixels = PIXELS[:, :8, :8]
    expected = keras.Model(model.input, chain[place].output)(pixels, training=False)
    np.testing.assert_array_equal(answered(ki.embedding(model), pixels), np.asarray(expected))


def test_maps_are_pooled():
    pixels = PIXELS[:, :8, :8]
    squeezed = with_end(layers.Conv2D(4, 1, activation="relu"), POOL(), layers.Softmax())  # as SqueezeNet ends
    for model in (squeezed, with_end()):
        maps = np.asarray(model.get_layer("trunk")(pixels))
        np.testing.assert_allclose(answered(ki.embedding(model), pixels), maps.mean((1, 2)), rtol=1e-5, atol=1e-4)


def test_a_classifying_convolution_of_keras_applications_is_found():
    model = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25, classes=5)
    assert ki.embedding(model).output_shape == (None, 256)


def test_the_main_head_and_a_bottleneck_are_told_apart_from_others():
    with_heads = ki.create_model("inception_v1", input_shape=(96, 96, 3), aux_heads=True, alpha=0.25)
    assert ki.embedding(with_heads).output_shape == (None, 256)
    pixels = keras.Input((75, 75, 3))
    model = ki.create_model("inception_resnet_v1", input_tensor=pixels, bottleneck=16)
    assert ki.embedding(model).layers[-1].name == "embedding"


def test_a_classifier_inside_an_inner_model_is_found():
    inner = with_end(POOL(), layers.Dense(4, activation="softmax"))
    outer = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(0.5), inner])
    pixels = PIXELS[:, :8, :8]
    expected = answered(ki.embedding(inner), pixels / 2)
    np.testing.assert_allclose(answered(ki.embedding(outer), pixels), expected, rtol=1e-5, atol=1e-4)


def test_a_classifier_of_another_kind_is_refused():
    trunk = with_end(POOL())
    votes = layers.Add()([layers.Dense(4)(trunk.output), layers.Dense(4)(trunk.output)])
    with pytest.raises(ValueError, match=r"must be a dense layer or a convolution.*Received: classes of Add"):
        ki.embedding(keras.Model(trunk.input, layers.Softmax()(votes)))


def test_several_outputs_need_a_main_one():
    pixels = keras.Input((8,))
    model = keras.Model(pixels, [layers.Dense(2)(pixels), layers.Dense(3)(pixels)])
    with pytest.raises(ValueError, match="One of several outputs must be named 'predictions'"):
        ki.embedding(model)


def test_sequences_have_no_embedding():
    tokens = keras.Input((7, 8))
    with pytest.raises(ValueError, match=r"must come from vectors .* or maps. Received: shape \(None, 7, 3\)"):
        ki.embedding(keras.Model(tokens, layers.Dense(3)(tokens)))


def test_channels_first():
    pixels = keras.Input((3, 8, 8))
    maps = layers.Conv2D(6, 3, data_format="channels_first")(pixels)
    assert ki.embedding(keras.Model(pixels, maps)).output_shape == (None, 6)
    one_pixel = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=True)(maps)
    logits = layers.Flatten()(layers.Conv2D(4, 1, data_format="channels_first")(one_pixel))
    assert ki.embedding(keras.Model(pixels, logits)).output_shape == (None, 6)
