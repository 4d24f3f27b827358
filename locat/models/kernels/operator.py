"""`locat::gaussian_attention`, softmax(q k^T / sqrt(head_dim) + S) v, as an operator of torch.

torch.compile and CUDA graphs see one node of known shapes; autograd knows its backward pass.
"""

# mypy: disallow-untyped-decorators=False

import os
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula, sdpa_backward_flop_count, sdpa_flop_count

from locat.models.kernels import blocks, native

# Compiled graphs are kept on disk, with the shapes that the operator had. Count on when it returns or keeps others.
torch.compiler.config.cache_key_tag += "locat-4" if native.obstacle(torch.float32) else "locat-4-native"


@torch.library.custom_op("locat::gaussian_attention", mutates_args=())
def gaussian_attention(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: list[int], initial_grid: list[int], differentiable: bool
) -> tuple[Tensor, Tensor]:
    """Output (B, H, N, head_dim) of q, k and v of that shape, and what is kept for the backward pass.

    `shapes` (B, H, h * w, 3) holds each Gaussian's height in logits and its variances along y and x, in squared
    patches of `grid` (h, w); a fourth number tilts it (`locat.models.rotated`). It is float32, or float64
    like q. The first N - h * w tokens are prefix tokens. `differentiable` is false where no backward pass follows.

    Inputs may have any strides; the kernels copy those whose head_dim is not contiguous. The output lies in memory as
    (B, N, H, head_dim), as the next layer reads it. So do the gradients of q, k and v, but for those that torch's
    operations make on a CPU: they lie as (B, H, N, head_dim).
    """
    grids = (grid[0], grid[1]), (initial_grid[0], initial_grid[1])
    if runs_triton(q):
        from locat.models.kernels import launch

        return launch.forward(q, k, v, shapes, *grids)
    result: tuple[Tensor, Tensor] = on_cpu(q.dtype).forward(q, k, v, shapes, *grids, differentiable)
    return result


@torch.library.custom_op("locat::gaussian_attention_backward", mutates_args=())
def gaussian_attention_backward(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, out: Tensor, kept: Tensor,
    grid: list[int], initial_grid: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of q, k, v and shapes."""
    grids = (grid[0], grid[1]), (initial_grid[0], initial_grid[1])
    if runs_triton(q):
        from locat.models.kernels import launch

        return launch.backward(out_gradient, q, k, v, shapes, out, kept, *grids)
    result: tuple[Tensor, Tensor, Tensor, Tensor]
    result = on_cpu(q.dtype).backward(out_gradient, q, k, v, shapes, out, kept, *grids)
    return result


def runs_triton(q: Tensor) -> bool:
    """Whether the Triton kernels compute this: on a GPU, or anywhere under Triton's interpreter."""
    return q.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"


def on_cpu(dtype: torch.dtype) -> ModuleType:
    """What computes this on a CPU: the compiled kernels, or torch's operations where these cannot be used."""
    return blocks if native.obstacle(dtype) else native


@gaussian_attention.register_fake
def _(
    q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, grid: list[int], initial_grid: list[int], differentiable: bool
) -> tuple[Tensor, Tensor]:
    if runs_triton(q):
        return blocks.token_major(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    return blocks.token_major(q), on_cpu(q.dtype).kept_like(q, differentiable)


@gaussian_attention_backward.register_fake
def _(
    out_gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, shapes: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    like = blocks.token_major if runs_triton(q) else on_cpu(q.dtype).gradient_like
    of_q, of_k, of_v = (like(q) for _ in range(3))
    return of_q, of_k, of_v, shapes.new_empty(shapes.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, shapes, ctx.grid, ctx.initial_grid, _ = inputs
    ctx.save_for_backward(q, k, v, shapes, *output)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # else zeros of the size of what is kept


def _backward(ctx: Any, out_gradient: Tensor | None, _kept: None) -> tuple[Any, ...]:
    if out_gradient is None:
        return (None,) * 7
    gradients = gaussian_attention_backward(out_gradient, *ctx.saved_tensors, ctx.grid, ctx.initial_grid)
    return *gradients, None, None, None


gaussian_attention.register_autograd(_backward, setup_context=_save)


@register_flop_formula(torch.ops.locat.gaussian_attention)
def _flops(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(q, k, v))


@register_flop_formula(torch.ops.locat.gaussian_attention_backward)
def _backward_flops(out_gradient: Any, q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(out_gradient, q, k, v))
