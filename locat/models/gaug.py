"""GAug: Gaussian-augmented attention (LocAt paper, arXiv 2603.04892).

Every patch adds to its attention logits a Gaussian centred on itself, S[p, t], whose variance
and height it reads from its own query. The kernel is a product of a row and a column factor, so
nothing of size N x N x 2 exists, and nothing of N x N where `locat.models.kernels` attends.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Grid = tuple[int, int]
"""A patch grid: rows and columns."""

LARGEST_EXPONENT = 32500.0
LARGEST_NUMERATOR = 6550.0
LOG2_E = math.log2(math.e)


class Gaussians(NamedTuple):
    """One Gaussian per head and query patch, P = h * w; as factors over rows and columns it is h + w exponentials.

    `alpha` (B, H, P, 1) is its height in logits, `variance` (B, H, P, 2) that along y and x, in
    squared patches of `grid` (h, w); `initial_grid` is the one the model was built for.
    """

    alpha: Tensor
    variance: Tensor
    grid: Grid
    initial_grid: Grid

    @property
    def rows(self) -> Tensor:
        """The factor of each row of the grid, (B, H, P, h), with the height multiplied in."""
        return self.alpha * axis_kernels(self.variance, self.grid, self.initial_grid)[0]

    @property
    def columns(self) -> Tensor:
        """The factor of each column of the grid, (B, H, P, w)."""
        return axis_kernels(self.variance, self.grid, self.initial_grid)[1]

    def shapes(self) -> tuple[Tensor, ...]:
        """The numbers that say what each Gaussian looks like, side by side along the last axis."""
        return self.alpha, self.variance

    def bias(self, prefix_tokens: int) -> Tensor:
        """S as (B, H, N, N) attention logits, N = prefix_tokens + P, zero where a prefix token is involved."""
        rows, columns = axis_kernels(self.variance, self.grid, self.initial_grid)
        kernel = (self.alpha * rows).unsqueeze(-1) * columns.unsqueeze(-2)
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

        `q` and `k` (B, H, N, head_dim) are queries and keys after q-norm and k-norm, before
        rotation, `x` (B, N, dim) is what they were projected from, of all tokens: the first N - h * w
        are prefix tokens, which have no Gaussian. `initial_grid` is the grid the model was built for.
        """
        # Of all tokens, then cut: to cut q first would copy it, and its gradient.
        patches = slice(q.shape[2] - grid[0] * grid[1], None)
        read = self.read(q, x)
        variance = scaled_variance(self.variance(read, q, initial_grid)[:, :, patches], grid, initial_grid)
        alpha = self.alpha(read, q, k)[:, :, patches]
        return self.gaussians(read, alpha, variance, grid, initial_grid)

    def read(self, q: Tensor, x: Tensor) -> dict[str, Tensor]:
        """What each map says of each token, (B, H, N, its outputs) in float32 at least, by the map's name."""
        return self.of_maps(q)

    def of_maps(self, source: Tensor) -> dict[str, Tensor]:
        """What all maps make of `source`, by one product: what they read is read once, and has one gradient."""
        outputs = {name: outputs for name, (_, outputs) in self.maps().items()}
        linears = [self.get_submodule(name) for name in outputs]
        weight, bias = (torch.cat([getattr(linear, part) for linear in linears]) for part in ("weight", "bias"))
        parts = F.linear(source, weight, bias).split(list(outputs.values()), dim=-1)
        # Contiguous: softplus takes a CPU nine times as long else.
        return {name: at_least_float32(part).contiguous() for name, part in zip(outputs, parts, strict=True)}

    def variance(self, read: Mapping[str, Tensor], q: Tensor, initial_grid: Grid) -> Tensor:
        """Of each token, the variance along y and x in squared patches of the initial grid: (B, H, N, 2)."""
        return bounded_variance(read["log_var"], initial_grid)

    def alpha(self, read: Mapping[str, Tensor], q: Tensor, k: Tensor) -> Tensor:
        """Of each token, the height of the Gaussian in logits: (B, H, N, 1); `k` are the keys of all tokens."""
        return F.softplus(read["log_alpha"])

    def gaussians(
        self, read: Mapping[str, Tensor], alpha: Tensor, variance: Tensor, grid: Grid, initial_grid: Grid
    ) -> Gaussians:
        """The Gaussians of these heights and variances; `read` is of all tokens."""
        return Gaussians(alpha, variance, grid, initial_grid)


def axis_kernels(variance: Tensor, grid: Grid, initial_grid: Grid) -> tuple[Tensor, Tensor]:
    """exp(-D / (2 variance)) over rows (B, H, P, h) and columns (B, H, P, w), D clamped per axis."""
    variance_y, variance_x = variance.unflatten(2, grid).unsqueeze(-2).unbind(-1)
    numerator_y, numerator_x = (axis_numerators(size, initial_grid, variance) for size in grid)
    rows = exp_of_ratio(numerator_y.unsqueeze(1), variance_y).flatten(-3, -2)
    columns = exp_of_ratio(numerator_x, variance_x).flatten(-3, -2)
    return rows, columns


def exp_of_ratio(numerator: Tensor, variance: Tensor, out: Tensor | None = None) -> Tensor:
    """exp(numerator / variance), in base 2: exp2 does not slow down where it underflows, as the exp of CPUs does."""
    return torch.exp2(LOG2_E * numerator / variance, out=out)


def scaled_variance(variance: Tensor, grid: Grid, initial_grid: Grid) -> Tensor:
    """Variance in squared patches of this grid: times the ratio of the grids' shorter sides, plus eps."""
    return variance * (shorter_side(grid) / min(initial_grid)) + epsilon(initial_grid)


def shorter_side(grid: Grid) -> int:
    """Of a grid; of one whose sides are symbols, in a program that is exported for any size, a symbol as well."""
    return cast(int, torch.sym_min(*grid))


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
    return (-0.5 * distance**2).clamp(min=-largest_numerator(initial_grid))


def largest_numerator(initial_grid: Grid) -> float:
    """What distance^2 / 2 is clamped to along one axis: no more than the initial grid reaches."""
    return min(0.5 * (max(initial_grid) - 1) ** 2, LARGEST_NUMERATOR)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision raised to float32; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
