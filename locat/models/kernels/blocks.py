"""GAug attention on a CPU, a block at a time, so small that its logits stay in the cores' caches.

A block is some heads, as many for each thread, and some of their queries. Its logits lie as (keys, queries): then
what is computed of a Gaussian, a row or column of the grid at a time, is the same for many numbers
in a row. Queries, keys and values are gathered for each block, and raised to float32 at least.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from locat.models.gaug import Grid, axis_numerators, exp_of_ratio

LOGITS = 2**18
"""Logits of a block for each thread: 1 MiB in float32."""

LANES = 8
"""A block's queries are padded to a multiple of this, with zeros: products of 200 take less time than those of 197."""


def kept_weights(q: Tensor, differentiable: bool) -> Tensor:
    """Room for the softmax weights (B * H, N, N padded) if the backward pass gets them, else nothing.

    It gets them, and need not make them again, where they need no more memory than q, k, v and the output.
    """
    images, heads, tokens, head_dim = q.shape
    keep = differentiable and tokens <= 4 * head_dim
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty([images * heads, tokens, padded(tokens)] if keep else [0], dtype=dtype)


def forward(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`; kept are the weights, or nothing."""
    tokens, prefix, scale = q.shape[2], q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    kept = kept_weights(q, differentiable)
    rows, columns, heights = factors(shapes, prefix, grid, initial_grid)
    rows *= heights
    out = token_major(q)
    for_queries, for_keys, for_values, for_weights, for_out = (shapes.new_empty(0) for _ in range(5))
    for images, heads, flat, part in blocks(*q.shape[:3]):
        queries = gathered(q[images, heads, part], length(part), for_queries)
        keys = gathered(k[images, heads], tokens, for_keys)
        values = gathered(v[images, heads], tokens, for_values)
        weights = kept[flat, :, part] if kept.numel() else for_weights.resize_(len(keys), tokens, length(part))
        outer(weights, rows[flat, :, part], columns[flat, :, part], prefix)
        torch.baddbmm(weights, keys, queries.mT, alpha=scale, out=weights)
        torch.softmax(weights, 1, out=weights)
        of_part = torch.bmm(weights.mT, values, out=for_out.resize_(queries.shape))
        scatter(of_part, out[images, heads, part])
    return out, kept


def backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, kept: Tensor, grid: Grid, initial_grid: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v and shapes."""
    tokens, prefix, scale = q.shape[2], q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    rows, columns, heights = factors(shapes, prefix, grid, initial_grid)
    of_rows, of_columns = torch.empty_like(rows), torch.empty_like(columns)
    of_q = q.new_empty(q.shape)
    of_k, of_v = (shapes.new_empty(q.shape).flatten(0, 1) for _ in range(2))
    for_queries, for_keys, for_values, for_out, *for_logits = (shapes.new_empty(0) for _ in range(7))
    for images, heads, flat, part in blocks(*q.shape[:3]):
        queries = gathered(q[images, heads, part], length(part), for_queries)
        keys = gathered(k[images, heads], tokens, for_keys)
        values = gathered(v[images, heads], tokens, for_values)
        of_out = gathered(out_gradient[images, heads, part], length(part), for_out)
        kernel, gradient, weights = (room.resize_(len(keys), tokens, length(part)) for room in for_logits)
        on_grid = outer(kernel, rows[flat, :, part], columns[flat, :, part], prefix)
        if kept.numel():
            weights = kept[flat, :, part]
        else:
            torch.mul(kernel, heights[flat, :, part], out=weights)
            torch.baddbmm(weights, keys, queries.mT, alpha=scale, out=weights)
            torch.softmax(weights, 1, out=weights)
        add_product(of_v[flat], weights, of_out, part, 1)
        torch.bmm(values, of_out.mT, out=gradient)
        torch.ops.aten._softmax_backward_data.out(gradient, weights, 1, gradient.dtype, grad_input=gradient)
        add_product(of_k[flat], gradient, queries, part, scale)
        of_queries = for_out.resize_(queries.shape)  # of_out is done with
        torch.baddbmm(of_queries, gradient.mT, keys, beta=0, alpha=scale, out=of_queries)
        scatter(of_queries, of_q[images, heads, part])
        kernel *= gradient
        torch.sum(on_grid, 2, out=of_rows[flat, :, part])
        torch.sum(on_grid, 1, out=of_columns[flat, :, part])
    of_shapes = shapes_gradient(of_rows, of_columns, shapes, prefix, grid, initial_grid)
    return of_q, of_k.view(q.shape).to(q.dtype), of_v.view(q.shape).to(q.dtype), of_shapes


def blocks(images: int, heads: int, tokens: int) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Images, their heads, the same heads where those of all images are in one row, and some of their queries.

    A block has whole images, or heads of one: the same number for each thread where they suffice. Its queries
    may reach past the last token, to a multiple of LANES.
    """
    threads = torch.get_num_threads()
    several = max(1, LOGITS // tokens**2) * threads
    images_at_once, heads_at_once = max(1, several // heads), min(several, heads)
    fitting = LOGITS * threads // (images_at_once * heads_at_once * tokens)
    queries = min(padded(tokens), max(1, fitting // LANES) * LANES)
    for image in range(0, images, images_at_once):
        for head in range(0, heads, heads_at_once):
            of_images = slice(image, min(images, image + images_at_once))
            of_heads = slice(head, min(heads, head + heads_at_once))
            first = image * heads + head
            flat = slice(first, first + length(of_images) * length(of_heads))
            for query in range(0, tokens, queries):
                yield of_images, of_heads, flat, slice(query, min(padded(tokens), query + queries))


def gathered(part: Tensor, tokens: int, room: Tensor) -> Tensor:
    """`part` (images, heads, n, head_dim) as (images * heads, tokens, head_dim): zeros after its n tokens.

    It is copied into `room` if need be.
    """
    of_part = part.shape[2]
    if of_part == tokens and part.dtype == room.dtype and part.is_contiguous():
        return part.flatten(0, 1)
    flat = room.resize_(part.shape[0] * part.shape[1], tokens, part.shape[3])
    flat[:, :of_part].view(part.shape).copy_(part)
    flat[:, of_part:] = 0
    return flat


def scatter(flat: Tensor, part: Tensor) -> None:
    """The way back from what `gathered` made of a part's shape."""
    part.copy_(flat[:, : part.shape[2]].view(part.shape))


def factors(shapes: Tensor, prefix: int, grid: Grid, initial_grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Of each query's Gaussian: over rows (B * H, h, N padded), over columns (B * H, w, N padded), and height.

    0 for prefix tokens and padding.
    """
    patches = slice(prefix, prefix + shapes.shape[2])
    of_heads = shapes.flatten(0, 1).unsqueeze(1)
    rows, columns, heights = (shapes.new_zeros(len(of_heads), size, padded(patches.stop)) for size in (*grid, 1))
    of_axes = numerators(grid, initial_grid, shapes)
    for axis, numerator, variance in zip((rows, columns), of_axes, of_heads[..., 1:].unbind(-1), strict=True):
        exp_of_ratio(numerator, variance, out=axis[..., patches])
    heights[..., patches] = of_heads[..., 0]
    return rows, columns, heights


def numerators(grid: Grid, initial_grid: Grid, like: Tensor) -> tuple[Tensor, Tensor]:
    """-D / 2 of each patch from each row (h, P) and from each column (w, P)."""
    rows, columns = (axis_numerators(size, initial_grid, like) for size in grid)
    return rows.repeat_interleave(grid[1], dim=1), columns.repeat(1, grid[0])


def outer(kernel: Tensor, rows: Tensor, columns: Tensor, prefix: int) -> Tensor:
    """Fill kernel (heads, N, queries) with rows times columns, 0 for prefix keys; its view (heads, h, w, queries)."""
    kernel[:, :prefix] = 0
    on_grid = kernel[:, prefix:].unflatten(1, (rows.shape[1], columns.shape[1]))
    return torch.mul(rows.unsqueeze(2), columns.unsqueeze(1), out=on_grid)


def shapes_gradient(
    of_rows: Tensor, of_columns: Tensor, shapes: Tensor, prefix: int, grid: Grid, initial_grid: Grid
) -> Tensor:
    """Of height and variances, from that of the logits times the kernel, summed over columns and over rows."""
    of_rows, of_columns = (axis[..., prefix : prefix + shapes.shape[2]] for axis in (of_rows, of_columns))
    of_axes = numerators(grid, initial_grid, shapes)
    of_exponents = ((axis * numerator).sum(1) for axis, numerator in zip((of_rows, of_columns), of_axes, strict=True))
    height, *variances = shapes.flatten(0, 1).unbind(-1)
    of_variances = (
        -height * (exponent / variance) / variance for exponent, variance in zip(of_exponents, variances, strict=True)
    )
    return torch.stack([of_rows.sum(1), *of_variances], -1).view(shapes.shape)


def add_product(total: Tensor, factor: Tensor, other: Tensor, queries: slice, scale: float) -> None:
    """Add scale * factor @ other to what earlier blocks of queries have put into total."""
    torch.baddbmm(total, factor, other, beta=int(queries.start > 0), alpha=scale, out=total)


def token_major(like: Tensor) -> Tensor:
    """An empty (B, H, N, head_dim) that lies in memory as (B, N, H, head_dim), as the next layer reads it."""
    return like.new_empty([like.shape[axis] for axis in (0, 2, 1, 3)]).transpose(1, 2)


def padded(tokens: int) -> int:
    """The next multiple of LANES."""
    return -(-tokens // LANES) * LANES


def length(part: slice) -> int:
    """Of a slice with both ends."""
    return int(part.stop - part.start)
