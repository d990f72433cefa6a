"""The picture of a network: well-formed, complete, and true to the table of blocks."""

import re
from xml.etree import ElementTree as ET

import keras
import pytest

import keras_inception as ki
from keras_inception.graph import block_table
from keras_inception.plot import DARK, draw, plot

SVG = "{http://www.w3.org/2000/svg}"
SMALL = {"classes": 10, "input_shape": (96, 96, 3)}


def _groups(text):
    return {group.get("id"): group for group in ET.fromstring(text).iter(f"{SVG}g")}


def _texts(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def _blocks_named(text):
    return [name for group in _groups(text).values() for name in group.find(f"{SVG}title").text.split(", ")]


@pytest.mark.parametrize("name", ["inception_v1", "resnext50", "mobilenet_v2", "shufflenet"])
def test_every_block_is_named_once(name, tmp_path):
    model = ki.create_model(name, **SMALL)
    text = plot(model, tmp_path / "new" / "picture.svg").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.svg"]
    assert sorted(_blocks_named(text)) == sorted(row.name for row in block_table(model))


def test_a_module_shows_its_branches_its_shape_and_its_weights():
    groups = _groups(draw(ki.InceptionV1()))
    assert _texts(groups["inception_3a"]) == [
        "inception_3a",
        *["1×1 64", "1×1 96", "3×3 128", "1×1 16", "3×3 32", "max 3×3", "1×1 32"],
        *["28×28×256", "155 k"],
    ]
    assert _texts(groups["conv1"]) == ["conv1", "7×7/2 64", "112×112×64", "9.41 k"]


def test_equal_blocks_in_a_row_are_one_pile():
    groups = _groups(draw(ki.Xception(**SMALL)))
    assert "block6" not in groups
    assert _texts(groups["block5"])[0] == "block5 … block12"
    assert _texts(groups["block5"])[-1] == "8 × 1.61 M"


def test_chosen_blocks_are_drawn_alone_in_light_or_dark():
    model = ki.InceptionV1(aux_heads=True, **SMALL)
    light = draw(model, blocks=["inception_3a", "inception_4a", "aux1", "aux2"])
    assert sorted(_blocks_named(light)) == ["aux1", "inception_3a", "inception_4a"]  # aux2 has nothing to hang below
    assert "marker-end" not in "".join(re.findall(r"<path[^>]*H[^>]*marker-end[^>]*>", light))  # not neighbours
    dark = draw(model, blocks=["inception_3a"], dark=True)
    assert set(re.findall("#[0-9a-f]{6}", dark)) <= set(DARK.values())
    with pytest.raises(ValueError, match=r"A block to draw is one of input, .* Did you mean 'inception_3b'"):
        draw(model, blocks=["inception_3"])


def test_auxiliary_heads_hang_below_the_blocks_they_read():
    groups = _groups(draw(ki.InceptionV1(aux_heads=True)))
    for head, tap in (("aux1", "inception_4a"), ("aux2", "inception_4d")):
        below, above = (groups[name].find(f"{SVG}rect") for name in (head, tap))
        assert float(below.get("x")) == float(above.get("x"))
        assert float(below.get("y")) > float(above.get("y")) + float(above.get("height"))
        assert _texts(groups[head])[:4] == [head, "avg 5×5/3", "1×1 128", "dense 1024"]
    assert "aux1" not in _groups(draw(ki.InceptionV1(**SMALL)))


def test_nothing_leaves_the_page_and_no_block_covers_another():
    for model in (ki.InceptionV1(aux_heads=True), ki.ShuffleNet(**SMALL)):
        root = ET.fromstring(draw(model))
        width, height = float(root.get("width")), float(root.get("height"))
        frames = []
        for group in root.iter(f"{SVG}g"):
            x, y, w, h = (float(group.find(f"{SVG}rect").get(side)) for side in ("x", "y", "width", "height"))
            assert 0 <= x <= width - w
            assert 0 <= y <= height - h
            assert not any(x < b + d and b < x + w and y < c + e and c < y + h for b, c, d, e in frames)
            frames.append((x, y, w, h))
        for path in root.iter(f"{SVG}path"):
            assert all(float(value) <= width for value in re.findall(r"H([\d.]+)", path.get("d")))


def test_names_are_escaped_and_unknown_sizes_drawn():
    text = draw(ki.ShuffleNet(name="a<b&c", input_shape=(None, None, 3), alpha=0.25))
    assert "any size" in _texts(ET.fromstring(text))
    assert "a<b&c" in _texts(ET.fromstring(text))
    assert "shuffle" in _texts(_groups(text)["stage2_unit1"])


def test_a_loaded_network_is_drawn_like_a_new_one(tmp_path):
    model = ki.MobileNetV1(alpha=0.25, **SMALL)
    model.save(tmp_path / "model.keras")
    assert draw(keras.models.load_model(tmp_path / "model.keras")) == draw(model)
