"""Rotated Gaussians: a full 2 x 2 covariance per query, where the paper's is axis-aligned.

The covariance is L L^T with L = [[a, 0], [b, c]]: a^2 and c^2 are the axis-aligned variances, and
the off-diagonal b tilts the Gaussian. With b = 0 the kernel is GAug's.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locat.models.gaug import GAug, Grid, numerator, shorter_side


class RotatedGaussians(NamedTuple):
    """One Gaussian per head and query patch, P = h * w, whose kernel is no product of rows and columns.

    `tilt` (B, H, P, 1), b / a, leans it: a patch one row down counts as lying that many columns
    further left. The others are as in `Gaussians`.
    """

    alpha: Tensor
    variance: Tensor
    tilt: Tensor
    grid: Grid
    initial_grid: Grid

    def shapes(self) -> tuple[Tensor, ...]:
        """The numbers that say what each Gaussian looks like, side by side along the last axis."""
        return self.alpha, self.variance, self.tilt

    def bias(self, prefix_tokens: int) -> Tensor:
        """S as (B, H, N, N) attention logits, N = prefix_tokens + P."""
        variance_y, variance_x = self.variance.split(1, dim=-1)
        patches = torch.arange(self.grid[0] * self.grid[1], device=self.variance.device)
        y, x = (part.to(self.variance.dtype) for part in (patches // self.grid[1], patches % self.grid[1]))
        down, right = y - y.unsqueeze(1), x - x.unsqueeze(1)
        numerator_y = numerator(down, self.initial_grid)
        numerator_x = numerator(right - self.tilt * down, self.initial_grid)
        kernel = torch.exp(numerator_y / variance_y + numerator_x / variance_x)
        return F.pad(self.alpha * kernel, (prefix_tokens, 0, prefix_tokens, 0))


class Rotated(GAug):
    """GAug with one more learned map, b of each query; it starts at 0."""

    off_diagonal: nn.Linear

    def maps(self) -> dict[str, tuple[int, int]]:
        return {**super().maps(), "off_diagonal": (self.head_dim, 1)}

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.off_diagonal.weight)

    def gaussians(  # type: ignore[override]
        self, read: Mapping[str, Tensor], alpha: Tensor, variance: Tensor, grid: Grid, initial_grid: Grid
    ) -> RotatedGaussians:
        """As GAug's; b scales with the grid as the standard deviations do."""
        off_diagonal = read["off_diagonal"][:, :, -variance.shape[2] :]
        tilt = off_diagonal * (shorter_side(grid) / min(initial_grid)) ** 0.5 / variance[..., :1].sqrt()
        return RotatedGaussians(alpha, variance, tilt, grid, initial_grid)
