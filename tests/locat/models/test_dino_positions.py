"""Positions of DINO's small crops against a literal cubic convolution, as its official code resamples them."""

import copy
import math

import pytest
import timm
import torch

import locat.models  # noqa: F401
from locat.models.dino_positions import as_dino, resampled

VIT = {"patch_size": 16, "embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 0, "dynamic_img_size": True}


def cubic(x: float) -> float:
    """Keys' kernel with a = -0.75, torch's bicubic."""
    x = abs(x)
    if x < 1:
        return 1.25 * x**3 - 2.25 * x**2 + 1
    return -0.75 * x**3 + 3.75 * x**2 - 6 * x + 3 if x < 2 else 0.0


def taps(source: int, target: int) -> torch.Tensor:
    """Weights (target, source) of the four nearest positions, none of which a smaller grid makes wider."""
    weights = torch.zeros(target, source, dtype=torch.float64)
    for place in range(target):
        centre = (place + 0.5) * source / (target + 0.1) - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[place, min(max(tap, 0), source - 1)] += cubic(centre - tap)
    return weights


@pytest.mark.parametrize("grid", [(6, 6), (4, 9), (14, 20)])
def test_positions_are_bicubic_by_a_tenth_of_a_patch_more_and_not_antialiased(grid: tuple[int, int]) -> None:
    positions = torch.randn(1, 14 * 14, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    down, across = (taps(14, side) for side in grid)
    literal = torch.einsum("hr,wc,brcd->bhwd", down, across, positions.unflatten(1, (14, 14))).flatten(1, 2)
    torch.testing.assert_close(resampled(positions, (14, 14), grid), literal)


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "locatvit_small", "locatvit_tiny_reg4"])
@torch.no_grad()
def test_a_backbone_sees_its_small_crops_so_and_its_large_ones_as_ever(name: str) -> None:
    plain = timm.create_model(name, **VIT)
    dino = as_dino(copy.deepcopy(plain))
    assert type(plain).__name__ == type(dino).__name__ and 0.01 < dino.cls_token.std() < 0.03
    plain.cls_token.copy_(dino.cls_token)
    prefix, placed = plain.num_prefix_tokens, 0 if plain.no_embed_class else plain.num_prefix_tokens
    large, small = torch.randn(2, 14, 14, 12), torch.randn(2, 6, 6, 12)
    assert torch.equal(dino._pos_embed(large), plain._pos_embed(large))
    found, timms = dino._pos_embed(small), plain._pos_embed(small)
    assert torch.equal(found[:, :prefix], timms[:, :prefix])
    positions = resampled(plain.pos_embed[:, placed:], (14, 14), (6, 6))
    torch.testing.assert_close(found[:, prefix:], small.flatten(1, 2) + positions)
    assert not torch.allclose(found[:, prefix:], timms[:, prefix:], atol=1e-3)
    copied = copy.deepcopy(dino)  # as the teacher is made
    copied.pos_embed.mul_(2)
    assert torch.equal(dino._pos_embed(small), found) and not torch.equal(copied._pos_embed(small), found)


SMALL = {"img_size": 32, "embed_dim": 24, "num_classes": 0}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("locatvit_tiny_nope", {"depth": 1, "num_heads": 2, "dynamic_img_size": True}),
        ("locatvit_tiny_rope_mixed", {"depth": 1, "num_heads": 2}),
        ("locatswin_tiny", {"window_size": 4, "depths": (1, 1), "num_heads": (1, 2)}),
    ],
)
@torch.no_grad()
def test_without_learned_positions_there_is_nothing_to_resample(name: str, arguments: dict[str, object]) -> None:
    model = timm.create_model(name, **SMALL, **arguments).eval()
    expected = model(torch.ones(1, 3, 32, 32))
    dino = as_dino(copy.deepcopy(model))
    for ours, theirs in zip(dino.parameters(), model.parameters(), strict=True):
        ours.copy_(theirs)
    assert torch.equal(dino(torch.ones(1, 3, 32, 32)), expected)
