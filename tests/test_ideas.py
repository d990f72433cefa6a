"""The page of the papers' ideas: every number computed again, every picture drawn again."""

import importlib.util
import math
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

import keras_inception as ki
from keras_inception.graph import BlockRow, block_table, kernels

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "ideas.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_pictures", ROOT / "docs" / "pictures.py")
    assert spec and spec.loader
    module = sys.modules["docs_pictures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Measured:
    """A picture's network, asked for counts."""

    def __init__(self, pictures: ModuleType, name: str):
        self.model = pictures.network(pictures.PICTURES[name])
        self.rows: dict[str, BlockRow] = {row.name: row for row in block_table(self.model)}

    def weights(self, *layers: str) -> int:
        """Of layers by name, each without the `_conv` at its end."""
        found = [kernel for name in layers for kernel in kernels(self.model.get_layer(f"{name}_conv"))]
        return sum(math.prod(kernel.shape) for kernel in found)

    def all_weights(self) -> int:
        return sum(row.weights for row in self.rows.values())

    def scales(self, kind: str) -> list[float]:
        return [layer.scale for layer in self.model.layers if re.fullmatch(rf"{kind}_\d+_scale", layer.name)]


def test_every_number_is_that_of_a_real_network(pictures: ModuleType):
    naive, reduced, v3 = (Measured(pictures, name) for name in ("naive", "reduced", "two_3x3"))
    mobile, shuffle = Measured(pictures, "separable"), Measured(pictures, "shuffle")
    inverted, scaled, groups = (Measured(pictures, name) for name in ("inverted", "scaled", "cardinality"))
    heads = {name: reduced.rows[name].weights for name in ("aux1", "aux2")}
    rest = reduced.all_weights() - sum(heads.values())
    module = "inception_3a"

    first, last = "mixed_5b_branch2", "mixed_6b_branch1"
    assert v3.model.get_layer(f"{last}_b_1x7").output.shape[-1] == 128
    unit = "stage3_unit2"
    depthwise = 9 * 512
    narrow, wide = ((f := inverted.model.get_layer(name).output.shape[1:], math.prod(f))[1]
                    for name in ("block3", "block3_expand"))  # fmt: skip
    block, three = groups.rows["conv2_block2"], groups.weights("conv2_block2_b")

    expected = {
        "Branches, and the 1x1 reduction": [
            192, naive.weights(f"{module}_branch2_a_5x5"),
            reduced.weights(f"{module}_branch2_a_1x1", f"{module}_branch2_b_5x5"),
            *(measured.rows[module].weights for measured in (naive, reduced)),
            *(measured.rows[module].multiply_adds for measured in (naive, reduced)),
            naive.all_weights(), rest,
        ],
        "Factorisation": [
            v3.weights(f"{first}_b_3x3", f"{first}_c_3x3"), 25 * 64 * 96,
            2 * v3.weights(f"{first}_c_3x3"), 25 * 96 * 96,
            v3.weights(f"{last}_b_1x7", f"{last}_c_7x1"), 49 * 128 * 192,
        ],
        "Auxiliary heads": [*heads.values(), rest],
        "Depthwise separation": [
            9 * 512 * 512, 9 * 512 * 512 * 14 * 14, depthwise, depthwise * 14 * 14, 512 * 512, 512 * 512 * 14 * 14,
            mobile.rows["block8"].weights, mobile.rows["block8"].multiply_adds,
        ],
        "Groups and the channel shuffle": [
            480 * 120, shuffle.weights(f"{unit}_a"), shuffle.rows[unit].weights,
            3 * shuffle.weights(f"{unit}_a", f"{unit}_c") + shuffle.weights(f"{unit}_b"),
        ],
        "Inverted residuals": [
            *(inverted.weights(f"block3_{part}") for part in ("expand", "depthwise", "project")),
            narrow, wide, 9 * 144 * 144,
        ],
        "Residual scaling": [],
        "Cardinality": [
            three, block.weights, 32 * three, block.weights + 31 * three, 9 * 64 * 64, 9 * 64 * 64 + 2 * 256 * 64,
        ],
    }  # fmt: skip
    sections = dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
    assert list(sections) == list(expected)
    for title, numbers in expected.items():
        written = set(re.findall(r"\d{1,3}(?:,\d{3})+", sections[title]))
        assert written == {f"{number:,}" for number in numbers if number >= 1000}, title

    assert depthwise == mobile.weights("block8_depthwise") < 0.02 * mobile.rows["block8"].weights
    assert mobile.weights("block8") == 512 * 512
    assert all(0.4 < weights / rest < 0.5 for weights in heads.values())
    assert set(dict(ki.get_entry("inception_v1").aux_heads).values()) == {0.3}
    assert len([name for name in scaled.rows if name.startswith("block8_")]) == 6  # the last one is not scaled
    for kind, count, scale in (("block35", 5, 0.17), ("block17", 10, 0.1), ("block8", 5, 0.2)):
        found = scaled.scales(kind)
        assert set(found) == {scale}
        assert len(found) == count
        assert f"| `{kind}` | {count} | {scale} |" in sections["Residual scaling"]


def test_the_pictures_are_those_that_are_drawn(pictures: ModuleType):
    kept = {file.name: file.read_text(encoding="utf-8") for file in pictures.FOLDER.iterdir()}
    assert kept == pictures.files(), "python docs/pictures.py draws them"
    assert all(len(text) < 150_000 for text in kept.values())
    assert all(
        f"ideas/{name}-{scheme}.svg#only-{scheme}" in PAGE for name in pictures.PICTURES for scheme in ("light", "dark")
    )
    for name, text in kept.items():
        assert ("#1d2733" in text) == name.endswith("-light.svg")
