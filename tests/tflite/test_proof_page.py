"""proof.html: what it shows of a proof, that it stands alone, and that nothing in it is taken for markup."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
from tflite_helpers import digits, tiny

import keras_inception.tflite as kt
from keras_inception.tflite.folder import strangers
from keras_inception.tflite.proving.differing import SHOWN, differing

IMAGES, LABELS = digits()
NAMES = [f"<script>{index}</script>" for index in range(10)]
_VOID = {"meta", "img", "br", "link"}


class Balanced(HTMLParser):
    """Raises where tags do not close as they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures += 1
            assert str(dict(attrs)["src"]).startswith("data:image/")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(folder: Path) -> tuple[str, Balanced]:
    text = (folder / "proof.html").read_text("utf-8")
    page = Balanced()
    page.feed(text)
    assert page.open == []
    assert not re.search(r"""(src|href)="(?!data:)|url\(|@import|<script""", text)
    return text, page


@contextmanager
def changed(model: keras.Model, by: float) -> Iterator[keras.Model]:
    """The network with other weights than it was exported with."""
    layer = model.get_layer("predictions_logits")
    kept = layer.get_weights()
    layer.set_weights([weight + by * np.random.default_rng(0).normal(size=weight.shape) for weight in kept])
    yield model
    layer.set_weights(kept)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, kt.Export]:
    keras.utils.set_random_seed(0)
    model = tiny()
    folder = tmp_path_factory.mktemp("page") / "export"
    return model, kt.export(model, folder, modes="float32", saved_model=False, class_names=NAMES)


def test_it_stands_beside_a_proof_with_a_schema(export):
    model, exported = export
    assert kt.verify(model, exported.folder, [(IMAGES[:40], LABELS[:40])], runs=1).passed
    assert json.loads((exported.folder / "proof.json").read_text())["schema"] == 1
    text, page = read(exported.folder)
    assert "every file whole and within the limits" in text
    assert "model_float32.tflite: none of 40" in text
    assert exported.manifest["files"][0]["sha256"] in text
    assert "prefers-color-scheme: dark" in text
    assert page.pictures == 0
    assert strangers(exported.folder) == []


def test_it_names_the_layers_that_add_most_error(export):
    model, exported = export
    layers = kt.layer_errors(model, exported.folder, [IMAGES[:20]])
    kt.verify(model, exported.folder, [IMAGES[:20]], runs=1, layers=layers)
    text, _ = read(exported.folder)
    assert "Layers that add most error" in text
    assert all(row.layer in text for row in layers.worst("model_float32.tflite"))
    kt.verify(model, exported.folder, [IMAGES[:20]], runs=1)
    assert "Layers that add most error" not in read(exported.folder)[0]


def test_it_shows_the_pictures_on_which_a_file_differs(export):
    model, exported = export
    with changed(model, 0.5) as other:
        proof = kt.verify(other, exported.folder, [(IMAGES[:300], LABELS[:300])], runs=1)
    text, page = read(exported.folder)
    assert "not proven" in text
    assert all(failure.split(" Received")[0] in text for failure in proof.failures)
    assert page.pictures == SHOWN
    count = round((1 - proof.rows[1].agreement) * 300)
    assert f"model_float32.tflite: {count} of 300, the {SHOWN} furthest apart" in text
    assert "right: &lt;script&gt;" in text


def test_the_furthest_apart_come_first_and_each_label_counts_where_there_are_several():
    reference = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    answers = np.array([[0.4, 0.6], [0.45, 0.55], [0.3, 0.7]], np.float32)
    images = np.arange(3, dtype=np.uint8)[:, None, None, None]
    count, shown = differing(reference, answers, images, np.array([0, 1, 1]), None)
    assert count == 2
    assert [(row.index, row.labels) for row in shown] == [(0, (0,)), (1, (1,))]
    assert shown[0].by_network == ((0, pytest.approx(0.9)),)
    assert shown[0].by_file == ((1, pytest.approx(0.6)),)
    count, shown = differing(reference, answers, images, np.array([[1, 1], [0, 1], [0, 0]]), (0.5, 0.75))
    assert [(row.index, [c for c, _ in row.by_file], row.labels) for row in shown] == [
        (0, [], (0, 1)),
        (1, [], (1,)),
        (2, [], ()),
    ]
    assert count == 3


def test_an_embedding_has_a_page_of_cosines(tmp_path: Path):
    model = tiny(last=keras.layers.Dense(6, "relu"))
    exported = kt.export(model, tmp_path / "export", modes="float32", saved_model=False, output="embedding")
    kt.verify(model, exported.folder, [IMAGES[:20]], runs=1)
    text, _ = read(exported.folder)
    assert "smallest" in text
    assert "Pictures on which" not in text
