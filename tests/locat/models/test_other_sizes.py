"""Whole models at sizes they were not built for, against the literal formula on the grid that the image has."""

import math

import pytest
import timm
import torch

import locat.models  # noqa: F401
from locat.models.gaug import GAug
from support.model_reference import fill_for_parity, gaug_bias

VIT = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
NAMES = ["locatvit_tiny", "locatvit_tiny_reg4", "locatvit_tiny_nope", "locatvit_tiny_rope_mixed", "locatjumbo_tiny"]


class Literal:
    """Stands for Gaussians; S is the literal formula's."""

    def __init__(self, log_var, log_alpha, grid, initial):
        self.arguments = log_var, log_alpha, grid, initial

    def bias(self, prefix_tokens):
        return gaug_bias(*self.arguments, prefix_tokens)


@pytest.mark.parametrize("built_for", [(48, 48), (32, 64)])
@pytest.mark.parametrize("size", [(24, 72), (64, 40), (29, 45)])
@pytest.mark.parametrize("name", NAMES)
def test_dynamic_sizes(name, built_for, size, monkeypatch):
    dynamic = {"dynamic_img_size": True, "dynamic_img_pad": True}
    model = timm.create_model(name, img_size=built_for, **VIT, **dynamic).double().eval()
    fill_for_parity(model)
    images = torch.randn(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid = tuple(math.ceil(side / 8) for side in size)
    initial = tuple(side // 8 for side in built_for)

    def literal(gaug, patches):
        return Literal(gaug.log_var(patches), gaug.log_alpha(patches), grid, initial)

    with torch.no_grad():
        logits = model(images)
        features = model.forward_intermediates(images, indices=1, intermediates_only=True)[0]
        monkeypatch.setattr(GAug, "forward", lambda self, q, *_: literal(self, q[:, :, -grid[0] * grid[1] :]))
        torch.testing.assert_close(logits, model(images), rtol=1e-8, atol=1e-10)
        literal_features = model.forward_intermediates(images, indices=1, intermediates_only=True)[0]
    assert features.shape[2:] == grid
    torch.testing.assert_close(features, literal_features, rtol=1e-8, atol=1e-10)
