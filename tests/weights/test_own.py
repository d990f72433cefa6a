"""Files that this package or Keras wrote of a network of ours load into every form that needs a part of it."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_inception as ki
from keras_inception import weights

SMALL = {"alpha": 0.25, "input_shape": (32, 32, 3), "stem": "low_resolution"}
FORMS = {
    "full": {"classes": 5},
    "heads": {"classes": 5, "aux_heads": True},
    "no top": {"include_top": False, "pooling": "avg"},
}
CONTAINERS = ("ours.safetensors", "ours.h5", "keras.weights.h5", "keras.keras", "legacy.h5")


def build(form: str, **more) -> keras.Model:
    return ki.InceptionV1(**SMALL, **FORMS[form], **more)


def written(form: str, state: str, folder: Path) -> dict[str, Path]:
    """A network in every container; compiled or fitted, Keras keeps the optimizer in its files as well."""
    model = build(form)
    if state != "plain":
        loss = keras.losses.MeanSquaredError()
        losses = dict.fromkeys(model.output, loss) if isinstance(model.output, dict) else loss
        model.compile("adam", losses, run_eagerly=True)
    if state == "fitted":
        outputs = keras.tree.map_structure(lambda output: np.zeros((2, *output.shape[1:])), model.output)
        model.fit(np.zeros((2, 32, 32, 3), "float32"), outputs, verbose=0)
    folder.mkdir()
    for name in CONTAINERS:
        path = folder / name
        if name.startswith("ours"):
            weights.save_weights(model, path)
        elif name == "keras.weights.h5":
            model.save_weights(path)
        elif name == "keras.keras":
            model.save(path)
        else:
            with h5py.File(path, "w") as file:
                keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return {name: folder / name for name in CONTAINERS} | {"": model}


@pytest.fixture(scope="module", params=["full-compiled", "heads-fitted", "no top-plain"])
def files(request, tmp_path_factory):
    form, state = request.param.rsplit("-", 1)
    return form, written(form, state, tmp_path_factory.mktemp("files") / "own")


@pytest.fixture(scope="module")
def targets() -> dict[str, keras.Model]:
    """A network of each form, and one of other classes: building one takes longer than loading it many times."""
    return {form: build(form) for form in FORMS} | {"other classes": ki.InceptionV1(**SMALL, classes=9)}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_file_loads_into_every_form_that_needs_a_part_of_it(files, targets, container: str):
    form, paths = files
    source, path = paths[""], paths[container]
    wanted = {"no top": ["no top"], "full": ["no top", "full", "other classes"], "heads": list(targets)}[form]
    loaded = {target: targets[target] for target in wanted}
    for target, model in loaded.items():
        for variable in model.weights:
            variable.assign(np.full(variable.shape, 7))
        weights.load_weights(model, path, trunk_only=target == "other classes")
    if container == "keras.keras":
        loaded["built with them"] = build(form, weights=path)
    for target, model in loaded.items():
        for layer in model.layers:
            if layer.weights and not (target == "other classes" and layer.name.startswith("predictions")):
                for ours, theirs in zip(layer.weights, source.get_layer(layer.name).weights, strict=True):
                    np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=f"{target}: {ours.path}")


def test_what_a_file_lacks_is_still_refused(tmp_path):
    weights.save_weights(build("full"), tmp_path / "own.h5")
    with pytest.raises(weights.WeightsError, match="no weights for the classifiers 'aux1', 'aux2'"):
        build("heads", weights=tmp_path / "own.h5")


def test_groups_linked_to_one_another_are_refused_at_once(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        group = file.create_group("deepest")
        for depth in range(40):
            outer = file.create_group(f"g{depth}")
            outer["one"] = outer["two"] = group
            group = outer
    with pytest.raises(weights.WeightsError, match="stands in one place"):
        build("full", weights=tmp_path / "bomb.h5")
