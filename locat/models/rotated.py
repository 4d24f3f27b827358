"""Rotated Gaussians: a full 2 x 2 covariance per query, where the paper's is axis-aligned.

The covariance is L L^T with L = [[a, 0], [b, c]]: a^2 and c^2 are the axis-aligned variances, and
the off-diagonal b tilts the Gaussian. With b = 0 the kernel is GAug's.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locat.models.gaug import GAug, Grid, at_least_float32, numerator, scaled_variance


class RotatedGaussians(NamedTuple):
    """One Gaussian per head and query patch; the kernel (B, H, P, P) is no product of rows and columns."""

    kernel: Tensor

    def bias(self, prefix_tokens: int) -> Tensor:
        """S as (B, H, N, N) attention logits, N = prefix_tokens + P."""
        return F.pad(self.kernel, (prefix_tokens, 0, prefix_tokens, 0))


class Rotated(GAug):
    """GAug with one more learned map, b of each query; it starts at 0."""

    off_diagonal: nn.Linear

    def maps(self) -> dict[str, tuple[int, int]]:
        return {**super().maps(), "off_diagonal": (self.head_dim, 1)}

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.off_diagonal.weight)

    def forward(  # type: ignore[override]
        self, q: Tensor, k: Tensor, x: Tensor, grid: Grid, initial_grid: Grid
    ) -> RotatedGaussians:
        """As GAug's; b scales with the grid as the standard deviations do."""
        variance_y, variance_x = scaled_variance(self.variance(q, x, initial_grid), grid, initial_grid).split(1, dim=-1)
        off_diagonal = at_least_float32(self.off_diagonal(q)) * (min(grid) / min(initial_grid)) ** 0.5
        patches = torch.arange(grid[0] * grid[1], device=q.device)
        y, x_position = (part.to(variance_y.dtype) for part in (patches // grid[1], patches % grid[1]))
        down, right = y - y.unsqueeze(1), x_position - x_position.unsqueeze(1)
        across = right - off_diagonal * down / variance_y.sqrt()
        exponent = numerator(down, initial_grid) / variance_y + numerator(across, initial_grid) / variance_x
        return RotatedGaussians(self.alpha(q, k, x) * exponent.exp())
