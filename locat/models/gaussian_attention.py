"""The one place where GAug attention is computed, and the choice of how."""

# mypy: disallow-untyped-decorators=False, warn-return-any=False

import logging
import os
from importlib.util import find_spec
from typing import Protocol

import torch
from timm.layers import resolve_self_attn_mask
from torch import Tensor
from torch.nn import functional as F

from locat.contract.errors import ConfigError
from locat.models.gaug import Gaussians
from locat.models.kernels import native
from locat.models.kernels.operator import gaussian_attention as fused_attention
from locat.models.kernels.operator import runs_triton
from locat.models.rotated import RotatedGaussians

FORMS = ("auto", "fused", "separable")
FORM = os.environ.get("LOCAT_ATTENTION", "auto")
"""How GAug attention is computed: "fused" is the operator of `locat.models.kernels`, "separable" hands the bias,
made of its two factors, to torch's attention as a mask, "auto" is fused where that is possible."""

LARGEST_HEAD_DIM = 128
HAS_TRITON = find_spec("triton") is not None

logger = logging.getLogger(__name__)


class Bias(Protocol):
    """What is added to attention's logits: `Gaussians`, `RotatedGaussians`, or another."""

    def bias(self, prefix_tokens: int) -> Tensor:
        """S as (B, H, N, N), zero where a prefix token is involved."""


def gaussian_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gaussians: Bias,
    prefix_tokens: int,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    form: str | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(head_dim) + S + mask) v for q, k, v of shape (B, H, N, head_dim).

    `form` is one of FORMS, by default LOCAT_ATTENTION's. Raises ConfigError for another, and where
    "fused" is demanded of what the operator cannot do.
    """
    form = form or FORM
    if form not in FORMS:
        raise ConfigError(f"LOCAT_ATTENTION: {form!r} is not one of {', '.join(FORMS)}")
    obstacle = why_not_fused(q, gaussians, mask, dropout)
    if form == "fused" and obstacle:
        raise ConfigError(f"LOCAT_ATTENTION: attention cannot be fused here, {obstacle}; use auto")
    if form == "separable":
        obstacle = "LOCAT_ATTENTION asks for it"
    elif form == "auto" and torch.compiler.is_exporting():
        obstacle = "an exported program then runs without LocAt"
    by_torch = None if obstacle or runs_triton(q) else why_not_compiled(v.dtype)
    announce(q.device.type, obstacle, by_torch)
    if obstacle is None and isinstance(gaussians, Gaussians | RotatedGaussians):
        shapes = torch.cat(gaussians.shapes(), dim=-1)
        q, k = q.to(v.dtype), k.to(v.dtype)  # norms and rotations leave autocast's format
        if by_torch:
            q, k, v = q.contiguous(), k.contiguous(), v.contiguous()  # once for both passes
        grids = gaussians.grid, gaussians.initial_grid
        return fused_attention(q, k, v, shapes, *grids, differentiable=torch.is_grad_enabled())[0]
    bias = gaussians.bias(prefix_tokens).to(q.dtype)
    if mask is not None:
        bias = bias + resolve_self_attn_mask(q.shape[2], bias, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)


def why_not_fused(q: Tensor, gaussians: Bias, mask: Tensor | None, dropout: float) -> str | None:
    """What keeps the operator from computing this, if anything."""
    if not isinstance(gaussians, Gaussians | RotatedGaussians):
        return f"{type(gaussians).__name__} gives the bias as a whole"
    if mask is not None:
        return "a mask is added to the logits"
    if dropout > 0:
        return "attention weights are dropped at random (attn_drop_rate)"
    if not runs_triton(q):
        if isinstance(gaussians, RotatedGaussians):
            return "rotated Gaussians are no product of rows and columns"
        return None if q.device.type == "cpu" else f"there are no kernels for {q.device.type}"
    if not HAS_TRITON:
        return "Triton is not installed"
    if q.dtype == torch.float64:
        return "the kernels compute in float32"
    if q.shape[3] > LARGEST_HEAD_DIM:
        return f"head_dim {q.shape[3]} exceeds {LARGEST_HEAD_DIM}"
    return None


@torch.compiler.assume_constant_result
def why_not_compiled(dtype: torch.dtype) -> str | None:
    """What keeps a CPU from the compiled kernels, if anything: torch's operations then do the same, slower."""
    return native.obstacle(dtype)


announced: set[tuple[str, str | None, str | None]] = set()


@torch.compiler.assume_constant_result
def announce(device: str, obstacle: str | None, by_torch: str | None) -> None:
    """Say once what was chosen; `by_torch` is what `why_not_compiled` says."""
    if (device, obstacle, by_torch) not in announced:
        announced.add((device, obstacle, by_torch))
        chosen = f"separable, because {obstacle}" if obstacle else "fused"
        if by_torch:
            chosen += f", of torch's operations, for {by_torch}"
        logger.info("GAug attention on %s: %s", device, chosen)
