"""The backbone of DINO as its authors start and resize it (Caron et al. 2021, arXiv 2104.14294)."""

# mypy: warn-return-any=False

from functools import cache
from typing import Any, TypeVar

import torch
from timm.models import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

Model = TypeVar("Model", bound=nn.Module)
MARGIN = 0.1
"""Of a patch, by which the official code enlarges a grid that it resamples positions to: their scale is 6.1 / 14."""


class DinoPositions:
    """Mixed in before a timm VisionTransformer: positions on another grid are bicubic, and not antialiased."""

    pos_embed: nn.Parameter | None
    cls_token: nn.Parameter | None
    reg_token: nn.Parameter | None
    patch_embed: Any
    pos_drop: nn.Module
    no_embed_class: bool
    num_prefix_tokens: int

    def _pos_embed(self, x: Tensor) -> Tensor:
        """Tokens (B, prefix + h * w, dim) of patches (B, h, w, dim)."""
        grid = (x.shape[1], x.shape[2])
        if self.pos_embed is None or grid == tuple(self.patch_embed.grid_size):
            return super()._pos_embed(x)  # type: ignore[misc]
        prefix = [token.expand(len(x), -1, -1) for token in (self.cls_token, self.reg_token) if token is not None]
        positions, placed = self.pos_embed, 0 if self.no_embed_class else self.num_prefix_tokens
        patches = x.flatten(1, 2) + resampled(positions[:, placed:], self.patch_embed.grid_size, grid)
        if placed:
            prefix = [torch.cat(prefix, dim=1) + positions[:, :placed]]
        return self.pos_drop(torch.cat([*prefix, patches], dim=1))


def resampled(positions: Tensor, built: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Positions (1, H * W, dim) of the grid `built` (H, W) on another `grid` (h, w): (1, h * w, dim)."""
    planes = positions.unflatten(1, built).permute(0, 3, 1, 2)
    scale = [(side + MARGIN) / source for side, source in zip(grid, built, strict=True)]
    return F.interpolate(planes, scale_factor=scale, mode="bicubic").flatten(2).mT


def as_dino(model: Model) -> Model:
    """Give a new backbone DINO's positions and the start of its [CLS], in place, where it has such."""
    if isinstance(model, VisionTransformer):
        model.__class__ = _with_positions(type(model))  # type: ignore[arg-type]
        if model.cls_token is not None:
            nn.init.trunc_normal_(model.cls_token, std=0.02)
    return model


@cache
def _with_positions(cls: type[VisionTransformer]) -> type[VisionTransformer]:
    return type(cls.__name__, (DinoPositions, cls), {})
