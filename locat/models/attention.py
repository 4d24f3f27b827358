"""Attention with GAug, softmax(q k^T / sqrt(head_dim) + S) v, as forms of timm's attention layers.

All forms are leaves of symbolic tracing: the patch grid is a pair of integers, which a trace does not know.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

import torch
from timm.layers import Attention, AttentionRope, PatchEmbed, apply_rot_embed_cat, register_notrace_module
from timm.models.eva import EvaAttention
from torch import Tensor, nn

from locat.models.gaug import GAug, Grid
from locat.models.gaussian_attention import gaussian_attention


class PatchGrid:
    """The patch grid of a model's input: a forward hook of `patch_embed`, shared by the attention layers.

    Tokens come to an attention layer flattened. Grids are remembered by their number of
    patches, so that activation checkpointing recomputes a crop after another size was seen.
    An exported program has one input: of that, whose size it may not know, the grid is the last.
    """

    def __init__(self) -> None:
        self.initial: Grid = (0, 0)
        self._seen: dict[int, Grid] = {}
        self._exported: Grid = (0, 0)

    def __call__(self, patch_embed: Any, images: tuple[Tensor, ...], _patches: Tensor) -> None:
        """Note the grid of these images, and the one the model is built for."""
        height, width = patch_embed.dynamic_feat_size(images[0].shape[-2:])
        self.initial = patch_embed.grid_size
        if torch.compiler.is_exporting():
            self._exported = (height, width)
        else:
            self._seen[height * width] = (height, width)

    def of(self, patches: int) -> Grid:
        """The grid (h, w) that has this number of patches."""
        return self._exported if torch.compiler.is_exporting() else self._seen[patches]


@register_notrace_module
class LeafPatchEmbed(PatchEmbed):
    """timm's PatchEmbed as a leaf of symbolic tracing: a traced model then still runs its hook, `PatchGrid`."""


class GAugAttention:
    """The forward pass with GAug, over the projections that a timm attention layer has."""

    gaug: GAug
    patch_grid: PatchGrid
    num_prefix_tokens: int
    num_heads: int
    qkv: Any
    q_norm: nn.Module
    k_norm: nn.Module
    attn_drop: nn.Dropout
    norm: nn.Module
    gate: nn.Module | None
    proj: nn.Module
    proj_drop: nn.Module
    rotate_half: bool
    training: bool

    def forward(
        self, x: Tensor, rope: Tensor | None = None, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Attend among tokens (B, N, dim), prefix tokens first; the other arguments as in timm."""
        if is_causal:
            raise NotImplementedError("GAug sees patches in all directions; causal attention is not defined for it")
        q, k, v = self.project(x)
        q, k = self.q_norm(q), self.k_norm(k)
        prefix = self.num_prefix_tokens
        grid = self.patch_grid.of(x.shape[1] - prefix)
        q = q.contiguous()  # once for all that reads it
        gaussians = self.gaug(q, k, x, grid, self.patch_grid.initial)
        if rope is not None:
            q, k = (rotate(heads, rope, prefix, self.rotate_half).type_as(v) for heads in (q, k))
        dropout = self.attn_drop.p if self.training else 0.0
        y = self.norm(gaussian_attention(q, k, v, gaussians, prefix, attn_mask, dropout).transpose(1, 2).flatten(2))
        if self.gate is not None:
            y = y * self.gate(x).sigmoid()
        return self.proj_drop(self.proj(y))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of shape (B, H, N, head_dim) from tokens (B, N, dim)."""
        # Not permuted before they are parted: their gradients, by token, are then put together by one copy.
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


@register_notrace_module
class LocAtAttention(GAugAttention, Attention):
    """VisionTransformer's attention."""


@register_notrace_module
class LocAtAttentionRope(GAugAttention, AttentionRope):
    """Eva's attention with one bias for q, k and v; rotary after GAug has read q."""

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.qkv is not None:
            return super().project(x)
        q, k, v = (part(x).unflatten(-1, (-1, self.head_dim)) for part in (self.q_proj, self.k_proj, self.v_proj))
        k, v = (part.repeat_interleave(self.num_kv_groups, dim=2) for part in (k, v))
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


@register_notrace_module
class LocAtEvaAttention(GAugAttention, EvaAttention):
    """Eva's attention without a bias for k; rotary after GAug has read q."""

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.qkv is None:
            parts = (part(x).unflatten(-1, (self.num_heads, -1)) for part in (self.q_proj, self.k_proj, self.v_proj))
            q, k, v = (part.transpose(1, 2) for part in parts)
            return q, k, v
        q, k, v = super().project(x)
        if self.q_bias is not None:
            q, v = (part + bias.view(self.num_heads, 1, -1) for part, bias in ((q, self.q_bias), (v, self.v_bias)))
        return q, k, v


def rotate(heads: Tensor, rope: Tensor, prefix_tokens: int, rotate_half: bool) -> Tensor:
    """Rotate the patches of q or k (B, H, N, head_dim); prefix tokens have no position."""
    patches = apply_rot_embed_cat(heads[:, :, prefix_tokens:], rope, half=rotate_half)
    return torch.cat([heads[:, :, :prefix_tokens], patches], dim=2)
