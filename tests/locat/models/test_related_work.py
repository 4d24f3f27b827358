"""The models that Tab. 5 compares with, as frozen backbones."""

import pytest
import timm
import torch

import locat.models  # noqa: F401
from locat.models.cost import count_flops
from locat.models.create import load_backbone, save_model
from locat.models.segmentation_head import patch_features

TAB_5 = {
    "cvt_21": (31.6, 384, 14),
    "conformer_base": (83.3, 576, 14),
    "convit_base": (86.5, 768, 14),
    "twins_pcpvt_base": (43.8, 512, 7),
    "davit_base": (88.0, 1024, 7),
    "gcvit_base": (90.3, 1024, 7),
}
"""Parameters in millions, as published; dim and grid of the patches at 224 x 224."""

SMALL = {
    "cvt_21": {"depths": (1, 2, 3), "dims": (12, 12, 12), "num_classes": 5},
    "conformer_base": {"embed_dim": 12, "num_heads": 2, "channels": 8, "num_classes": 5},
}


def images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", TAB_5)
def test_parameters_and_patches(name):
    params, dim, grid = TAB_5[name]
    with torch.device("meta"):
        model = timm.create_model(name).eval()
        patches = patch_features(model, torch.empty(1, 3, 224, 224))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == params
    assert model.num_features == dim
    assert patches.shape == (1, dim, grid, grid)


def test_conformers_flops():
    """46.6 G in its paper, a multiply-add counted as two."""
    with torch.device("meta"):
        model = timm.create_model("conformer_base").eval()
    assert 2 * count_flops(model) / 1e9 == pytest.approx(46.6, rel=0.005)


@pytest.mark.parametrize("name", SMALL)
def test_other_sizes_gradients_and_exports(name, tmp_path):
    model = timm.create_model(name, **SMALL[name]).eval()
    logits = model(images(64, 96))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert patch_features(model, images(64, 96)).shape == (2, model.num_features, 4, 6)
    save_model(model, tmp_path, **SMALL[name])
    loaded, _ = load_backbone(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images(64, 96)), model(images(64, 96)))


@pytest.mark.parametrize("name", SMALL)
def test_more_than_the_last_patches_is_refused(name):
    model = timm.create_model(name, **SMALL[name])
    with pytest.raises(NotImplementedError, match="last block"):
        model.forward_intermediates(images(64, 64), norm=True)


def test_conformers_branches_hear_each_other():
    model = timm.create_model("conformer_base", **SMALL["conformer_base"]).eval()
    maps, tokens = model.branches(images(64, 64))
    assert maps.shape == (2, 32, 2, 2)
    assert tokens.shape == (2, 17, 12)
    heard = torch.autograd.grad(maps.sum(), model.trans_patch_conv.weight, retain_graph=True)[0]
    told = torch.autograd.grad(tokens.square().sum(), model.conv_1.conv1.weight)[0]
    assert heard.abs().sum() > 0
    assert told.abs().sum() > 0
