"""Layer names: blocks, heads and labels, also in models that have layers of others around the network."""

import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import naming
from keras_inception.graph import block_table, multiply_adds


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("predictions", "predictions"),
        ("predictions_logits", "predictions"),
        ("aux_1x1_conv", "aux"),
        ("aux1_1x1_bn/beta", "aux1"),
        ("aux12", "aux12"),
        ("embedding_dense", "embedding"),
        ("auxiliary", ""),
        ("predictions2_logits", ""),
        ("embeddings", ""),
        ("conv_aux", ""),
        ("inception_3a", ""),
    ],
)
def test_the_head_of_a_layer(name, head):
    assert naming.head_of(name) == head
    assert naming.is_head(name) == bool(head)
    assert naming.is_classifier(name) == (head not in ("", "embedding"))
    assert naming.is_aux_head(name) == head.startswith("aux")


def test_a_blocks_end_comes_after_its_parts_and_is_reached_through_them_alone():
    readers = {
        "conv": ["conv_1a_conv"],
        "conv_1a_conv": ["conv_1a"],
        "conv_1a": ["pool_3a"],
        "pool_3a": ["conv_4a"],
        "conv_4a": ["pool"],
        "pool": ["pool_end"],
        "pool_end": [],
    }
    expected = {"conv_1a_conv": "conv_1a"}
    assert naming.blocks_of(readers) == {name: expected.get(name, name) for name in readers}


def _around(before, after):
    inputs = keras.Input((75, 75, 1))
    tensor = keras.layers.Conv2D(3, 1, name=before)(inputs)
    network = ki.InceptionV3(input_tensor=tensor, alpha=0.25, include_top=False)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name=after)(network.output))


@pytest.mark.parametrize(("before", "after"), [("conv", "last"), ("mixed", "pool"), ("pool", "conv")])
def test_layers_around_a_network_do_not_take_its_blocks(before, after, without_weights):
    plain = ki.InceptionV3(input_shape=(75, 75, 3), alpha=0.25, include_top=False)
    expected = [row.name for row in block_table(plain)][1:]
    rows = {row.name: row for row in block_table(_around(before, after))}
    assert list(rows)[1:] == [before, *expected, after]
    assert rows["conv_1a"].layers == ("conv_1a_conv", "conv_1a_bn", "conv_1a")


def test_the_pyramid_of_a_network_behind_a_layer_whose_name_is_a_prefix(without_weights):
    pyramid = ki.feature_pyramid(_around("conv", "last"))
    ends = {level: tensor._keras_history.operation.name for level, tensor in pyramid.output.items()}
    assert ends == {"P1": "conv_2b", "P2": "conv_4a", "P3": "mixed_5d", "P4": "mixed_6e", "P5": "last"}


def test_a_head_is_one_block_though_an_embedding_lies_inside(without_weights):
    model = ki.InceptionResNetV1(input_shape=(75, 75, 3), classes=3)
    rows = {row.name: row.layers for row in block_table(model)}
    assert rows["predictions"] == ("predictions_dropout", "predictions_logits", "predictions")
    assert rows["embedding"] == ("embedding_dense", "embedding")


def test_a_network_inside_a_model_is_read_as_well():
    network = ki.InceptionV1(include_top=False, pooling="avg", alpha=0.25, input_shape=(64, 64, 3))
    model = keras.Sequential([network, keras.layers.Dense(3)])
    assert multiply_adds(model) == multiply_adds(network) + 3 * network.output_shape[1]
    own, inside = ki.feature_pyramid(network), ki.feature_pyramid(model)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    assert sorted(inside.output) == ["P1", "P2", "P3", "P4", "P5"]
    for level, expected in own(image).items():
        np.testing.assert_array_equal(inside(image)[level], expected)
    weights = {row.name: row.weights for row in ki.block_table(model)}
    assert weights[network.name] == sum(row.weights for row in ki.block_table(network))


@pytest.mark.parametrize("outputs", [lambda a, b: [a, b], lambda a, b: {"a": a, "b": b}])
def test_the_pyramid_of_several_outputs(outputs, without_weights):
    network = ki.InceptionV1(include_top=False, alpha=0.25, input_shape=(64, 64, 3))
    early = network.get_layer("inception_3b").output
    model = keras.Model(network.input, outputs(early, network.output))
    assert sorted(ki.feature_pyramid(model).output) == ["P1", "P2", "P3", "P4", "P5"]


def test_what_has_no_strides_has_no_pyramid():
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="network with strided feature maps. Received: 'flat'"):
        ki.feature_pyramid(keras.Model(inputs, keras.layers.Dense(2)(inputs), name="flat"))
