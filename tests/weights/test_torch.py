"""Reading `.pth` files, which needs PyTorch: by its restricted loader alone."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from foreign import Golden

import keras_inception as ki
from keras_inception import weights

pytestmark = pytest.mark.torch
GOLDEN = "torchvision__mobilenet_v2"


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def state(torch) -> dict:
    return {name: torch.from_numpy(values) for name, values in Golden(GOLDEN).tensors().items()}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_state_dict_gives_the_reference_logits(torch, state, tmp_path: Path, wrapped: bool, old_format: bool):
    counters = {"features.0.1.num_batches_tracked": torch.tensor(3)}
    content = {"state_dict": state | counters} if wrapped else state | counters
    torch.save(content, tmp_path / "model.pth", _use_new_zipfile_serialization=not old_format)
    model = ki.MobileNetV2(
        numerics=weights.get_weights("torchvision/mobilenet_v2.v1").numerics, classifier_activation=None
    )
    weights.load_weights(model, tmp_path / "model.pth")
    golden = Golden(GOLDEN)
    logits = np.asarray(model.predict_on_batch(golden.images()))
    assert np.abs(logits - golden.outputs["logits"]).max() < 2e-5 * np.abs(golden.outputs["logits"]).max()


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused(torch, tmp_path: Path, write: str):
    path, target = tmp_path / "model.pth", tmp_path / "run"
    if write == "torch":
        torch.save({"conv": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps({"conv": Bomb(target)}))
    with pytest.raises(weights.WeightsError, match=r"Received: model\.pth"):
        weights.load_weights(ki.MobileNetV2(alpha=0.35, input_shape=(32, 32, 3)), path)
    assert not target.exists()


def test_a_cut_file_is_refused(torch, state, tmp_path: Path):
    path = tmp_path / "model.pth"
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(weights.WeightsError, match=r"model\.pth is damaged"):
        weights.load_weights(ki.MobileNetV2(), path)
