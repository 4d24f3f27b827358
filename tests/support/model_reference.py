"""What the models are judged by: GAug and PRR as the paper writes them (literal, dense), and the parity weights."""

import math
import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Grid = tuple[int, int]


def gaug_bias(log_var: Tensor, log_alpha: Tensor, grid: Grid, initial_grid: Grid, prefix: int) -> Tensor:
    """S (B, H, N, N) from the maps' outputs on patches, (B, H, h * w, 2) and (B, H, h * w, 1)."""
    c, eps = max(initial_grid) ** 2, literal_eps(initial_grid)
    variance = c * torch.sigmoid(log_var - math.log(c - 1)) * min(grid) / min(initial_grid)
    alpha = torch.nn.functional.softplus(log_alpha)
    return dense_bias(variance, alpha, eps, grid, initial_grid, prefix)


def literal_eps(initial_grid: Grid) -> float:
    eps = 0.1
    while 0.5 * (max(initial_grid) - 1) ** 2 / eps**2 > 32500:
        eps *= 2
    return eps


def dense_bias(variance: Tensor, alpha: Tensor, eps: float, grid: Grid, initial_grid: Grid, prefix: int) -> Tensor:
    """S from variance (B, H, h * w, 2), scaled to the grid, and alpha (B, H, h * w, 1)."""
    width = grid[1]
    lowest = max(-0.5 * (max(initial_grid) - 1) ** 2, -6550.0)
    batch, heads, patches, _ = variance.shape
    bias = torch.zeros(batch, heads, prefix + patches, prefix + patches, dtype=variance.dtype)
    for p in range(patches):
        for t in range(patches):
            exponent = torch.zeros(batch, heads, dtype=variance.dtype)
            for axis, (i, j) in enumerate(((p // width, t // width), (p % width, t % width))):
                exponent = exponent + max(-0.5 * (i - j) ** 2, lowest) / (variance[:, :, p, axis] + eps)
            bias[:, :, prefix + p, prefix + t] = alpha[:, :, p, 0] * exponent.exp()
    return bias


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    return (q @ k.mT / math.sqrt(q.shape[-1]) + bias).softmax(-1) @ v


def prr(x: Tensor, heads: int) -> Tensor:
    """x+ (B, N, dim), multi-head."""
    tokens = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return attention(tokens, tokens, tokens).transpose(1, 2).flatten(2)


def parity_images(height: int, width: int) -> Tensor:
    """The input that the parity vectors were made with, (2, 3, H, W)."""
    random = np.random.default_rng(height * 10000 + width)
    return torch.from_numpy(random.standard_normal((2, 3, height, width)).astype(np.float32))


@torch.no_grad()
def fill_for_parity(model: nn.Module) -> None:
    """Set every entry of the state dict by its own name, as the parity vectors' weights were."""
    filled = set()
    for name, entry in model.state_dict(keep_vars=True).items():
        if entry not in filled:
            filled.add(entry)
            entry.copy_(torch.from_numpy(parity_weight(name, tuple(entry.shape))))


def parity_weight(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    a = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if a.ndim >= 2 and name.endswith("weight"):
        a *= np.float32(1.5 / math.sqrt(math.prod(shape[1:])))
    elif "gaug" not in name:
        a *= np.float32(0.1 if a.ndim == 1 else 0.5)
    if a.ndim == 1 and name.endswith("weight"):
        a += 1
    if name.endswith(("gamma", "gamma_1", "gamma_2")):
        a += np.float32(0.5)
    return a
