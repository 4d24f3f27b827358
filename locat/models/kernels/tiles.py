"""What the Triton kernels of GAug attention share: where tiles lie, and the Gaussian of a tile, made in registers."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, import-untyped"

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
"""Logits are kept in base 2 inside the kernels, whose exp2 is a single instruction."""


@triton.jit
def locate(q_strides, k_strides, v_strides, out_strides, heads, tokens, BLOCK: tl.constexpr):
    """What this program owns: a head, counted over all images, and a tile of BLOCK tokens.

    Also where that head begins in q, k, v and the output: offsets from strides, which are (image, head, token).
    """
    tiles = tl.cdiv(tokens, BLOCK)
    head = (tl.program_id(0) // tiles).to(tl.int64)
    owned = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    image = head // heads
    of_q = image * q_strides[0] + head % heads * q_strides[1]
    of_k = image * k_strides[0] + head % heads * k_strides[1]
    of_v = image * v_strides[0] + head % heads * v_strides[1]
    of_out = image * out_strides[0] + head % heads * out_strides[1]
    return head, owned, of_q, of_k, of_v, of_out


@triton.jit
def load_rows(pointer, stride, rows, tokens, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr):
    """A tile (rows, BLOCK_D) of one head's q, k, v or gradient; zero beyond the tokens and the head's channels."""
    channels = tl.arange(0, BLOCK_D)
    inside = (rows[:, None] < tokens) & (channels[None, :] < HEAD_DIM)
    return tl.load(pointer + rows[:, None] * stride + channels[None, :], mask=inside, other=0.0)


@triton.jit
def store_rows(pointer, stride, rows, tokens, values, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr):
    """Write a tile (rows, BLOCK_D) back, in the number format of what it is written to."""
    channels = tl.arange(0, BLOCK_D)
    inside = (rows[:, None] < tokens) & (channels[None, :] < HEAD_DIM)
    tl.store(pointer + rows[:, None] * stride + channels[None, :], values.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def load_shapes(shapes, head, rows, tokens, PREFIX: tl.constexpr, TILTED: tl.constexpr):
    """Height, 1 / variance along y and x, and tilt of the Gaussians of queries; prefix tokens have height 0."""
    shapes, is_patch = locate_shapes(shapes, head, rows, tokens, PREFIX, TILTED)
    height = tl.load(shapes, mask=is_patch, other=0.0)
    precision_y = 1.0 / tl.load(shapes + 1, mask=is_patch, other=1.0)
    precision_x = 1.0 / tl.load(shapes + 2, mask=is_patch, other=1.0)
    tilt = tl.load(shapes + 3, mask=is_patch, other=0.0) if TILTED else height
    return height, precision_y, precision_x, tilt


@triton.jit
def locate_shapes(shapes, head, rows, tokens, PREFIX: tl.constexpr, TILTED: tl.constexpr):
    """Where the shapes (or their gradients) of the queries `rows` begin, and which of these are patches."""
    patches = head * (tokens - PREFIX) + rows - PREFIX
    return shapes + patches * (4 if TILTED else 3), (rows >= PREFIX) & (rows < tokens)


@triton.jit
def position(tokens, PREFIX: tl.constexpr, WIDTH: tl.constexpr):
    """Row and column of tokens on the patch grid, as numbers; meaningless for prefix tokens."""
    patch = tl.maximum(tokens - PREFIX, 0)
    return (patch // WIDTH).to(tl.float32), (patch % WIDTH).to(tl.float32)


@triton.jit
def gaussian(
    query_y, query_x, precision_y, precision_x, tilt, key_y, key_x, key_is_patch,
    LARGEST: tl.constexpr, CLAMPED: tl.constexpr, TILTED: tl.constexpr,
):  # fmt: skip
    """exp(-D / (2 variance)) of every query and key, 0 for keys that are prefix tokens; also -D / 2 along y and x,
    and what the tilt's gradient is made of.

    Queries and keys come as vectors along different axes of the tile, either way round.
    """
    down = key_y - query_y
    across = key_x - query_x
    if TILTED:
        across -= tilt * down
    numerator_y = -0.5 * down * down
    numerator_x = -0.5 * across * across
    lean = across * down
    if CLAMPED:
        lean = tl.where(numerator_x > -LARGEST, lean, 0.0)
        numerator_y = tl.maximum(numerator_y, -LARGEST)
        numerator_x = tl.maximum(numerator_x, -LARGEST)
    kernel = tl.exp2((numerator_y * precision_y + numerator_x * precision_x) * LOG2_E)
    return tl.where(key_is_patch, kernel, 0.0), numerator_y, numerator_x, lean
