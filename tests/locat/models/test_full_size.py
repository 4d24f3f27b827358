"""Whole Tiny models at their real sizes against float64 with docs/method.md's formulas, dense and literal."""

import copy
import math
from dataclasses import dataclass

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional as F

import locat.models  # noqa: F401
from locat.models.gaug import GAug
from locat.models.prr import PRR
from support.model_reference import fill_for_parity, literal_eps, parity_images, prr

pytestmark = pytest.mark.slow

TOLERANCE = 2e-4
"""Of logits of magnitude 1, the agreement asked of the released implementation."""

VITS = ["locatvit_tiny", "locatvit_tiny_reg4", "locatvit_tiny_nope", "locatvit_tiny_rope_mixed", "locatjumbo_tiny"]
SIZES = {
    "the training grid": ((224, 224), {}),
    "a larger grid": ((512, 512), {"dynamic_img_size": True}),
    "an oblong grid": ((480, 360), {"dynamic_img_size": True, "dynamic_img_pad": True}),
    "padded to patches": ((100, 333), {"dynamic_img_size": True, "dynamic_img_pad": True}),
    "built for 384": ((384, 384), {"img_size": 384}),
    "patch 8": ((96, 96), {"img_size": 96, "patch_size": 8}),
}


@dataclass
class Dense:
    """S among patches as it is written, where the model keeps two factors."""

    kernel: Tensor

    def bias(self, prefix_tokens: int) -> Tensor:
        return F.pad(self.kernel, (prefix_tokens, 0, prefix_tokens, 0))


def literal_gaug(self: GAug, q: Tensor, k: Tensor, x: Tensor, grid: tuple[int, int], initial: tuple[int, int]) -> Dense:
    q = q[:, :, -grid[0] * grid[1] :]
    c = max(initial) ** 2
    variance = c * torch.sigmoid(self.log_var(q) - math.log(c - 1)) * min(grid) / min(initial) + literal_eps(initial)
    alpha = F.softplus(self.log_alpha(q))
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    positions = torch.stack([rows.flatten(), columns.flatten()], dim=-1).double()
    distance = (positions[:, None] - positions[None]) ** 2
    numerator = (-0.5 * distance).clamp(min=max(-0.5 * (max(initial) - 1) ** 2, -6550.0))
    exponent = numerator[..., 0] / variance[..., :1] + numerator[..., 1] / variance[..., 1:]
    return Dense(alpha * exponent.exp())


def literal_prr(self: PRR, x: Tensor) -> Tensor:
    return prr(x, self.num_heads)[:, self.rows]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VITS)
def test_logits_are_those_of_the_literal_formulas(name: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, arguments = SIZES[size]
    compare(timm.create_model(name, **arguments), shape, monkeypatch)


@pytest.mark.parametrize(("shape", "arguments"), [((224, 224), {}), ((448, 448), {"img_size": 448})])
def test_swins_logits_are_those_of_the_literal_formulas(
    shape: tuple[int, int], arguments: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(timm.create_model("locatswin_tiny", **arguments), shape, monkeypatch)


@torch.no_grad()
def compare(model: torch.nn.Module, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    fill_for_parity(model)
    model.eval()
    images = parity_images(*shape)[:1]
    found = model(images)
    reference = copy.deepcopy(model).double()
    monkeypatch.setattr(GAug, "forward", literal_gaug)
    monkeypatch.setattr(PRR, "refine", literal_prr)
    expected = reference(images.double())
    assert expected.dtype == torch.float64
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=TOLERANCE)
