"""ConViT (arXiv 2103.10697; timm's `convit_*`) on other grids than the one it was built for."""

# mypy: disallow-subclassing-any=False, warn-return-any=False

from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from timm.models.convit import GPSA, ConVit
from torch import Tensor


class ImagePositions:
    """The positions of an image's patches: a forward hook of `patch_embed`, shared by the GPSA layers.

    Adds the learned positions, resampled to the image's grid, and holds the offsets among its patches.
    """

    def __init__(self, model: ConVit) -> None:
        self.learned = model.pos_embed if model.use_pos_embed else None
        self._offsets: dict[tuple[int, int], Tensor] = {}

    def __call__(self, patch_embed: Any, images: tuple[Tensor, ...], patches: Tensor) -> Tensor:
        """Patches (B, h * w, dim) with their positions."""
        grid = patch_embed.dynamic_feat_size(images[0].shape[-2:])
        if grid not in self._offsets:
            self._offsets = {grid: patch_offsets(*grid)}  # one grid at a time: they are quadratic in its patches
        if self.learned is None:
            return patches
        return patches + resample_abs_pos_embed(self.learned, grid, patch_embed.grid_size, num_prefix_tokens=0)

    def offsets_like(self, weight: Tensor) -> Tensor:
        """Those of the last grid, on the device and in the dtype of `weight`."""
        ((grid, offsets),) = self._offsets.items()
        self._offsets[grid] = offsets.to(weight)
        return self._offsets[grid]


class GridGPSA(GPSA):
    """timm's GPSA, which takes any number of patches for those of a square."""

    positions: ImagePositions

    def forward(self, x: Tensor) -> Tensor:
        """Attend among patches (B, h * w, dim)."""
        self.rel_indices = self.positions.offsets_like(self.pos_proj.weight)
        return super().forward(x)


def patch_offsets(height: int, width: int) -> Tensor:
    """From patch p to patch t of a grid: columns, rows and squared distance, (1, p, t, 3) float32."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    patches = torch.stack([columns.flatten(), rows.flatten()], dim=-1).float()
    offsets = patches - patches[:, None]
    return torch.cat([offsets, offsets.square().sum(-1, keepdim=True)], dim=-1)[None]


def accept_any_grid(model: ConVit) -> None:
    """In place: images whose sides are multiples of the patch; at the built size nothing changes."""
    positions = ImagePositions(model)
    model.use_pos_embed = False  # the hook adds them
    model.patch_embed.strict_img_size = False
    model.patch_embed.register_forward_hook(positions)
    for block in model.blocks:
        if block.use_gpsa:
            block.attn.positions = positions
            block.attn.__class__ = GridGPSA
