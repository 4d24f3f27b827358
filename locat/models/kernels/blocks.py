"""GAug attention on a CPU by torch's operations, a block at a time: its logits stay in the cores' caches.

Where the compiled kernels (`native`) cannot be used, this is used; it is what they are compared with as well.

A block is some heads, as many for each thread, and some of their queries. Its logits lie as (keys, queries): then
what is computed of a Gaussian, a row or column of the grid at a time, is the same for many numbers
in a row. Queries, keys and values are gathered for each block, and raised to float32 at least.

Names of tensors end in their axes, a letter each; after `d_` they are gradients:

    b  images                     f  b * t: the heads of all images in one row
    t  heads                      g  the heads of one block, a part of f
    n  tokens                     m  n padded to a multiple of LANES
    d  head_dim                   q  the queries of one block, a part of m
    h  rows of the patch grid     w  columns of the patch grid
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from locat.models.gaug import Grid, axis_numerators, exp_of_ratio

LOGITS = 2**18
"""Logits of a block for each thread: 1 MiB in float32."""

LANES = 8
"""A block's queries are padded to a multiple of this, with zeros: products of 200 take less time than those of 197."""


def kept_like(q: Tensor, differentiable: bool) -> Tensor:
    """Room for the softmax weights (B * H, N, N padded) if the backward pass gets them, else nothing.

    It gets them, and need not make them again, where they need no more memory than q, k, v and the output.
    """
    images, heads, tokens, head_dim = q.shape
    keep = differentiable and tokens <= 4 * head_dim
    dtype = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty([images * heads, tokens, padded(tokens)] if keep else [0], dtype=dtype)


def gradient_like(q: Tensor) -> Tensor:
    """Room for a gradient of q, k or v."""
    return q.new_empty(q.shape)


