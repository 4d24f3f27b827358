"""The backward pass of fused GAug attention, in two kernels without atomics: two runs give the same bits.

`queries_kernel` owns a tile of queries, so the gradients of q and of a query's shape of its Gaussian
are sums over its own rows; `keys_kernel` owns a tile of keys and sums the gradients of k and v.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped"

import triton
import triton.language as tl

from locat.models.kernels.tiles import (
    LOG2_E,
    gaussian,
    load_rows,
    load_shapes,
    locate,
    locate_shapes,
    position,
    store_rows,
)


@triton.jit
def queries_kernel(
    q, k, v, shapes, out, out_gradient, log_sum, delta, q_gradient, shapes_gradient,
    q_strides, k_strides, v_strides, out_strides, heads, tokens, scale,
    PREFIX: tl.constexpr, WIDTH: tl.constexpr, LARGEST: tl.constexpr, CLAMPED: tl.constexpr, TILTED: tl.constexpr,
    HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Also writes `delta`, the dot product of each row of `out` with its gradient, which `keys_kernel` reads."""
    head, rows, of_q, of_k, of_v, of_out = locate(q_strides, k_strides, v_strides, out_strides, heads, tokens, BLOCK_Q)
    q, k, v = q + of_q, k + of_k, v + of_v

    queries = load_rows(q, q_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
    outs = load_rows(out + of_out, out_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
    out_gradients = load_rows(out_gradient + of_out, out_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
    mean = tl.sum(outs.to(tl.float32) * out_gradients.to(tl.float32), 1)
    tl.store(delta + head * tokens + rows, mean, mask=rows < tokens)
    log_sums = tl.load(log_sum + head * tokens + rows, mask=rows < tokens, other=0.0)
    height, precision_y, precision_x, tilt = load_shapes(shapes, head, rows, tokens, PREFIX, TILTED)
    query_y, query_x = position(rows, PREFIX, WIDTH)
    q_gradients = tl.zeros([BLOCK_Q, BLOCK_D], tl.float32)
    of_height = tl.zeros([BLOCK_Q], tl.float32)
    of_y = tl.zeros([BLOCK_Q], tl.float32)
    of_x = tl.zeros([BLOCK_Q], tl.float32)
    of_tilt = tl.zeros([BLOCK_Q], tl.float32)
    for start in range(0, tokens, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        keys = load_rows(k, k_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
        values = load_rows(v, v_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
        key_y, key_x = position(columns, PREFIX, WIDTH)
        kernel, numerator_y, numerator_x, lean = gaussian(
            query_y[:, None], query_x[:, None], precision_y[:, None], precision_x[:, None], tilt[:, None],
            key_y[None, :], key_x[None, :], columns[None, :] >= PREFIX, LARGEST, CLAMPED, TILTED,
        )  # fmt: skip
        logits = (tl.dot(queries, tl.trans(keys), input_precision=DOT) * scale + height[:, None] * kernel) * LOG2_E
        weights = tl.where(columns[None, :] < tokens, tl.exp2(logits - log_sums[:, None]), 0.0)
        weight_gradients = tl.dot(out_gradients, tl.trans(values), input_precision=DOT)
        logit_gradients = weights * (weight_gradients - mean[:, None])
        q_gradients += tl.dot(logit_gradients.to(keys.dtype), keys, input_precision=DOT)
        kernel *= logit_gradients
        of_height += tl.sum(kernel, 1)
        of_y += tl.sum(kernel * numerator_y, 1)
        of_x += tl.sum(kernel * numerator_x, 1)
        if TILTED:
            of_tilt += tl.sum(kernel * lean, 1)
    store_rows(q_gradient + of_out, out_strides[2], rows, tokens, q_gradients * scale, HEAD_DIM, BLOCK_D)
    gradients, is_patch = locate_shapes(shapes_gradient, head, rows, tokens, PREFIX, TILTED)
    tl.store(gradients, of_height, mask=is_patch)
    tl.store(gradients + 1, -height * precision_y * (precision_y * of_y), mask=is_patch)
    tl.store(gradients + 2, -height * precision_x * (precision_x * of_x), mask=is_patch)
    if TILTED:
        tl.store(gradients + 3, height * precision_x * of_tilt, mask=is_patch)


@triton.jit
def keys_kernel(
    q, k, v, shapes, out_gradient, log_sum, delta, k_gradient, v_gradient,
    q_strides, k_strides, v_strides, out_strides, heads, tokens, scale,
    PREFIX: tl.constexpr, WIDTH: tl.constexpr, LARGEST: tl.constexpr, CLAMPED: tl.constexpr, TILTED: tl.constexpr,
    HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Tiles here are transposed, (keys, queries): what is summed over queries then needs no transposition."""
    head, columns, of_q, of_k, of_v, of_out = locate(
        q_strides, k_strides, v_strides, out_strides, heads, tokens, BLOCK_K
    )
    q, k, v = q + of_q, k + of_k, v + of_v

    keys = load_rows(k, k_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
    values = load_rows(v, v_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
    key_y, key_x = position(columns, PREFIX, WIDTH)
    k_gradients = tl.zeros([BLOCK_K, BLOCK_D], tl.float32)
    v_gradients = tl.zeros([BLOCK_K, BLOCK_D], tl.float32)
    for start in range(0, tokens, BLOCK_Q):
        rows = start + tl.arange(0, BLOCK_Q)
        queries = load_rows(q, q_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
        out_gradients = load_rows(out_gradient + of_out, out_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
        log_sums = tl.load(log_sum + head * tokens + rows, mask=rows < tokens, other=0.0)
        mean = tl.load(delta + head * tokens + rows, mask=rows < tokens, other=0.0)
        height, precision_y, precision_x, tilt = load_shapes(shapes, head, rows, tokens, PREFIX, TILTED)
        query_y, query_x = position(rows, PREFIX, WIDTH)
        kernel, _, _, _ = gaussian(
            query_y[None, :], query_x[None, :], precision_y[None, :], precision_x[None, :], tilt[None, :],
            key_y[:, None], key_x[:, None], columns[:, None] >= PREFIX, LARGEST, CLAMPED, TILTED,
        )  # fmt: skip
        logits = (tl.dot(keys, tl.trans(queries), input_precision=DOT) * scale + height[None, :] * kernel) * LOG2_E
        weights = tl.where(rows[None, :] < tokens, tl.exp2(logits - log_sums[None, :]), 0.0)
        v_gradients += tl.dot(weights.to(out_gradients.dtype), out_gradients, input_precision=DOT)
        weight_gradients = tl.dot(values, tl.trans(out_gradients), input_precision=DOT)
        logit_gradients = weights * (weight_gradients - mean[None, :])
        k_gradients += tl.dot(logit_gradients.to(queries.dtype), queries, input_precision=DOT)
    store_rows(k_gradient + of_out, out_strides[2], columns, tokens, k_gradients * scale, HEAD_DIM, BLOCK_D)
    store_rows(v_gradient + of_out, out_strides[2], columns, tokens, v_gradients, HEAD_DIM, BLOCK_D)
