"""Swin's window attention with GAug inside each window, on top of its relative position bias and shift mask."""

# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False, warn-return-any=False

from timm.layers import register_notrace_module
from timm.models.swin_transformer import WindowAttention
from torch import Tensor

from locat.models.gaug import GAug
from locat.models.gaussian_attention import gaussian_attention


@register_notrace_module
class LocAtWindowAttention(WindowAttention):
    """timm's WindowAttention with GAug; the patch grid is the window."""

    gaug: GAug

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend inside windows (B * windows, N, dim); `mask` (windows, N, N) keeps shifted regions apart."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q = q.contiguous()  # once for all that reads it
        gaussians = self.gaug(q, k, x, self.window_size, self.window_size)
        bias = self._get_rel_pos_bias()
        if mask is not None:
            bias = bias + mask.unsqueeze(1).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        dropout = self.attn_drop.p if self.training else 0.0
        y = gaussian_attention(q, k, v, gaussians, 0, bias.to(q.dtype), dropout)
        return self.proj_drop(self.proj(y.transpose(1, 2).flatten(2)))
