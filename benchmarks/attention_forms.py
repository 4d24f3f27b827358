"""The ways to compute GAug attention that the benchmarks compare; run nothing itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.models.gaug import GAug, Gaussians, Grid
from locat.models.gaussian_attention import gaussian_attention


class Materialised(NamedTuple):
    """The formula as it is written: distances (P, P, 2), and an exponential for each pair of patches of every query."""

    alpha: Tensor
    variance: Tensor
    grid: Grid
    initial_grid: Grid

    def bias(self, prefix_tokens: int) -> Tensor:
        axes = (torch.arange(side, device=self.variance.device) for side in self.grid)
        positions = torch.cartesian_prod(*axes).to(self.variance.dtype)
        distances = (positions[:, None] - positions) ** 2
        kernel = torch.exp(-0.5 * (distances / self.variance.unsqueeze(-2)).sum(-1))
        return F.pad(self.alpha * kernel, (prefix_tokens, 0, prefix_tokens, 0))


class MaterialisedGAug(GAug):
    """GAug whose bias is materialised; for grids no larger than the initial one, where nothing is clamped."""

    def forward(self, *inputs: Any) -> Materialised:  # type: ignore[override]
        return Materialised(*super().forward(*inputs))


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention without GAug."""
    return F.scaled_dot_product_attention(q, k, v)


def ours(q: Tensor, k: Tensor, v: Tensor, gaussians: Gaussians, prefix: int) -> Tensor:
    return gaussian_attention(q, k, v, gaussians, prefix)


def separable(q: Tensor, k: Tensor, v: Tensor, gaussians: Gaussians, prefix: int) -> Tensor:
    return gaussian_attention(q, k, v, gaussians, prefix, form="separable")


def materialised(q: Tensor, k: Tensor, v: Tensor, gaussians: Gaussians, prefix: int) -> Tensor:
    return gaussian_attention(q, k, v, Materialised(*gaussians), prefix)  # type: ignore[arg-type]


def flex(q: Tensor, k: Tensor, v: Tensor, gaussians: Gaussians, prefix: int) -> Tensor:
    """FlexAttention; its gradients of the factors use atomics, and it has no backward pass on a CPU."""
    from torch.nn.attention.flex_attention import flex_attention

    rows, columns = (F.pad(factor, (0, 0, prefix, 0)) for factor in (gaussians.rows, gaussians.columns))
    width = gaussians.grid[1]

    def score(logit: Tensor, image: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        patch = (key - prefix).clamp(min=0)
        kernel = rows[image, head, query, patch // width] * columns[image, head, query, patch % width]
        return logit + torch.where(key >= prefix, kernel, 0.0)

    out: Tensor = flex_attention(q, k, v, score_mod=score)  # type: ignore[assignment]
    return out


FORMS: dict[str, Callable[..., Tensor]] = {
    "plain": plain,
    "ours": ours,
    "separable": separable,
    "materialised": materialised,
    "flex": flex,
}
