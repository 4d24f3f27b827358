"""PRR: patch representation refinement (LocAt paper, arXiv 2603.04892).

Multi-head self-attention without parameters, softmax(x x^T / sqrt(head_dim)) x, between the final
norm and the head: the head's gradient reaches every patch, in proportion to its likeness.
"""

# mypy: disallow-subclassing-any=False, warn-return-any=False

import torch
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn
from torch.nn import functional as F

EVERY_ROW = slice(None)


class PRR(nn.Module):
    """Refines the rows of a token sequence that the head reads, and only those: O(N d) for [CLS].

    As `attn_pool` of a timm ViT it does what timm's AttentionPoolPrr does.
    """

    def __init__(self, num_heads: int, rows: slice = EVERY_ROW, average: bool = False, gated: bool = False) -> None:
        """`rows` are kept and joined, or averaged; `gated` lets refinement in through a scalar that starts at 0."""
        super().__init__()
        self.num_heads, self.rows, self.average = num_heads, rows, average
        self.gate = nn.Parameter(torch.zeros(1)) if gated else None

    def forward(self, x: Tensor) -> Tensor:
        """Pool tokens (B, N, dim) into (B, rows * dim), or (B, dim) where rows are averaged."""
        refined = self.refine(x)
        return refined.mean(dim=1) if self.average else refined.flatten(1)

    def refine(self, x: Tensor) -> Tensor:
        """x+ of the kept rows: (B, R, dim) of tokens (B, N, dim)."""
        tokens = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        kept = tokens[:, :, self.rows]
        refined = F.scaled_dot_product_attention(kept, tokens, tokens)
        if self.gate is not None:
            refined = kept + self.gate * (refined - kept)
        return refined.transpose(1, 2).flatten(2)


class PRRMapPool(SelectAdaptivePool2d):
    """The pool of a timm ClassifierHead over feature maps (B, h, w, dim), refined first (Swin)."""

    def __init__(self, pool: SelectAdaptivePool2d, num_heads: int, gated: bool = False) -> None:
        super().__init__(pool_type=pool.pool_type, flatten=True, input_fmt="NHWC")
        self.prr = PRR(num_heads, gated=gated)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.prr.refine(x.flatten(1, 2)).view_as(x))
