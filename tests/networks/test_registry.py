"""The registry and the public names."""

import dataclasses

import pytest

import keras_inception as ki
from keras_inception.registry import register


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="registered once"):
        register(dataclasses.replace(ki.get_entry("inception_v1"), title="another"))


@pytest.mark.parametrize("wrong", ["inception_v", "inceptionv1", "InceptionV1", "incepton_v1"])
def test_an_unknown_name_suggests_the_nearest(wrong):
    with pytest.raises(ValueError, match=r"Did you mean 'inception_v\d'\?"):
        ki.create_model(wrong)


def test_a_hopeless_name_suggests_nothing():
    with pytest.raises(ValueError, match="Received: 'zzz'.$"):
        ki.get_entry("zzz")


@pytest.mark.parametrize("name", ki.list_models())
def test_every_builder_is_a_public_function(name):
    entry = ki.get_entry(name)
    assert getattr(ki, entry.function_name) is entry.load_builder()
    assert entry.function_name in ki.__all__ and entry.function_name in dir(ki)
    assert entry.url.startswith("https://arxiv.org/abs/")
    assert bool(entry.aux_heads) != bool(entry.no_aux_reason)


def test_public_names_resolve():
    assert all(getattr(ki, name) is not None for name in ki.__all__)
    with pytest.raises(AttributeError, match="no attribute 'InceptionV9'"):
        _ = ki.InceptionV9
