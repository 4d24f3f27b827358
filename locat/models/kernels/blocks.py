"""GAug attention on a CPU, a block at a time, so small that its logits stay in the cores' caches.

A block is some heads, of any images, as many for each thread, and some of their queries. Its logits lie as
(keys, queries): then what is computed of a Gaussian, a row or column of the grid at a time, is the
same for many numbers in a row. Half precision is computed in float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from locat.models.gaug import Grid, at_least_float32, axis_kernels, axis_numerators

LOGITS = 2**18
"""Logits of a block for each thread: 1 MiB in float32."""


def kept_weights(q: Tensor, differentiable: bool) -> Tensor:
    """Room for the softmax weights (B * H, N, N) if the backward pass gets them, else nothing: it makes them again.

    It gets them where they need no more memory than q, k, v and the output, which are kept anyway.
    """
    images, heads, tokens, head_dim = q.shape
    keep = differentiable and tokens <= 4 * head_dim
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty([images * heads, tokens, tokens] if keep else [0], dtype=dtype)


def forward(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`; kept are the weights, or nothing."""
    prefix, scale = q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    kept = kept_weights(q, differentiable)
    rows, columns, heights = factors(shapes, prefix, grid, initial_grid)
    rows *= heights
    queries, keys, values, rows, columns = flat(q, k, v, rows, columns)
    out, scratch = torch.empty_like(queries), queries.new_empty(0)
    for heads, part in blocks(*queries.shape[:2]):
        of_part = queries[heads, part]
        weights = kept[heads, :, part] if kept.numel() else room(scratch, keys[heads], of_part)
        outer(weights, rows[heads, :, part], columns[heads, :, part], prefix)
        torch.baddbmm(weights, keys[heads], of_part.mT, alpha=scale, out=weights)
        torch.softmax(weights, 1, out=weights)
        torch.bmm(weights.mT, values[heads], out=out[heads, part])
    return token_major(q).copy_(out.view(q.shape)), kept


def backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, kept: Tensor, grid: Grid, initial_grid: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and shapes."""
    prefix, scale = q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    factors_of_all = factors(shapes, prefix, grid, initial_grid)
    of_out, queries, keys, values, rows, columns, heights = flat(out_gradient, q, k, v, *factors_of_all)
    of_rows, of_columns = torch.empty_like(rows), torch.empty_like(columns)
    of_q, of_k, of_v = (torch.empty_like(queries) for _ in range(3))
    scratch = [queries.new_empty(0) for _ in range(3)]
    for heads, part in blocks(*queries.shape[:2]):
        of_part, gradient_of_part = queries[heads, part], of_out[heads, part]
        kernel, gradient, weights = (room(array, keys[heads], of_part) for array in scratch)
        on_grid = outer(kernel, rows[heads, :, part], columns[heads, :, part], prefix)
        if kept.numel():
            weights = kept[heads, :, part]
        else:
            torch.mul(kernel, heights[heads, :, part], out=weights)
            torch.baddbmm(weights, keys[heads], of_part.mT, alpha=scale, out=weights)
            torch.softmax(weights, 1, out=weights)
        add_product(of_v[heads], weights, gradient_of_part, part, 1)
        torch.bmm(values[heads], gradient_of_part.mT, out=gradient)
        torch.ops.aten._softmax_backward_data.out(gradient, weights, 1, gradient.dtype, grad_input=gradient)
        add_product(of_k[heads], gradient, of_part, part, scale)
        of_q_part = of_q[heads, part]
        torch.baddbmm(of_q_part, gradient.mT, keys[heads], beta=0, alpha=scale, out=of_q_part)
        kernel *= gradient
        torch.sum(on_grid, 2, out=of_rows[heads, :, part])
        torch.sum(on_grid, 1, out=of_columns[heads, :, part])
    of_rows, of_columns = (axis.unflatten(0, q.shape[:2])[..., prefix:] for axis in (of_rows, of_columns))
    of_shapes = shapes_gradient(of_rows, of_columns, shapes, grid, initial_grid)
    of_q, of_k, of_v = (gradient.view(q.shape).to(q.dtype) for gradient in (of_q, of_k, of_v))
    return of_q, of_k, of_v, of_shapes


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


def flat(*parts: Tensor) -> tuple[Tensor, ...]:
    """(B * H, ...) of (B, H, ...), in float32 at least."""
    return tuple(at_least_float32(part).flatten(0, 1) for part in parts)


def blocks(heads: int, tokens: int) -> Iterator[tuple[slice, slice]]:
    """Some of `heads`, the same number for each thread where they suffice, and some of their queries."""
    threads = torch.get_num_threads()
    several = max(1, LOGITS // tokens**2) * threads
    queries = min(tokens, max(1, LOGITS * threads // (min(several, heads) * tokens)))
    for head in range(0, heads, several):
        for query in range(0, tokens, queries):
            yield slice(head, head + several), slice(query, query + queries)


def room(scratch: Tensor, keys: Tensor, queries: Tensor) -> Tensor:
    """`scratch`, made to hold the logits (heads, keys, queries)."""
    return scratch.resize_(*keys.shape[:2], queries.shape[1])


def add_product(total: Tensor, factor: Tensor, other: Tensor, queries: slice, scale: float) -> None:
    """Add scale * factor @ other to what earlier blocks of queries have put into total."""
    torch.baddbmm(total, factor, other, beta=int(queries.start > 0), alpha=scale, out=total)


def token_major(like: Tensor) -> Tensor:
    """An empty (B, H, N, head_dim) that lies in memory as (B, N, H, head_dim), as the next layer reads it."""
    return like.new_empty([like.shape[axis] for axis in (0, 2, 1, 3)]).transpose(1, 2)
