"""GAug attention on a CPU, a block of queries at a time, so small that its logits stay in the core's cache.

Logits lie as (keys, queries): then what is computed of a Gaussian, a row or column of the grid at a
time, is the same for many numbers in a row. Half precision is computed in float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.models.gaug import Grid, at_least_float32, axis_kernels, axis_numerators

LOGITS = 2**17
"""Logits of a block for each thread: 512 KiB in float32."""

Index = tuple[int, slice]
"""An image, and some of its heads."""


def kept_weights(q: Tensor, differentiable: bool) -> Tensor:
    """Room for the softmax weights (B, H, N, N) if the backward pass gets them, else nothing: it makes them again.

    It gets them where they need no more memory than q, k, v and the output, which are kept anyway.
    """
    images, heads, tokens, head_dim = q.shape
    keep = differentiable and tokens <= 4 * head_dim
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty([images, heads, tokens, tokens] if keep else [0], dtype=dtype)


def forward(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`; kept are the weights, or nothing."""
    dtype, (q, k, v) = q.dtype, (at_least_float32(heads) for heads in (q, k, v))
    prefix = q.shape[2] - shapes.shape[2]
    rows, columns, heights = factors(shapes, prefix, grid, initial_grid)
    rows *= heights
    out, kept, scratch = token_major(q), kept_weights(q, differentiable), q.new_empty(0)
    for heads, queries in blocks(q):
        part, keys = q[heads][:, queries], k[heads]
        weights = kept[heads][..., queries] if kept.numel() else scratch.resize_(*keys.shape[:2], part.shape[1])
        outer(weights, rows[heads][..., queries], columns[heads][..., queries], prefix)
        torch.baddbmm(weights, keys, part.mT, alpha=q.shape[3] ** -0.5, out=weights)
        torch.softmax(weights, 1, out=weights)
        torch.bmm(weights.mT, v[heads], out=out[heads][:, queries])
    return out.to(dtype), kept


def backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, kept: Tensor, grid: Grid, initial_grid: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and shapes."""
    dtype = q.dtype
    out_gradient, q, k, v = (at_least_float32(heads) for heads in (out_gradient, q, k, v))
    prefix, scale = q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    rows, columns, heights = factors(shapes, prefix, grid, initial_grid)
    of_rows, of_columns = torch.empty_like(rows), torch.empty_like(columns)
    of_q, of_k, of_v = (token_major(q) for _ in range(3))
    scratch = [q.new_empty(0) for _ in range(3)]
    for heads, queries in blocks(q):
        part, part_gradient, keys = q[heads][:, queries], out_gradient[heads][:, queries], k[heads]
        kernel, gradient, weights = (array.resize_(*keys.shape[:2], part.shape[1]) for array in scratch)
        on_grid = outer(kernel, rows[heads][..., queries], columns[heads][..., queries], prefix)
        if kept.numel():
            weights = kept[heads][..., queries]
        else:
            torch.mul(kernel, heights[heads][..., queries], out=weights)
            torch.baddbmm(weights, keys, part.mT, alpha=scale, out=weights)
            torch.softmax(weights, 1, out=weights)
        torch.bmm(v[heads], part_gradient.mT, out=gradient)
        torch.ops.aten._softmax_backward_data.out(gradient, weights, 1, q.dtype, grad_input=gradient)
        torch.bmm(gradient.mT, keys, out=of_q[heads][:, queries])
        for total, factor, other in ((of_v[heads], weights, part_gradient), (of_k[heads], gradient, part)):
            if queries.start == 0:
                torch.bmm(factor, other, out=total)
            else:
                total += torch.bmm(factor, other)
        kernel *= gradient
        torch.sum(on_grid, 2, out=of_rows[heads][..., queries])
        torch.sum(on_grid, 1, out=of_columns[heads][..., queries])
    of_q *= scale
    of_k *= scale
    of_shapes = shapes_gradient(of_rows[..., prefix:], of_columns[..., prefix:], shapes, grid, initial_grid)
    return of_q.to(dtype), of_k.to(dtype), of_v.to(dtype), of_shapes


def factors(shapes: Tensor, prefix: int, grid: Grid, initial_grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token's Gaussian: over rows (B, H, h, N), over columns (B, H, w, N), and height; 0 for prefix tokens."""
    rows, columns = axis_kernels(shapes[..., 1:], grid, initial_grid)
    rows, columns, heights = (F.pad(part.mT, (prefix, 0)).contiguous() for part in (rows, columns, shapes[..., :1]))
    return rows, columns, heights


def outer(kernel: Tensor, rows: Tensor, columns: Tensor, prefix: int) -> Tensor:
    """Fill kernel (H, N, queries) with rows times columns, and 0 for prefix keys; its view (H, h, w, queries)."""
    kernel[:, :prefix] = 0
    on_grid = kernel[:, prefix:].unflatten(1, (rows.shape[1], columns.shape[1]))
    return torch.mul(rows.unsqueeze(2), columns.unsqueeze(1), out=on_grid)


def shapes_gradient(of_rows: Tensor, of_columns: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid) -> Tensor:
    """Of height and variances, from that of the logits times the kernel, summed over columns and over rows."""
    numerator_y, numerator_x = (axis_numerators(size, initial_grid, shapes) for size in grid)
    of_exponents = (
        (of_rows * numerator_y.repeat_interleave(grid[1], dim=1)).sum(2),
        (of_columns * numerator_x.repeat(1, grid[0])).sum(2),
    )
    height, *variances = shapes.unbind(-1)
    of_variances = (
        -height * (exponent / variance) / variance for exponent, variance in zip(of_exponents, variances, strict=True)
    )
    return torch.stack([of_rows.sum(2), *of_variances], -1)


def blocks(q: Tensor) -> Iterator[tuple[Index, slice]]:
    """Heads of an image, and some of their queries, over all of (B, H, N, head_dim)."""
    images, heads, tokens, _ = q.shape
    limit = LOGITS * torch.get_num_threads()
    several = min(heads, max(1, limit // tokens**2))
    queries = min(tokens, max(1, limit // (several * tokens)))
    for image in range(images):
        for head in range(0, heads, several):
            for query in range(0, tokens, queries):
                yield (image, slice(head, head + several)), slice(query, query + queries)


def token_major(like: Tensor) -> Tensor:
    """An empty (B, H, N, head_dim) that lies in memory as (B, N, H, head_dim), as the next layer reads it."""
    return like.new_empty([like.shape[axis] for axis in (0, 2, 1, 3)]).transpose(1, 2)
