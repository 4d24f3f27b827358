"""The forward pass of fused GAug attention: a tile of queries meets all keys, softmax on the way (flash attention)."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped"

import triton
import triton.language as tl

from locat.models.kernels.tiles import LOG2_E, gaussian, load_rows, load_shapes, locate, position, store_rows


@triton.jit
def forward_kernel(
    q, k, v, shapes, out, log_sum,
    q_strides, k_strides, v_strides, out_strides, heads, tokens, scale,
    PREFIX: tl.constexpr, WIDTH: tl.constexpr, LARGEST: tl.constexpr, CLAMPED: tl.constexpr, TILTED: tl.constexpr,
    HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Writes `out` and `log_sum`, the logarithm to base 2 of each query's softmax denominator."""
    head, rows, of_q, of_k, of_v, of_out = locate(q_strides, k_strides, v_strides, out_strides, heads, tokens, BLOCK_Q)
    q, k, v, out = q + of_q, k + of_k, v + of_v, out + of_out

    queries = load_rows(q, q_strides[2], rows, tokens, HEAD_DIM, BLOCK_D)
    height, precision_y, precision_x, tilt = load_shapes(shapes, head, rows, tokens, PREFIX, TILTED)
    query_y, query_x = position(rows, PREFIX, WIDTH)
    highest = tl.full([BLOCK_Q], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_Q], tl.float32)
    sums = tl.zeros([BLOCK_Q, BLOCK_D], tl.float32)
    for start in range(0, tokens, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        keys = load_rows(k, k_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
        key_y, key_x = position(columns, PREFIX, WIDTH)
        kernel, _, _, _ = gaussian(
            query_y[:, None], query_x[:, None], precision_y[:, None], precision_x[:, None], tilt[:, None],
            key_y[None, :], key_x[None, :], columns[None, :] >= PREFIX, LARGEST, CLAMPED, TILTED,
        )  # fmt: skip
        logits = (tl.dot(queries, tl.trans(keys), input_precision=DOT) * scale + height[:, None] * kernel) * LOG2_E
        logits = tl.where(columns[None, :] < tokens, logits, float("-inf"))
        higher = tl.maximum(highest, tl.max(logits, 1))
        weights = tl.exp2(logits - higher[:, None])
        shrink = tl.exp2(highest - higher)
        values = load_rows(v, v_strides[2], columns, tokens, HEAD_DIM, BLOCK_D)
        sums = sums * shrink[:, None] + tl.dot(weights.to(values.dtype), values, input_precision=DOT)
        total = total * shrink + tl.sum(weights, 1)
        highest = higher
    store_rows(out, out_strides[2], rows, tokens, sums / total[:, None], HEAD_DIM, BLOCK_D)
    tl.store(log_sum + head * tokens + rows, highest + tl.log2(total), mask=rows < tokens)
