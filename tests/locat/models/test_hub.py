"""The released weights' repositories on the Hugging Face hub, as they lie in its local cache."""

from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models._hub import save_config_for_hf

import locat.models  # noqa: F401
from support.model_reference import fill_for_parity, parity_images

RELEASED = np.load(Path(__file__).parents[2] / "data" / "parity" / "locatvit_tiny.npz")
COMMIT = "0" * 40


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """A downloaded `sinahmr/locatvit_tiny` with weights under the released names; the network is not asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--sinahmr--locatvit_tiny"
    folder = repository / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    model = timm.create_model("locatvit_tiny")
    fill_for_parity(model)
    weights = model.state_dict()
    save_file({name: weights[name] for name in RELEASED["keys"].tolist()}, folder / "model.safetensors")
    save_config_for_hf(model, str(folder / "config.json"))
    return folder


@pytest.mark.parametrize("name", ["hf-hub:sinahmr/locatvit_tiny", "locatvit_tiny", "locatvit_tiny.in1k"])
def test_released_weights_load_by_their_repository_and_by_the_models_name(snapshot, name):
    model = timm.create_model(name, pretrained=True).eval()
    with torch.no_grad():
        logits = model(parity_images(224, 224)).numpy()
    assert np.abs(logits - RELEASED["logits_224x224"]).max() < 2e-4


def test_another_head_and_size_keep_the_rest(snapshot):
    model = timm.create_model("hf-hub:sinahmr/locatvit_tiny", pretrained=True, num_classes=7, img_size=64)
    released = timm.create_model("hf-hub:sinahmr/locatvit_tiny", pretrained=True).state_dict()
    different = [key for key, value in model.state_dict().items() if not torch.equal(value, released[key])]
    assert different == ["pos_embed", "head.weight", "head.bias"]
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