def forward(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: Grid, initial_grid: Grid, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """As `locat::gaussian_attention`; kept are the weights, or nothing."""
    tokens, prefix, scale = q.shape[2], q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    kept_fnm = kept_like(q, differentiable)
    rows_fhm, columns_fwm, heights_f1m = factors(shapes, prefix, grid, initial_grid)
    rows_fhm *= heights_f1m
    out_btnd = token_major(q)
    room_q, room_k, room_v, room_weights, room_out = (shapes.new_empty(0) for _ in range(5))
    for images, heads, block, queries in blocks(*q.shape[:3]):
        q_gqd = gathered(q[images, heads, queries], length(queries), room_q)
        k_gnd = gathered(k[images, heads], tokens, room_k)
        v_gnd = gathered(v[images, heads], tokens, room_v)
        if kept_fnm.numel():
            weights_gnq = kept_fnm[block, :, queries]
        else:
            weights_gnq = room_weights.resize_(len(k_gnd), tokens, length(queries))
        outer(weights_gnq, rows_fhm[block, :, queries], columns_fwm[block, :, queries], prefix)
        torch.baddbmm(weights_gnq, k_gnd, q_gqd.mT, alpha=scale, out=weights_gnq)
        torch.softmax(weights_gnq, 1, out=weights_gnq)
        out_gqd = torch.bmm(weights_gnq.mT, v_gnd, out=room_out.resize_(q_gqd.shape))
        scatter(out_gqd, out_btnd[images, heads, queries])
    return out_btnd, kept_fnm


def backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, _out: Tensor, kept: Tensor,
    grid: Grid, initial_grid: Grid,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k, v and shapes."""
    tokens, prefix, scale = q.shape[2], q.shape[2] - shapes.shape[2], q.shape[3] ** -0.5
    rows_fhm, columns_fwm, heights_f1m = factors(shapes, prefix, grid, initial_grid)
    d_rows_fhm, d_columns_fwm = torch.empty_like(rows_fhm), torch.empty_like(columns_fwm)
    d_q_btnd = gradient_like(q)
    d_k_fnd, d_v_fnd = (shapes.new_empty(q.shape).flatten(0, 1) for _ in range(2))
    room_q, room_k, room_v, room_out, *rooms_gnq = (shapes.new_empty(0) for _ in range(7))
    for images, heads, block, queries in blocks(*q.shape[:3]):
        q_gqd = gathered(q[images, heads, queries], length(queries), room_q)
        k_gnd = gathered(k[images, heads], tokens, room_k)
        v_gnd = gathered(v[images, heads], tokens, room_v)
        d_out_gqd = gathered(out_gradient[images, heads, queries], length(queries), room_out)
        kernel_gnq, d_gnq, weights_gnq = (room.resize_(len(k_gnd), tokens, length(queries)) for room in rooms_gnq)
        kernel_ghwq = outer(kernel_gnq, rows_fhm[block, :, queries], columns_fwm[block, :, queries], prefix)
        if kept.numel():
            weights_gnq = kept[block, :, queries]
        else:
            torch.mul(kernel_gnq, heights_f1m[block, :, queries], out=weights_gnq)
            torch.baddbmm(weights_gnq, k_gnd, q_gqd.mT, alpha=scale, out=weights_gnq)
            torch.softmax(weights_gnq, 1, out=weights_gnq)
        add_product(d_v_fnd[block], weights_gnq, d_out_gqd, queries, 1)
        torch.bmm(v_gnd, d_out_gqd.mT, out=d_gnq)
        torch.ops.aten._softmax_backward_data.out(d_gnq, weights_gnq, 1, d_gnq.dtype, grad_input=d_gnq)
        add_product(d_k_fnd[block], d_gnq, q_gqd, queries, scale)
        d_q_gqd = room_out.resize_(q_gqd.shape)  # d_out_gqd is done with
        torch.baddbmm(d_q_gqd, d_gnq.mT, k_gnd, beta=0, alpha=scale, out=d_q_gqd)
        scatter(d_q_gqd, d_q_btnd[images, heads, queries])
        kernel_gnq *= d_gnq
        torch.sum(kernel_ghwq, 2, out=d_rows_fhm[block, :, queries])
        torch.sum(kernel_ghwq, 1, out=d_columns_fwm[block, :, queries])
    d_shapes = shapes_gradient(d_rows_fhm, d_columns_fwm, shapes, prefix, grid, initial_grid)
    return d_q_btnd, d_k_fnd.view(q.shape).to(q.dtype), d_v_fnd.view(q.shape).to(q.dtype), d_shapes


def blocks(images: int, heads: int, tokens: int) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Images, their heads, the same heads along f, and some of their queries along m.

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
    part_gnd = room.resize_(part.shape[0] * part.shape[1], tokens, part.shape[3])
    part_gnd[:, :of_part].view(part.shape).copy_(part)
    part_gnd[:, of_part:] = 0
    return part_gnd


def scatter(part_gqd: Tensor, part: Tensor) -> None:
    """Undo `gathered`: write into `part` (images, heads, n, head_dim), without the padding."""
    part.copy_(part_gqd[:, : part.shape[2]].view(part.shape))


def factors(shapes: Tensor, prefix: int, grid: Grid, initial_grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Of each query's Gaussian: over rows (B * H, h, N padded), over columns (B * H, w, N padded), and height.

    0 for prefix tokens and padding.
    """
    patches = slice(prefix, prefix + shapes.shape[2])
    of_heads = shapes.flatten(0, 1).unsqueeze(1)
    sizes = (*grid, 1)
    rows_fhm, columns_fwm, heights_f1m = (shapes.new_zeros(len(of_heads), n, padded(patches.stop)) for n in sizes)
    of_axes = numerators(grid, initial_grid, shapes)
    for axis, numerator, variance in zip((rows_fhm, columns_fwm), of_axes, of_heads[..., 1:].unbind(-1), strict=True):
        exp_of_ratio(numerator, variance, out=axis[..., patches])
    heights_f1m[..., patches] = of_heads[..., 0]
    return rows_fhm, columns_fwm, heights_f1m


def numerators(grid: Grid, initial_grid: Grid, like: Tensor) -> tuple[Tensor, Tensor]:
    """-D / 2 of each patch from each row (h, P) and from each column (w, P)."""
    rows, columns = (axis_numerators(size, initial_grid, like) for size in grid)
    return rows.repeat_interleave(grid[1], dim=1), columns.repeat(1, grid[0])


def outer(kernel_gnq: Tensor, rows_ghq: Tensor, columns_gwq: Tensor, prefix: int) -> Tensor:
    """Fill the kernel with rows times columns, and with 0 for prefix keys; returns its patches as (g, h, w, q)."""
    kernel_gnq[:, :prefix] = 0
    kernel_ghwq = kernel_gnq[:, prefix:].unflatten(1, (rows_ghq.shape[1], columns_gwq.shape[1]))
    return torch.mul(rows_ghq.unsqueeze(2), columns_gwq.unsqueeze(1), out=kernel_ghwq)


def shapes_gradient(
    d_rows_fhm: Tensor, d_columns_fwm: Tensor, shapes: Tensor, prefix: int, grid: Grid, initial_grid: Grid
) -> Tensor:
    """Of height and variances, from that of the logits times the kernel, summed over columns and over rows."""
    d_rows, d_columns = (axis[..., prefix : prefix + shapes.shape[2]] for axis in (d_rows_fhm, d_columns_fwm))
    of_axes = numerators(grid, initial_grid, shapes)
    of_exponents = ((axis * numerator).sum(1) for axis, numerator in zip((d_rows, d_columns), of_axes, strict=True))
    height, *variances = shapes.flatten(0, 1).unbind(-1)
    of_variances = (
        -height * (exponent / variance) / variance for exponent, variance in zip(of_exponents, variances, strict=True)
    )
    return torch.stack([d_rows.sum(1), *of_variances], -1).view(shapes.shape)


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
    """The number of indices in a slice that names both ends."""
    return int(part.stop - part.start)
