"""Launches the Triton kernels of GAug attention; importing this needs Triton."""

# mypy: warn-return-any=False, disable-error-code="import-untyped"

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from locat.models.gaug import Grid, largest_numerator
from locat.models.kernels.backward import keys_kernel, queries_kernel
from locat.models.kernels.blocks import token_major
from locat.models.kernels.forward import forward_kernel


class Tiles(NamedTuple):
    """Tokens that a program owns, tokens that it meets at a time, and its warps.

    One choice for a number format and head_dim, never timed: other tiles sum in another order, so
    that a run would not repeat its own bits. For head_dim 64 none spills registers on
    compute capability 9.0.
    """

    owned: int
    met: int
    warps: int


def forward_tiles(head_dim: int, dtype: torch.dtype) -> Tiles:
    """Of queries that own and keys that are met."""
    if dtype == torch.float32:
        return Tiles(32, 32, 8)
    return Tiles(64, 64, 4) if head_dim <= 64 else Tiles(64, 32, 4)


def backward_tiles(dtype: torch.dtype) -> Tiles:
    """Of queries that own and keys that are met, and the other way round."""
    return Tiles(32, 32, 8) if dtype == torch.float32 else Tiles(64, 32, 4)


def forward(q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`: the output, and each query's log2 of its softmax denominator, (B, H, N)."""
    q, k, v = (rows_together(heads) for heads in (q, k, v))
    out = token_major(q)
    log_sum = q.new_empty(q.shape[:3], dtype=torch.float32)
    owned, met, warps = forward_tiles(q.shape[3], q.dtype)
    forward_kernel[programs(q, owned)](
        q, k, v, shapes.contiguous(), out, log_sum,
        BLOCK_Q=owned, BLOCK_K=met, num_warps=warps, **options(q, k, v, out, shapes, grid, initial_grid),
    )  # fmt: skip
    return out, log_sum


def backward(
    out_gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    shapes: Tensor,
    out: Tensor,
    log_sum: Tensor,
    grid: Grid,
    initial_grid: Grid,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and shapes."""
    q, k, v, shapes = (*(rows_together(heads) for heads in (q, k, v)), shapes.contiguous())
    out, out_gradient = (heads.transpose(1, 2).contiguous().transpose(1, 2) for heads in (out, out_gradient))
    delta, of_shapes = torch.empty_like(log_sum), torch.empty_like(shapes)
    of_q, of_k, of_v = (token_major(q) for _ in range(3))
    rest = options(q, k, v, out, shapes, grid, initial_grid)
    owned, met, warps = backward_tiles(q.dtype)
    queries_kernel[programs(q, owned)](
        q, k, v, shapes, out, out_gradient, log_sum, delta, of_q, of_shapes,
        BLOCK_Q=owned, BLOCK_K=met, num_warps=warps, **rest,
    )  # fmt: skip
    keys_kernel[programs(q, owned)](
        q, k, v, shapes, out_gradient, log_sum, delta, of_k, of_v,
        BLOCK_Q=met, BLOCK_K=owned, num_warps=warps, **rest,
    )  # fmt: skip
    return of_q, of_k, of_v, of_shapes


def options(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid
) -> dict[str, Any]:
    """What all three kernels are told about the problem, by name."""
    head_dim, largest = q.shape[3], largest_numerator(initial_grid)
    tilted = shapes.shape[-1] == 4
    return {
        "q_strides": q.stride()[:3],
        "k_strides": k.stride()[:3],
        "v_strides": v.stride()[:3],
        "out_strides": out.stride()[:3],
        "heads": q.shape[1],
        "tokens": q.shape[2],
        "scale": head_dim**-0.5,
        "PREFIX": q.shape[2] - grid[0] * grid[1],
        "WIDTH": grid[1],
        "LARGEST": largest,
        "CLAMPED": tilted or 0.5 * (max(grid) - 1) ** 2 > largest,
        "TILTED": tilted,
        "HEAD_DIM": head_dim,
        "BLOCK_D": max(16, triton.next_power_of_2(head_dim)),
        "DOT": "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee",
        "num_stages": 2,
    }


def programs(q: Tensor, block: int) -> tuple[int]:
    """One program for every image, head and tile of tokens."""
    return (q.shape[0] * q.shape[1] * triton.cdiv(q.shape[2], block),)


def rows_together(heads: Tensor) -> Tensor:
    """(B, H, N, head_dim) with the channels of a token next to each other, copied only if they are not."""
    return heads if heads.stride(-1) == 1 else heads.contiguous()
