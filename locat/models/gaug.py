"""GAug: Gaussian-augmented attention (LocAt paper, arXiv 2603.04892).

Every patch adds to its attention logits a Gaussian centred on itself, S[p, t], whose variance
and height it reads from its own query. The kernel is a product of a row and a column factor,
so `GAug` returns those two, h + w exponentials a query, and nothing of size N x N x 2 exists.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Grid = tuple[int, int]
"""A patch grid: rows and columns."""

LARGEST_EXPONENT = 32500.0
LARGEST_NUMERATOR = 6550.0


class Gaussians(NamedTuple):
    """One Gaussian per head and query patch, P = h * w, as factors over rows and columns.

    `rows` is (B, H, P, h) with the height alpha multiplied in, `columns` is (B, H, P, w).
    """

    rows: Tensor
    columns: Tensor

    def bias(self, prefix_tokens: int) -> Tensor:
        """S as (B, H, N, N) attention logits, N = prefix_tokens + P, zero where a prefix token is involved."""
        kernel = self.rows.unsqueeze(-1) * self.columns.unsqueeze(-2)
        return F.pad(kernel.flatten(-2), (prefix_tokens, 0, prefix_tokens, 0))


class GAug(nn.Module):
    """Reads variance and height of each query patch's Gaussian; the maps are shared by all heads.

    Adds 3 * head_dim + 3 parameters (paper, Tab. 1: +2,340 over 12 blocks of head_dim 64).
    """

    log_var: nn.Linear
    log_alpha: nn.Linear

    def __init__(
        self, head_dim: int, num_heads: int, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.head_dim, self.num_heads = head_dim, num_heads
        for name, (inputs, outputs) in self.maps().items():
            self.add_module(name, nn.Linear(inputs, outputs, device=device, dtype=dtype))
        self.reset_parameters()

    def maps(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each learned map, by its name in checkpoints."""
        return {"log_var": (self.head_dim, 2), "log_alpha": (self.head_dim, 1)}

    def reset_parameters(self) -> None:
        """As timm initialises a ViT's linear maps: at first variance is about 1 and alpha about softplus(0)."""
        for linear in (module for module in self.modules() if isinstance(module, nn.Linear)):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def forward(self, q: Tensor, k: Tensor, x: Tensor, grid: Grid, initial_grid: Grid) -> Gaussians:
        """The Gaussians of the patches of a grid (h, w), computed in float32 at least, also under autocast.

        `q` and `k` (B, H, h * w, head_dim) are the patches' queries and keys after q-norm and
        k-norm, before rotation, `x` (B, h * w, dim) is what they were projected from;
        `initial_grid` is the grid the model was built for.
        """
        return gaussians(self.variance(q, x, initial_grid), self.alpha(q, k, x), grid, initial_grid)

    def variance(self, q: Tensor, x: Tensor, initial_grid: Grid) -> Tensor:
        """Variance along y and x in squared patches of the initial grid: (B, H, h * w, 2)."""
        return bounded_variance(at_least_float32(self.log_var(q)), initial_grid)

    def alpha(self, q: Tensor, k: Tensor, x: Tensor) -> Tensor:
        """Height of the Gaussian, in logits: (B, H, h * w, 1)."""
        return F.softplus(at_least_float32(self.log_alpha(q)))


def gaussians(variance: Tensor, alpha: Tensor, grid: Grid, initial_grid: Grid) -> Gaussians:
    """alpha exp(-D / (2 variance)) as factors, the variance scaled to this grid and D clamped per axis."""
    variance = scaled_variance(variance, grid, initial_grid)
    variance_y, variance_x = variance.reshape(*variance.shape[:2], *grid, 1, 2).unbind(-1)
    numerator_y, numerator_x = (axis_numerators(size, initial_grid, variance) for size in grid)
    rows = torch.exp(numerator_y.unsqueeze(1) / variance_y).flatten(-3, -2)
    columns = torch.exp(numerator_x / variance_x).flatten(-3, -2)
    return Gaussians(alpha * rows, columns)


def scaled_variance(variance: Tensor, grid: Grid, initial_grid: Grid) -> Tensor:
    """Variance in squared patches of this grid: times the ratio of the grids' shorter sides, plus eps."""
    return variance * (min(grid) / min(initial_grid)) + epsilon(initial_grid)


def bounded_variance(log_var: Tensor, initial_grid: Grid) -> Tensor:
    """c sigmoid(log_var - ln(c - 1)), c = max(initial grid)^2: 1 where log_var is 0, never more than c."""
    largest = max(initial_grid) ** 2
    shift = math.log(largest - 1) if largest > 1 else -math.inf
    return largest * torch.sigmoid(log_var - shift)


def epsilon(initial_grid: Grid) -> float:
    """Added to the variance: 0.1, doubled until the exponent's slope over the grid stays within float16."""
    eps = 0.1
    while 0.5 * (max(initial_grid) - 1) ** 2 / eps**2 > LARGEST_EXPONENT:
        eps *= 2
    return eps


def axis_numerators(size: int, initial_grid: Grid, like: Tensor) -> Tensor:
    """-D / 2 between the positions of one axis, (size, size), no lower than what the initial grid reaches."""
    positions = torch.arange(size, device=like.device, dtype=like.dtype)
    return numerator(positions.unsqueeze(1) - positions, initial_grid)


def numerator(distance: Tensor, initial_grid: Grid) -> Tensor:
    """-distance^2 / 2, distance in patches, clamped."""
    largest = min(0.5 * (max(initial_grid) - 1) ** 2, LARGEST_NUMERATOR)
    return (-0.5 * distance**2).clamp(min=-largest)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision raised to float32; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
